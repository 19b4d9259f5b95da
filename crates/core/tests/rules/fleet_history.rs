//! The life of a webhook in simulated time: its endpoint comes, goes, hangs and asks for time, its
//! sender is restarted, people pause and resume it. Pause, throttle and retries, which are pure,
//! are driven as a sender drives them, over hours and days that pass in milliseconds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tidings_core::attempt::Outcome;
use tidings_core::dead_letter::Reason;
use tidings_core::delivery::Progress;
use tidings_core::pause::{Change, PAUSE_MAX, Pause, Permission, Signal};
use tidings_core::throttle::{self, Throttle, Turn};
use tidings_core::verdict::{Verdict, is_expired, judge};
use tidings_core::webhook::{DeliveryPlan, RateLimit};

const HOUR_MS: u64 = 3_600_000;
/// Longer than every pause, wait and age together.
const HEALTHY_AT_LAST_MS: u64 = 400 * HOUR_MS;

/// What an endpoint does for a while.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Up,
    Fails,
    Hangs,
    Asks(u32),
    Flaky,
}

/// What happens to a webhook besides deliveries.
#[derive(Debug, Clone, Copy)]
enum Incident {
    Restart,
    PausedByHand,
    ResumedByHand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Comes { delivery: usize, has_turn: bool },
    Ends { attempt: usize },
    Happens { incident: usize },
}

#[derive(Debug)]
struct UnderWay {
    delivery: usize,
    signal: Signal,
    outcome: Outcome,
    is_probe: bool,
    /// Whether its sender still lives.
    is_known: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Delivered,
    Dead(Reason),
}

struct World {
    plan: DeliveryPlan,
    moods: Vec<(u64, Mood)>,
    incidents: Vec<(u64, Incident)>,
    now: u64,
    steps: BinaryHeap<Reverse<(u64, usize, Step)>>,
    order: usize,
    progress: Vec<Progress>,
    ends: Vec<Option<End>>,
    attempts: Vec<UnderWay>,
    in_flight: u32,
    pause: Pause,
    throttle: Throttle,
    /// When each request began.
    requests: Vec<u64>,
    changes: Vec<(u64, Change)>,
    draws: u64,
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(ms as i64).unwrap()
}

fn instant(ms: u64) -> throttle::Instant {
    throttle::Instant::since_beginning(Duration::from_millis(ms))
}

impl World {
    fn new(plan: DeliveryPlan, moods: Vec<(u64, Mood)>, incidents: Vec<(u64, Incident)>) -> Self {
        let throttle = Throttle::new(plan.rate_limit, instant(0));
        let mut world = Self {
            plan,
            moods,
            incidents,
            now: 0,
            steps: BinaryHeap::new(),
            order: 0,
            progress: Vec::new(),
            ends: Vec::new(),
            attempts: Vec::new(),
            in_flight: 0,
            pause: Pause::default(),
            throttle,
            requests: Vec::new(),
            changes: Vec::new(),
            draws: 0x9e37_79b9_7f4a_7c15,
        };
        for incident in 0..world.incidents.len() {
            let when = world.incidents[incident].0;
            world.plan_step(when, Step::Happens { incident });
        }
        world
    }

    fn plan_step(&mut self, when: u64, step: Step) {
        self.order += 1;
        self.steps.push(Reverse((when, self.order, step)));
    }

    fn deliver(&mut self, when: u64) {
        self.progress.push(Progress::first(at(when)));
        self.ends.push(None);
        let delivery = self.progress.len() - 1;
        self.plan_step(
            when,
            Step::Comes {
                delivery,
                has_turn: false,
            },
        );
    }

