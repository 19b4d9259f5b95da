//! One delivery: take, decide, act, settle.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidings_core::attempt::Outcome;
use tidings_core::dead_letter::Reason;
use tidings_core::delivery::Delivery;
use tidings_core::pause::Signal;
use tidings_core::verdict::{Verdict, is_expired, judge};
use tidings_core::waiting::Hindrance;
use tidings_core::webhook::Status;
use tidings_egress::EgressClient;
use tidings_nats::event_time;
use tidings_service::clock;
use tracing::warn;

use crate::attempt::{Attempt, attempt};
use crate::gate::{self, Slot};
use crate::hand::Taken;
use crate::hosts::{HostSlot, Hosts};
use crate::log;
use crate::metrics::Metrics;
use crate::open::{Opened, open};
use crate::partitions::Tenure;
use crate::payloads::{PayloadError, Whole};
use crate::permits::{Asker, Lane, Permit, Permits, Rank};
use crate::pull::Room;
use crate::record::Recorder;
use crate::settle::{Attempted, Settler, Step, has_turn, later, tell};
use crate::spans;
use crate::webhooks::{Entry, Found, Webhooks};

/// A message that the broker has delivered more often than this was in hand whenever its sender
/// died, or was handed back very often. More than the three deaths of DESIGN.md section 2, because
/// a restarted broker and a draining sender count here, too.
const DELIVERED_MAX: i64 = 5;
/// A message that the broker has delivered this often is not handed back once more.
const HANDED_BACK_MAX: i64 = 3;
/// How long a delivery is put off whose webhook the watch has not brought yet.
const LAG: Duration = Duration::from_secs(1);
/// How long a delivery is put off for which its host or this sender has no room, at the least.
const NO_ROOM: Duration = Duration::from_secs(1);
/// How long a delivery is put off whose attempt failed through our own fault.
const OUR_FAULT: Duration = Duration::from_secs(5);
/// How long a delivery is put off whose payload could not be fetched, at the least. It was waited for
/// already, and its endpoint has nothing to do with it.
const NOT_FETCHED: Duration = Duration::from_secs(1);
/// How long a delivery is put off whose webhook's secrets no key opens.
const LOCKED: Duration = Duration::from_secs(15);
/// How long a message of a newer version is left to newer senders.
const LEFT_TO_NEWER: Duration = Duration::from_secs(10);

/// Sends deliveries.
#[derive(Debug)]
pub struct Sender {
    pub(crate) client: EgressClient,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) hosts: Hosts,
    pub(crate) permits: Arc<Permits>,
    pub(crate) recorder: Recorder,
    pub(crate) settler: Settler,
    pub(crate) metrics: Arc<Metrics>,
}

/// All that an attempt needs to be under way.
struct Ticket {
    slot: Slot,
    host: Option<HostSlot>,
    permit: Permit,
}

/// What is decided about a delivery.
enum Decision {
    /// Its attempt begins now.
    Go(Arc<Entry>, Ticket),
    /// It gets no attempt now; this follows.
    Settle(Step),
    /// It is for another sender.
    HandBack,
}

impl Sender {
    /// Brings one message to its next step; `tenure` is that of its partition. If this future is
    /// dropped, the message comes again.
    pub async fn send(&self, taken: Taken, room: Option<Room>, tenure: &Tenure) {
        let opened = match open(&taken) {
            Ok(opened) => opened,
            Err(error) if error.is_newer() => {
                warn!(%error, "leaving a delivery to newer senders");
                return Box::pin(self.settler.put_off_raw(taken, LEFT_TO_NEWER)).await;
            }
            Err(error) => return Box::pin(self.settler.bury_unread(taken, &error)).await,
        };
        let span = spans::process(&taken, &opened);
        // Boxed, or the task would have room for it twice: before and after it is covered.
        let working = Box::pin(self.work(taken, room, tenure, Box::new(opened)));
        span.cover(working).await;
    }

