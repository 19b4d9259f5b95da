//! What a gate remembers, and how it decides. The time is given.

use std::time::Duration;

use jiff::Timestamp;
use tidings_core::pause::{Cause, Change, Pause, Permission, Signal};
use tidings_core::throttle::{self, Throttle, Turn};
use tidings_core::webhook::{DeliveryPlan, EndpointState, RateLimit, Status};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::slots::Slots;
use super::{Visit, WAIT_MAX};
use crate::hosts::Host;

/// A probe may take this much longer than its request: it waits for a permit first.
const PROBE_GRACE: Duration = Duration::from_secs(1);
/// Who would wait longer for a slot does not wait in the sender, as a rule.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// Nobody who waits for the end of a pause stays away longer than this: it may end early.
const LOOK_MAX: Duration = Duration::from_secs(300);
/// So many of those that wait come back for a pause's end, or shortly, to be the probe and to begin
/// the ramp. The others let the probe decide first, because most of the time it only says that all
/// of them have to wait once more, and each that asks costs as much as an attempt.
const SCOUTS: u32 = 4;
/// What most endpoints that have recovered answer a probe within.
const PROBE_LOOK: Duration = Duration::from_secs(2);
/// Who waits for a person stays away for this long at least.
const MANUAL_LOOK_MIN: Duration = Duration::from_secs(5);
/// Deliveries that wait for the end of a pause come back one after the other at their rate limit's
/// distance, or at this one if that is longer…
const SPREAD_STEP_MIN: Duration = Duration::from_millis(10);
/// …or at this one, once the scouts are through: many endpoints may have been paused together…
const SPREAD_STEP_LATER_MIN: Duration = Duration::from_millis(100);
/// …and all within this time.
const SPREAD_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: Slots,
    /// How many wait here for their turn.
    pub(super) paced: u32,
    /// What others should know.
    pub(super) news: Vec<Change>,
    beginning: Instant,
    pause: Pause,
    throttle: Option<Throttle>,
    /// The tenure and the version of the webhook that all this was found at.
    tenure: u64,
    closing: CancellationToken,
    version: u64,
    /// What a person did last, as far as it was noticed.
    by_hand: Option<EndpointState>,
    /// The end of the pause that deliveries are sent away for, and how many were.
    sent_away: (Option<Timestamp>, u32),
}

/// What may happen to a delivery now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It goes; a slot is taken.
    Go { is_probe: bool },
    /// It comes back after this time.
    Later(Duration),
    /// No slot is free, and who would wait longer than this for one does not wait here.
    Full { patience: Duration },
    /// Its turn is after this time.
    NotBefore(Duration),
}

impl State {
    pub(super) fn new(beginning: Instant) -> Self {
        Self {
            slots: Slots::default(),
            paced: 0,
            news: Vec::new(),
            beginning,
            pause: Pause::default(),
            throttle: None,
            tenure: 0,
            closing: CancellationToken::new(),
            version: 0,
            by_hand: None,
            sent_away: (None, 0),
        }
    }

    /// Whether a delivery may go, at `now` by the clock of pauses and `at` by that of the rate.
    pub(super) fn ask(
        &mut self,
        visit: &Visit<'_>,
        has_turn: bool,
        now: Timestamp,
        at: Instant,
    ) -> Answer {
        self.catch_up(visit, at);
        let full = self.full(visit, at);
        let probe_timeout = visit.plan.timeout + PROBE_GRACE;
        // A copy is asked first: what does not go in the end changes nothing.
        let share = match self.pause.clone().ask(now, probe_timeout, full) {
            Permission::Go { in_flight_max } => in_flight_max,
            Permission::Probe => full,
            Permission::Wait { until } => return Answer::Later(self.send_away(until, visit, now)),
        };
        if !self.slots.is_free(share) {
            if self.slots.is_stalled(visit.plan.timeout, at) {
                self.news.extend(self.pause.stall(now));
            }
            let patience = self.patience(visit, at);
            return Answer::Full { patience };
        }
        let limit = visit.plan.rate_limit;
        let (beginning, is_succession) = (self.beginning, visit.tenure.is_succession);
        let instant = throttle::Instant::since_beginning(at.duration_since(beginning));
        let throttle = self.throttle.get_or_insert_with(|| match is_succession {
            true => Throttle::new_empty(limit, instant),
            false => Throttle::new(limit, instant),
        });
        if let Turn::In(wait) = throttle.ask(has_turn, instant) {
            return Answer::NotBefore(wait);
        }
        let permission = self.pause.ask(now, probe_timeout, full);
        self.slots.take(at);
        let is_probe = permission == Permission::Probe;
        Answer::Go { is_probe }
    }

    /// How many requests may be under way: as many as the webhook allows, but one that is not known
    /// to be quick leaves permits to others, and at a full host each has one.
    fn full(&self, visit: &Visit<'_>, at: Instant) -> u32 {
        let full = visit.plan.max_in_flight.get();
        if visit.host.is_some_and(Host::is_full) {
            return 1;
        }
        match self.slots.is_quick(at) {
            true => full,
            false => full.min(visit.permits.share_max()),
        }
    }

    /// How long a wait for a slot is worth waiting here, where it takes room that others could use. A
    /// host that is full of quick requests has slots for all its webhooks again and again.
    fn patience(&self, visit: &Visit<'_>, at: Instant) -> Duration {
        let is_busy = visit.host.is_some_and(Host::is_full) && self.slots.is_quick(at);
        match is_busy {
            true => WAIT_MAX,
            false => PATIENCE,
        }
    }