    /// Between 0 and 1, the same in every run.
    fn draw(&mut self) -> f64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        (self.draws >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn mood(&self) -> Mood {
        let begun = self.moods.iter().rev().find(|(from, _)| *from <= self.now);
        begun.map_or(Mood::Up, |(_, mood)| *mood)
    }

    fn run(&mut self) -> Result<(), TestCaseError> {
        while let Some(Reverse((when, _, step))) = self.steps.pop() {
            self.now = when;
            match step {
                Step::Comes { delivery, has_turn } => self.comes(delivery, has_turn)?,
                Step::Ends { attempt } => self.ends(attempt)?,
                Step::Happens { incident } => self.happens(self.incidents[incident].1),
            }
            prop_assert!(self.order < 3_000_000, "it never ends");
        }
        Ok(())
    }

    /// As the gate does: pause, slots, rate.
    fn comes(&mut self, delivery: usize, has_turn: bool) -> Result<(), TestCaseError> {
        let now = at(self.now);
        if is_expired(&self.plan, self.progress[delivery], now) {
            self.ends[delivery] = Some(End::Dead(Reason::Expired));
            return Ok(());
        }
        let full = self.plan.max_in_flight.get();
        let timeout = self.plan.timeout + Duration::from_secs(1);
        let again = |wait: u64, has_turn| (wait.max(1), Step::Comes { delivery, has_turn });
        let share = match self.pause.clone().ask(now, timeout, full) {
            Permission::Go { in_flight_max } => in_flight_max,
            Permission::Probe => full,
            Permission::Wait { until } => {
                let wait = until.map_or(PAUSE_MAX.as_millis() as u64, |until| {
                    (until.as_millisecond() as u64).saturating_sub(self.now)
                });
                let (wait, step) = again(wait.min(300_000), false);
                self.plan_step(self.now + wait, step);
                return Ok(());
            }
        };
        if self.in_flight >= share {
            let (wait, step) = again(1_000, has_turn);
            self.plan_step(self.now + wait, step);
            return Ok(());
        }
        if let Turn::In(wait) = self.throttle.ask(has_turn, instant(self.now)) {
            let (wait, step) = again(wait.as_millis() as u64 + 1, true);
            self.plan_step(self.now + wait, step);
            return Ok(());
        }
        let permission = self.pause.ask(now, timeout, full);
        let is_probe = permission == Permission::Probe;
        if is_probe {
            let probing = self
                .attempts
                .iter()
                .filter(|other| other.is_probe && other.is_known);
            prop_assert_eq!(probing.count(), 0, "two probes at once");
        }
        self.begin(delivery, is_probe);
        prop_assert!(self.in_flight <= full);
        Ok(())
    }

    fn begin(&mut self, delivery: usize, is_probe: bool) {
        let draw = self.draw();
        let answered = |status, retry_after| Outcome::Answered {
            status,
            retry_after,
        };
        let (takes, outcome) = match self.mood() {
            Mood::Up => (20 + (draw * 400.0) as u64, answered(200, None)),
            Mood::Fails => (20, answered(500, None)),
            Mood::Hangs => (
                self.plan.timeout.as_millis() as u64,
                Outcome::Failed { code: "timeout" },
            ),
            Mood::Asks(seconds) => {
                let wait = Duration::from_secs(seconds.into());
                (20, answered(503, Some(wait)))
            }
            Mood::Flaky if draw < 0.3 => (20, answered(502, None)),
            Mood::Flaky => (20, answered(204, None)),
        };
        let signal = match outcome {
            Outcome::Answered {
                retry_after: Some(wait),
                ..
            } => Signal::Asked { wait },
            _ if outcome.is_success() => Signal::Success,
            _ => Signal::Failure,
        };
        self.requests.push(self.now);
        self.in_flight += 1;
        self.attempts.push(UnderWay {
            delivery,
            signal,
            outcome,
            is_probe,
            is_known: true,
        });
        let attempt = self.attempts.len() - 1;
        self.plan_step(self.now + takes, Step::Ends { attempt });
    }

    fn ends(&mut self, attempt: usize) -> Result<(), TestCaseError> {
        let UnderWay {
            delivery,
            signal,
            ref outcome,
            is_probe,
            is_known,
        } = self.attempts[attempt];
        // What a dead sender had in hand comes again, as it was.
        if !is_known {
            return Ok(());
        }
        let outcome = outcome.clone();
        self.attempts[attempt].is_known = false;
        self.in_flight -= 1;
        let now = at(self.now);
        let full = self.plan.max_in_flight.get();
        let change = match is_probe {
            true => self.pause.observe_probe(signal, now, full),
            false => self.pause.observe(signal, now, full),
        };
        self.changes.extend(change.map(|change| (self.now, change)));
        let draw = self.draw();
        let progress = self.progress[delivery];
        prop_assert!(progress.retries() <= self.plan.max_retries);
        match judge(&self.plan, progress, &outcome, now, draw) {
            Verdict::Delivered => self.ends[delivery] = Some(End::Delivered),
            Verdict::Dead(reason) => self.ends[delivery] = Some(End::Dead(reason)),
            Verdict::Retry { at } => {
                self.progress[delivery] = progress.next();
                let step = Step::Comes {
                    delivery,
                    has_turn: false,
                };
                self.plan_step(at.as_millisecond() as u64, step);
            }
        }
        Ok(())
    }

    fn happens(&mut self, incident: Incident) {
        match incident {
            Incident::Restart => {
                // The state was recorded, and the next sender goes on with it.
                let recorded = serde_json::to_string(&self.pause).unwrap();
                self.pause = serde_json::from_str(&recorded).unwrap();
                self.throttle = Throttle::new_empty(self.plan.rate_limit, instant(self.now));
                self.in_flight = 0;
                for attempt in 0..self.attempts.len() {
                    if std::mem::take(&mut self.attempts[attempt].is_known) {
                        let delivery = self.attempts[attempt].delivery;
                        let step = Step::Comes {
                            delivery,
                            has_turn: false,
                        };
                        // The broker's ack wait.
                        self.plan_step(self.now + 15_000, step);
                    }
                }
            }
            Incident::PausedByHand => {
                let change = self.pause.pause_by_hand(None);
                self.changes.push((self.now, change));
            }
            Incident::ResumedByHand => {
                let change = self.pause.resume_by_hand();
                self.changes.extend(change.map(|change| (self.now, change)));
            }
        }
    }

    /// At most this many requests began within any second.
    fn most_in_a_second(&self) -> usize {
        let within = |(first, from): (usize, &u64)| {
            self.requests.partition_point(|begun| *begun < from + 1_000) - first
        };
        self.requests
            .iter()
            .enumerate()
            .map(within)
            .max()
            .unwrap_or(0)
    }
}

fn plan(max_in_flight: u32, (requests, burst): (u32, u32)) -> DeliveryPlan {
    let some = |number| NonZeroU32::new(number).unwrap();
    DeliveryPlan {
        max_in_flight: some(max_in_flight),
        rate_limit: RateLimit {
            requests: some(requests),
            per: Duration::from_secs(1),
            burst: Some(some(burst)),
        },
        ..DeliveryPlan::default()
    }
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        3 => Just(Mood::Up),
        2 => Just(Mood::Fails),
        1 => Just(Mood::Hangs),
        1 => (0_u32..4_000).prop_map(Mood::Asks),
        2 => Just(Mood::Flaky),
    ]
}

