use std::num::NonZeroU32;
use std::sync::LazyLock;

use tidings_core::pause::Cause;
use tidings_core::webhook::{RateLimit, Status};
use tokio_util::sync::CancellationToken;

use super::*;

/// The time of pauses goes with the time of the test.
fn test_clock() -> Timestamp {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let start = *START;
    Timestamp::from_second(1_000_000).unwrap() + Instant::now().saturating_duration_since(start)
}

struct House {
    gate: Arc<Gate>,
    permits: Arc<Permits>,
    plan: DeliveryPlan,
    recorded: EndpointState,
    tenure: Tenure,
    version: u64,
}

fn tenure(number: u64, is_succession: bool) -> Tenure {
    Tenure {
        number,
        is_succession,
        closing: CancellationToken::new(),
    }
}

fn house(slots: u32, (requests, burst): (u32, u32)) -> House {
    let some = |number| NonZeroU32::new(number).unwrap();
    House {
        gate: Gate::new(test_clock),
        permits: Permits::new(1_000),
        plan: DeliveryPlan {
            max_in_flight: some(slots),
            rate_limit: RateLimit {
                requests: some(requests),
                per: Duration::from_secs(1),
                burst: Some(some(burst)),
            },
            ..DeliveryPlan::default()
        },
        recorded: EndpointState::default(),
        tenure: tenure(1, false),
        version: 1,
    }
}

/// A gate whose rate is no limit.
fn slots(slots: u32) -> House {
    house(slots, (1_000_000, 1_000_000))
}

impl House {
    async fn enter(&self, has_turn: bool) -> Entry {
        let visit = Visit {
            plan: &self.plan,
            version: self.version,
            recorded: &self.recorded,
            tenure: &self.tenure,
            permits: &self.permits,
            host: None,
            has_turn,
        };
        self.gate.enter(&visit).await
    }

    async fn open(&self) -> Slot {
        match self.enter(false).await {
            Entry::Open(slot) => slot,
            Entry::Later { wait, .. } => panic!("told to come back after {wait:?}"),
        }
    }

    async fn later(&self) -> Duration {
        match self.enter(false).await {
            Entry::Open(_) => panic!("it was let in"),
            Entry::Later { wait, .. } => wait,
        }
    }

    async fn told(&self, signal: Signal) {
        self.open().await.tell(signal, &self.plan);
    }

    async fn fail_five_times(&self) {
        for _ in 0..5 {
            self.told(Signal::Failure).await;
        }
    }