    pub(super) fn paused_until(&self) -> Option<Option<Timestamp>> {
        match &self.pause {
            Pause::Paused { until, .. } => Some(*until),
            Pause::Probing { until, .. } => Some(Some(*until)),
            Pause::Flowing { .. } | Pause::Ramping { .. } => None,
        }
    }

    /// How long it is until a turn that nobody else has.
    pub(super) fn next_turn(&mut self, at: Instant) -> Option<Duration> {
        let elapsed = at.duration_since(self.beginning);
        let instant = throttle::Instant::since_beginning(elapsed);
        let throttle = self.throttle.as_mut()?;
        Some(throttle.reserve(instant))
    }

    /// Takes in what an attempt told. Once the partition is left it is for its next sender to find
    /// out.
    pub(super) fn observe(
        &mut self,
        signal: Signal,
        is_probe: bool,
        now: Timestamp,
        plan: &DeliveryPlan,
    ) {
        if !self.closing.is_cancelled() {
            let full = plan.max_in_flight.get();
            self.news.extend(match is_probe {
                true => self.pause.observe_probe(signal, now, full),
                false => self.pause.observe(signal, now, full),
            });
        }
    }

    pub(super) fn forget_probe(&mut self, now: Timestamp) {
        self.pause.forget_probe(now);
    }

    /// What is to be recorded over `recorded`; `None` if that is to stay, as what a person did and
    /// nobody has noticed yet, or what a newer version made void.
    pub(super) fn record(&self, recorded: Option<&EndpointState>) -> Option<EndpointState> {
        let is_in_the_way = |recorded: &EndpointState| {
            recorded.webhook_version > self.version
                || recorded.holds_for(self.version)
                    && (recorded.status == Status::Disabled
                        || recorded.is_by_hand() && self.by_hand.as_ref() != Some(recorded))
        };
        if self.closing.is_cancelled() || recorded.is_some_and(is_in_the_way) {
            return None;
        }
        Some(EndpointState::of_pause(&self.pause, self.version))
    }

    /// Takes in what happened elsewhere since the last delivery.
    fn catch_up(&mut self, visit: &Visit<'_>, at: Instant) {
        if visit.tenure.number > self.tenure {
            self.tenure = visit.tenure.number;
            self.closing = visit.tenure.closing.clone();
            self.version = visit.version;
            self.pause = visit.recorded.pause.clone().unwrap_or_default();
            self.throttle = None;
            self.by_hand = None;
        }
        if visit.version > self.version {
            self.version = visit.version;
            if matches!(self.pause, Pause::Paused { .. } | Pause::Probing { .. }) {
                self.news.push(Change::Resumed);
            }
            self.pause = Pause::default();
        }
        let limit = visit.plan.rate_limit;
        if let Some(throttle) = &mut self.throttle
            && throttle.limit() != limit
        {
            let elapsed = at.duration_since(self.beginning);
            let instant = throttle::Instant::since_beginning(elapsed);
            *throttle = Throttle::new_empty(limit, instant);
        }
        self.obey(visit);
    }

    /// A person's word is above what was found out.
    fn obey(&mut self, visit: &Visit<'_>) {
        let recorded = visit.recorded;
        if !recorded.is_by_hand() || visit.version < self.version {
            self.by_hand = None;
            return;
        }
        if self.by_hand.as_ref() == Some(recorded) {
            return;
        }
        self.by_hand = Some(recorded.clone());
        let until = recorded.until;
        let is_obeyed = matches!(self.pause, Pause::Paused { cause: Cause::Manual, until: known, .. } if known == until);
        let change = match recorded.status {
            Status::Paused if !is_obeyed => Some(self.pause.pause_by_hand(until)),
            Status::Active => self.pause.resume_by_hand(),
            Status::Paused | Status::Disabled => None,
        };
        self.news.extend(change);
    }

    /// When to come back that waits for the end of a pause: one after the other, so that a backlog
    /// does not come back at once.
    fn send_away(
        &mut self,
        until: Option<Timestamp>,
        visit: &Visit<'_>,
        now: Timestamp,
    ) -> Duration {
        let (known, count) = &mut self.sent_away;
        let rest = until.map(|until| until.duration_since(now));
        let rest = rest.map(|rest| Duration::try_from(rest).unwrap_or_default());
        // In a pause that is longer than anybody stays away they come several times before its end,
        // and only those that come for its end are counted.
        if *known != until || rest.is_some_and(|rest| rest > LOOK_MAX) {
            (*known, *count) = (until, 0);
        }
        let place = *count;
        *count = count.saturating_add(1);
        let Some(rest) = rest else {
            let step = SPREAD_STEP_MIN.saturating_mul(place);
            return step.clamp(MANUAL_LOOK_MIN, LOOK_MAX);
        };
        let is_scout = place < SCOUTS;
        let look = match self.pause {
            Pause::Probing { .. } if is_scout => rest.min(PROBE_LOOK),
            Pause::Probing { .. } => rest,
            _ if is_scout => rest.min(LOOK_MAX),
            _ => rest.min(LOOK_MAX) + PROBE_LOOK,
        };
        let step_min = match is_scout {
            true => SPREAD_STEP_MIN,
            false => SPREAD_STEP_LATER_MIN,
        };
        look + spread(place, visit.plan.rate_limit, step_min)
    }
}

fn spread(place: u32, limit: RateLimit, step_min: Duration) -> Duration {
    let step = (limit.per / limit.requests.get()).clamp(step_min, SPREAD_MAX);
    let steps = u32::try_from(SPREAD_MAX.as_millis() / step.as_millis().max(1)).unwrap_or(1);
    step * (place % steps.max(1))
}