fn incident() -> impl Strategy<Value = Incident> {
    prop_oneof![
        3 => Just(Incident::Restart),
        1 => Just(Incident::PausedByHand),
        2 => Just(Incident::ResumedByHand),
    ]
}

/// Moods one after the other, and a healthy endpoint at the end.
fn in_turn(moods: Vec<(u64, Mood)>) -> Vec<(u64, Mood)> {
    let mut from = 0;
    let mut all: Vec<_> = moods
        .into_iter()
        .map(|(length, mood)| {
            from += length;
            (from - length, mood)
        })
        .collect();
    all.push((from, Mood::Up));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens over days: every delivery ends, within its retries and its age; the rate
    /// holds in every second; probes come one at a time; pauses begin and end in turn; and an
    /// endpoint that is healthy at last is flowing at last.
    #[test]
    fn a_long_life_keeps_its_promises(
        moods in prop::collection::vec((1_000_u64..4 * HOUR_MS, mood()), 1..12),
        incidents in prop::collection::vec((0_u64..20 * HOUR_MS, incident()), 0..8),
        arrivals in prop::collection::vec(0_u64..20 * HOUR_MS, 1..150),
        bursts in prop::collection::vec((0_u64..20 * HOUR_MS, 1_usize..60), 0..4),
        max_in_flight in 1_u32..40,
        rate in (1_u32..60, 1_u32..60),
    ) {
        let mut incidents = incidents;
        incidents.push((21 * HOUR_MS, Incident::ResumedByHand));
        let plan = plan(max_in_flight, rate);
        let mut world = World::new(plan, in_turn(moods), incidents);
        for when in arrivals {
            world.deliver(when);
        }
        for (when, count) in bursts {
            for _ in 0..count {
                world.deliver(when);
            }
        }
        // Enough successes, long after everything, to leave every ramp.
        for number in 0..40 {
            world.deliver(HEALTHY_AT_LAST_MS + number * 10_000);
        }
        world.run()?;
        for (delivery, end) in world.ends.iter().enumerate() {
            let progress = world.progress[delivery];
            prop_assert!(end.is_some(), "delivery {} is lost", delivery);
            prop_assert!(progress.attempt <= world.plan.max_retries + 1);
            if *end == Some(End::Dead(Reason::Exhausted)) {
                prop_assert_eq!(progress.attempt, world.plan.max_retries + 1);
            }
        }
        let (requests, burst) = rate;
        prop_assert!(world.most_in_a_second() <= (requests + burst) as usize + 1);
        prop_assert_eq!(world.pause, Pause::Flowing { failures: 0 });
        let told = world.changes.iter().filter(|(_, change)| !matches!(change, Change::Prolonged { .. }));
        let told: Vec<bool> = told.map(|(_, change)| matches!(change, Change::Paused { .. })).collect();
        // A person may pause what is paused already.
        prop_assert!(told.windows(2).all(|pair| pair[0] || pair[1]), "resumed twice in a row");
    }

    /// A dead endpoint gets one request a pause, however much waits for it, and what waited is
    /// delivered without having used up an attempt for it.
    #[test]
    fn a_dead_endpoint_is_left_alone(hours in 1_u64..30, waiting in 20_usize..200, hangs: bool) {
        let mood = match hangs {
            true => Mood::Hangs,
            false => Mood::Fails,
        };
        let moods = in_turn(vec![(hours * HOUR_MS, mood)]);
        let mut world = World::new(plan(4, (50, 50)), moods, Vec::new());
        for _ in 0..waiting {
            world.deliver(0);
        }
        world.run()?;
        let while_dead = world.requests.iter().filter(|begun| **begun < hours * HOUR_MS).count();
        // Five to find out and those under way with them, 10 s to 160 s, then one in five minutes.
        let allowed = 5 + 4 + 5 + hours * 12 + 1;
        prop_assert!(while_dead as u64 <= allowed, "{} requests in {} h", while_dead, hours);
        let attempts: u32 = world.progress.iter().map(|progress| progress.attempt - 1).sum();
        prop_assert!(attempts as usize <= while_dead);
        let dead = world.ends.iter().filter(|end| **end != Some(End::Delivered)).count();
        prop_assert!(dead <= while_dead / world.plan.max_retries as usize + 1, "{} dead", dead);
    }

    /// After a recovery the backlog returns at a ramp: requests under way double, from one.
    #[test]
    fn a_backlog_returns_at_a_ramp(waiting in 50_usize..300) {
        let moods = in_turn(vec![(HOUR_MS, Mood::Fails)]);
        let mut world = World::new(plan(32, (1_000, 1_000)), moods, Vec::new());
        for _ in 0..waiting {
            world.deliver(0);
        }
        world.run()?;
        let resumed = world.changes.iter().find(|(_, change)| *change == Change::Resumed);
        let &(resumed, _) = resumed.unwrap();
        // None ends sooner than 20 ms, so in that time only two more can have begun.
        let soon = world.requests.iter().filter(|begun| (resumed..resumed + 20).contains(*begun));
        prop_assert!(soon.count() <= 2);
        prop_assert!(world.ends.iter().filter(|end| **end == Some(End::Delivered)).count() >= waiting - 5);
    }
}