    /// What would be recorded over nothing.
    fn state(&self) -> EndpointState {
        self.gate.record(None).unwrap()
    }
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_comes_back_soon_is_waited_for() {
    let house = Arc::new(slots(1));
    let held = house.open().await;
    let waiting = tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.open().await }
    });
    sleep(Duration::from_millis(20)).await;
    drop(held);
    drop(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn after_one_vain_wait_others_are_sent_away_at_once() {
    let house = slots(2);
    let _held = (house.open().await, house.open().await);
    let before = Instant::now();
    house.later().await;
    assert_eq!(before.elapsed(), WAIT_MAX);
    house.later().await;
    assert_eq!(before.elapsed(), WAIT_MAX);
}

#[tokio::test(start_paused = true)]
async fn turns_follow_each_other_and_stay_within_a_minute() {
    let house = slots(1);
    let held = house.open().await;
    pass(15).await;
    drop(held);
    let _held = house.open().await;
    let turns = [
        house.later().await,
        house.later().await,
        house.later().await,
    ];
    assert_eq!(turns.map(|turn| turn.as_secs()), [1, 16, 31]);
    for _ in 0..10 {
        assert!(house.later().await <= Duration::from_secs(60));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_recovers_is_waited_for_again() {
    let house = slots(1);
    let held = house.open().await;
    pass(15).await;
    drop(held);
    for _ in 0..20 {
        let quick = house.open().await;
        sleep(Duration::from_millis(5)).await;
        drop(quick);
    }
    assert!(house.gate.state().slots.expected_wait() < state::PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_of_slots_counts_what_is_under_way_already() {
    let mut house = slots(4);
    let _held = (house.open().await, house.open().await);
    house.plan.max_in_flight = NonZeroU32::new(2).unwrap();
    house.later().await;
}

/// Takes slots, which nobody gives back, for as long as it is let in at once.
async fn fill(house: &House) -> Vec<Slot> {
    let mut held = Vec::new();
    loop {
        match house.enter(false).await {
            Entry::Open(slot) => held.push(slot),
            Entry::Later { .. } => return held,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_known_to_be_quick_leaves_permits_to_others() {
    let mut house = slots(32);
    house.permits = Permits::new(16);
    // No permits are taken here, so it is always half of all.
    assert_eq!(fill(&house).await.len(), 8);

    let mut house = slots(32);
    house.permits = Permits::new(16);
    drop(house.open().await);
    let held = fill(&house).await;
    assert_eq!(held.len(), 32);
    // It was quick, but is not any more.
    drop(held);
    let _hanging = house.open().await;
    pass(2).await;
    assert_eq!(fill(&house).await.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn at_a_full_host_each_webhook_has_one_request_under_way() {
    let house = slots(32);
    let host = crate::hosts::Hosts::new(1).at("http://a".to_owned());
    let _others = host.enter(false).await.unwrap();
    let enter = async || {
        let visit = Visit {
            host: Some(&host),
            plan: &house.plan,
            version: 1,
            recorded: &house.recorded,
            tenure: &house.tenure,
            permits: &house.permits,
            has_turn: false,
        };
        house.gate.enter(&visit).await
    };
    let first = enter().await;
    assert!(matches!(first, Entry::Open(_)));
    assert!(matches!(enter().await, Entry::Later { .. }));
    drop(first);
    assert!(matches!(enter().await, Entry::Open(_)));
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_then_short_waits_are_waited_here_and_long_ones_get_a_turn() {
    let house = house(32, (2, 3));
    for _ in 0..3 {
        house.open().await;
    }
    let begun = Instant::now();
    house.open().await;
    assert_eq!(begun.elapsed().as_millis(), 500);
    // Two wait here, the others are sent away.
    let visits = (0..4).map(|_| house.enter(false));
    let entries = futures_util::future::join_all(visits).await;
    let waits: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            Entry::Open(_) => 0,
            Entry::Later { wait, has_turn } => {
                assert!(has_turn);
                wait.as_millis()
            }
        })
        .collect();
    assert_eq!(waits, [0, 0, 1_500, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_for_its_turn_goes_before_a_newcomer() {
    let house = house(32, (1, 1));
    house.open().await;
    let visits = (0..3).map(|_| house.enter(false));
    let entries = futures_util::future::join_all(visits).await;
    assert!(matches!(entries[0], Entry::Open(_)));
    // The first one waited here for a second; the next one's turn is another second later.
    pass(1).await;
    assert_eq!(house.later().await.as_secs(), 2);
    assert!(matches!(house.enter(true).await, Entry::Open(_)));
}

#[tokio::test(start_paused = true)]
async fn many_that_come_for_their_turn_at_once_get_new_ones_one_after_the_other() {
    let house = house(1_000, (10, 1));
    house.open().await;
    let visits = (0..100).map(|_| house.enter(true));
    let entries = futures_util::future::join_all(visits).await;
    let mut waits: Vec<u128> = Vec::new();
    for entry in &entries {
        if let Entry::Later { wait, has_turn } = entry {
            assert!(has_turn);
            waits.push(wait.as_millis());
        }
    }
    let expected: Vec<u128> = (1..=84).map(|place| place * 100).collect();
    assert_eq!(waits, expected);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_few_of_one_webhook_wait_here() {
    let house = house(1_000, (100, 1));
    house.open().await;
    let visits = (0..100).map(|_| house.enter(false));
    let entries = futures_util::future::join_all(visits).await;
    let waited = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Open(_)));
    assert_eq!(waited.count(), PACED_MAX as usize);
}

#[tokio::test(start_paused = true)]
async fn who_succeeds_another_sender_starts_with_nothing_to_spend() {
    let mut house = house(32, (1, 10));
    house.tenure = tenure(1, true);
    let begun = Instant::now();
    house.open().await;
    assert_eq!(begun.elapsed().as_millis(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_changed_rate_holds_at_once() {
    let mut house = house(32, (1, 1));
    house.open().await;
    house.plan.rate_limit.requests = NonZeroU32::new(10).unwrap();
    let begun = Instant::now();
    house.open().await;
    assert_eq!(begun.elapsed().as_millis(), 100);
}

#[tokio::test(start_paused = true)]
async fn five_failures_pause_and_one_probe_decides() {
    let house = slots(32);
    house.fail_five_times().await;
    let [Change::Paused { cause, until }] = house.gate.take_news()[..] else {
        panic!("it is paused");
    };
    assert_eq!(cause, Cause::Failing);
    let state = house.state();
    assert_eq!((state.status, state.until), (Status::Paused, until));

    let waits: Vec<u128> = [
        house.later().await,
        house.later().await,
        house.later().await,
    ]
    .map(|wait| wait.as_millis())
    .into();
    assert_eq!(waits, [10_000, 10_010, 10_020]);
    pass(10).await;
    let mut probe = house.open().await;
    assert!(house.later().await <= Duration::from_secs(3));
    probe.tell(Signal::Success, &house.plan);
    drop(probe);
    assert_eq!(house.gate.take_news(), [Change::Resumed]);
    assert_eq!(house.state().status, Status::Active);
    let _both = (house.open().await, house.open().await);
    house.later().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_is_followed_by_another() {
    let house = slots(32);
    house.fail_five_times().await;
    pass(10).await;
    drop(house.open().await);
    house.told(Signal::Success).await;
    assert_eq!(house.state().status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_comes_back_spread_over_a_minute_at_the_most() {
    let house = slots(32);
    house.fail_five_times().await;
    let mut waits = Vec::new();
    for _ in 0..20_000 {
        waits.push(house.later().await);
    }
    waits.sort();
    assert_eq!(waits[0].as_secs(), 10);
    assert!(waits[19_999] <= Duration::from_secs(72));
    let within_a_second = waits.iter().filter(|wait| wait.as_secs() == 10).count();
    assert!(within_a_second < 500, "{within_a_second}");
}

#[tokio::test(start_paused = true)]
async fn slots_that_stay_full_past_the_timeout_pause() {
    let house = slots(1);
    let _held = house.open().await;
    pass(16).await;
    house.later().await;
    let news = house.gate.take_news();
    assert!(
        matches!(
            news[..],
            [Change::Paused {
                cause: Cause::Slow,
                ..
            }]
        ),
        "{news:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_sender_goes_on_with_the_recorded_pause() {
    let mut house = slots(32);
    house.fail_five_times().await;
    let recorded = house.state();
    house.gate = Gate::new(test_clock);
    house.recorded = serde_json::from_slice(&serde_json::to_vec(&recorded).unwrap()).unwrap();
    house.tenure = tenure(1, true);
    assert_eq!(house.later().await.as_secs(), 10);
    pass(10).await;
    house.told(Signal::Failure).await;
    assert_eq!(house.later().await.as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn who_left_the_partition_neither_learns_nor_records() {
    let house = slots(32);
    let mut held = house.open().await;
    house.tenure.closing.cancel();
    for _ in 0..5 {
        held.tell(Signal::Failure, &house.plan);
    }
    assert!(house.gate.take_news().is_empty());
    assert_eq!(house.gate.record(None), None);
}

#[tokio::test(start_paused = true)]
async fn a_persons_pause_and_resume_are_obeyed_once_each() {
    let mut house = slots(32);
    house.recorded = EndpointState::paused_by_hand(None, 1);
    assert_eq!(house.later().await, Duration::from_secs(5));
    assert_eq!(house.later().await, Duration::from_secs(5));
    let until = None;
    let paused = Change::Paused {
        cause: Cause::Manual,
        until,
    };
    assert_eq!(house.gate.take_news(), [paused]);
    house.recorded = house.gate.record(Some(&house.recorded)).unwrap();
    assert!(!house.recorded.is_by_hand());
    house.later().await;
    assert_eq!(house.gate.take_news(), []);

    house.recorded = EndpointState::resumed_by_hand(1);
    house.open().await;
    assert_eq!(house.gate.take_news(), [Change::Resumed]);
    house.fail_five_times().await;
    // What the person did before is not obeyed again.
    house.later().await;
    assert_eq!(house.gate.take_news().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_did_is_not_overwritten_before_it_is_obeyed() {
    let house = slots(32);
    house.fail_five_times().await;
    let by_hand = EndpointState::paused_by_hand(None, 1);
    assert_eq!(house.gate.record(Some(&by_hand)), None);
    let newer = EndpointState::of_pause(&tidings_core::pause::Pause::default(), 2);
    assert_eq!(house.gate.record(Some(&newer)), None);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_of_the_webhook_ends_its_pause() {
    let mut house = slots(32);
    house.fail_five_times().await;
    assert_eq!(house.gate.take_news().len(), 1);
    house.version = 2;
    house.open().await;
    assert_eq!(house.gate.take_news(), [Change::Resumed]);
}