    /// Its steps are boxed, so that an attempt under way, of which there may be thousands, does not
    /// hold room for those before and after it.
    async fn work(
        &self,
        taken: Taken,
        room: Option<Room>,
        tenure: &Tenure,
        mut opened: Box<Opened>,
    ) {
        let (webhook, ticket) = match Box::pin(self.decide(&taken, &opened, tenure)).await {
            Decision::Go(webhook, ticket) => (webhook, ticket),
            Decision::Settle(step) => {
                return Box::pin(self.settle(taken, &opened, step)).await;
            }
            Decision::HandBack => return taken.hand_back().await,
        };
        drop(room);
        if let Err(step) = Box::pin(self.complete(&mut opened)).await {
            drop(ticket);
            return Box::pin(self.settle(taken, &opened, step)).await;
        }
        let Ticket {
            mut slot,
            host,
            permit,
        } = ticket;
        let stored_at = event_time::read(taken.headers.as_ref());
        let attempt = self.attempt(&webhook, &opened, stored_at).await;
        if let Some(signal) = signal(&attempt) {
            slot.tell(signal, &webhook.plan);
        }
        drop((slot, host));
        self.settler.herald.tell_news(&webhook, &opened).await;
        let step = next_step(&webhook, &opened.delivery, &attempt);
        log::attempt(&opened, &attempt, &step);
        let record = Box::pin(self.recorder.record(&opened, &attempt, &step));
        let mut permit = Some(permit);
        let attempted = Some(Attempted {
            outcome: &attempt.outcome,
            webhook: &webhook,
            permit: &mut permit,
        });
        let settle = self.settler.settle(taken, &opened, step, attempted, record);
        Box::pin(settle).await;
        drop(permit);
    }

    /// Settles a delivery that gets no attempt now. What keeps it from its first is recorded.
    async fn settle(&self, taken: Taken, opened: &Opened, step: Step) {
        let place = taken.place;
        // Before anything is stored: what becomes a dead letter after all did so later.
        let at = clock::now();
        let mut told = None;
        if let Step::PutOff { hindrance, .. } = step
            && let Some((hindrance, until)) = hindrance
        {
            self.metrics.put_off(hindrance);
            let is_told = tell(&taken, &opened.delivery, Some(hindrance)).is_some();
            told = is_told.then_some((hindrance, until));
        }
        let record = async {
            if let Some(told) = told {
                let waiting = self.recorder.waiting(opened, place, told, at);
                Box::pin(waiting).await;
            }
        };
        let settle = self.settler.settle(taken, opened, step, None, record);
        Box::pin(settle).await;
    }

    async fn decide(&self, taken: &Taken, opened: &Opened, tenure: &Tenure) -> Decision {
        let delivery = &opened.delivery;
        let deciding = async {
            let webhook = match self.webhooks.find(delivery).await {
                Found::Known(webhook) => webhook,
                Found::Missing(reason) => {
                    return Decision::Settle(Step::refuse(delivery, reason));
                }
                Found::NotYet => {
                    let step = Step::hinder(clock::now(), LAG, Hindrance::NotKnown);
                    return Decision::Settle(step);
                }
            };
            let now = clock::now();
            if let Some(reason) = refusal(&webhook, delivery, taken.delivered, now) {
                return Decision::Settle(Step::refuse(delivery, reason));
            }
            if webhook.is_locked() {
                let step = Step::hinder(clock::now(), LOCKED, Hindrance::Locked);
                return Decision::Settle(step);
            }
            let host = webhook.origin().map(|origin| self.hosts.at(origin));
            let visit = gate::Visit {
                plan: &webhook.plan,
                version: webhook.version,
                recorded: &webhook.state,
                tenure,
                permits: &self.permits,
                host: host.as_ref(),
                has_turn: has_turn(taken),
            };
            let entry = webhook.gate.enter(&visit).await;
            self.settler.herald.tell_news(&webhook, opened).await;
            let slot = match entry {
                gate::Entry::Open(slot) => slot,
                gate::Entry::Later { wait, has_turn } => {
                    return Decision::Settle(hindered(&webhook, wait, has_turn));
                }
            };
            let host = match host {
                Some(host) => match host.enter(slot.is_only()).await {
                    Some(host) => Some(host),
                    None => {
                        return Decision::Settle(hinder_a_little(NO_ROOM, Hindrance::Host));
                    }
                },
                None => None,
            };
            let asker = Asker {
                rank: rank(taken, delivery),
                space: &delivery.space,
                webhook: &delivery.webhook_id,
            };
            let Some(permit) = self.permits.acquire(asker).await else {
                return Decision::Settle(hinder_a_little(NO_ROOM, Hindrance::Permits));
            };
            Decision::Go(webhook, Ticket { slot, host, permit })
        };
        let decided = tenure.closing.run_until_cancelled(deciding).await;
        decided.unwrap_or_else(|| match taken.delivered < HANDED_BACK_MAX {
            true => Decision::HandBack,
            // It is stored anew, so that nobody takes it for one that kills senders.
            false => Decision::Settle(Step::put_off(clock::now(), Duration::ZERO)),
        })
    }

    /// Fetches the payload of a delivery that has left it in the stream of events; what follows
    /// instead of an attempt if there is none.
    async fn complete(&self, opened: &mut Opened) -> Result<(), Step> {
        if !opened.delivery.by_reference {
            return Ok(());
        }
        match self.settler.payloads.get(&opened.delivery).await {
            Ok(Whole { event, payload, .. }) => {
                opened.event.payload = payload;
                opened.whole = Some(event);
                Ok(())
            }
            Err(error @ PayloadError::Missing { .. }) => {
                warn!(delivery = %opened.delivery.id, %error, "a payload is missing");
                Err(Step::refuse(&opened.delivery, Reason::PayloadMissing))
            }
            Err(error) => {
                warn!(delivery = %opened.delivery.id, %error, "putting a delivery off");
                Err(hinder_a_little(NOT_FETCHED, Hindrance::Payload))
            }
        }
    }

    async fn attempt(
        &self,
        webhook: &Entry,
        opened: &Opened,
        stored_at: Option<Timestamp>,
    ) -> Attempt {
        let delivery = &opened.delivery;
        if delivery.progress.attempt == 1 {
            self.metrics
                .first_attempt(delivery.created_at, stored_at, clock::now());
        }
        let _in_flight = self.metrics.in_flight();
        let attempt = Box::pin(attempt(&self.client, webhook, opened)).await;
        self.metrics.attempt(&attempt);
        attempt
    }
}

/// What follows for a delivery that the gate sends away for `wait`.
fn hindered(webhook: &Entry, wait: Duration, has_turn: bool) -> Step {
    let at = later(clock::now(), wait);
    let hindrance = match (webhook.gate.paused_until(), has_turn) {
        (Some(until), _) => (Hindrance::Paused, until),
        (None, true) => (Hindrance::Rate, Some(at)),
        (None, false) => (Hindrance::Slots, Some(at)),
    };
    Step::PutOff {
        at,
        has_turn,
        hindrance: Some(hindrance),
    }
}

/// For `least` and up to twice as long, so that not all come back at once.
fn hinder_a_little(least: Duration, hindrance: Hindrance) -> Step {
    let wait = least.mul_f64(1.0 + rand::random::<f64>());
    Step::hinder(clock::now(), wait, hindrance)
}

/// Among first attempts a higher number is that of a redelivery.
fn rank(taken: &Taken, delivery: &Delivery) -> Rank {
    match taken.place.lane {
        Lane::First if delivery.progress.attempt > 1 => Rank::Replay,
        Lane::First => Rank::First,
        Lane::Retry => Rank::Retry,
    }
}

/// What an attempt tells about its endpoint; nothing if it failed through our own fault, or if
/// nothing was sent because nothing could be rendered.
fn signal(attempt: &Attempt) -> Option<Signal> {
    if attempt.is_our_fault || matches!(attempt.outcome, Outcome::Unrenderable { .. }) {
        return None;
    }
    Some(match attempt.outcome {
        Outcome::Answered {
            status: 429 | 503,
            retry_after: Some(wait),
        } => Signal::Asked { wait },
        _ if attempt.outcome.is_success() => Signal::Success,
        _ => Signal::Failure,
    })
}

/// Why a delivery gets no attempt.
fn refusal(webhook: &Entry, delivery: &Delivery, delivered: i64, now: Timestamp) -> Option<Reason> {
    if webhook.state.status == Status::Disabled {
        return Some(Reason::WebhookDisabled);
    }
    if is_expired(&webhook.plan, delivery.progress, now) {
        return Some(Reason::Expired);
    }
    (delivered > DELIVERED_MAX).then_some(Reason::Quarantined)
}

fn next_step(webhook: &Entry, delivery: &Delivery, attempt: &Attempt) -> Step {
    let now = clock::now();
    if attempt.is_our_fault {
        return Step::put_off(now, OUR_FAULT);
    }
    let draw = rand::random();
    match judge(
        &webhook.plan,
        delivery.progress,
        &attempt.outcome,
        now,
        draw,
    ) {
        Verdict::Delivered => Step::Done,
        Verdict::Retry { at } => Step::Retry { at },
        Verdict::Dead(reason) => Step::Bury {
            reason,
            progress: delivery.progress.next(),
        },
    }
}
