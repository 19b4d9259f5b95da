//! Whether a webhook's next attempt may begin now (DESIGN.md section 7).
//!
//! In this order: is the endpoint paused, is a slot free (of its own limit, and of its share of the
//! sender's permits), does the rate allow it. Who must wait for
//! long gets a time to come back at, and comes back as a message then, so that it keeps nobody else
//! waiting. One gate serves one webhook, in the one sender that works its partition.

mod slots;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidings_core::pause::{Change, Signal};
use tidings_core::webhook::{DeliveryPlan, EndpointState, RateLimit};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::hosts::Host;
use crate::partitions::Tenure;
use crate::permits::Permits;
use state::{Answer, State};

/// Nobody waits here longer than this, whatever was expected.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Who wakes up so much too late was stopped together with this whole process, or with the machine,
/// and has learnt nothing about the endpoint.
const OVERSLEPT: Duration = Duration::from_millis(250);
/// How many deliveries of one webhook wait here for their turn. Others come back as messages, so
/// that they leave their lane's room to other webhooks.
const PACED_MAX: u32 = 16;
/// How many of a webhook with a high rate wait here once they have come back for their turn, those
/// above included. The broker brings those that are due in a second together, and whoever were sent
/// away again would be shuffled.
const PACED_TURNS_MAX: u32 = 128;

/// What a webhook's attempts have to pass. One for a webhook in a sender.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    /// Told when one more may go.
    freed: Notify,
    clock: fn() -> Timestamp,
}

/// What the gate has to know to decide.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The webhook's limits.
    pub plan: &'a DeliveryPlan,
    /// The version of its definition.
    pub version: u64,
    /// What is recorded about its endpoint.
    pub recorded: &'a EndpointState,
    /// For how long this sender works its partition.
    pub tenure: &'a Tenure,
    /// What it shares with all other webhooks.
    pub permits: &'a Permits,
    /// What it shares with those that call the same host.
    pub host: Option<&'a Host>,
    /// Whether the delivery waited for its turn, and this is it.
    pub has_turn: bool,
}

/// What the gate says.
#[derive(Debug)]
pub enum Entry {
    /// Go.
    Open(Slot),
    /// Come back after this time.
    Later {
        /// The time.
        wait: Duration,
        /// Whether the delivery has a turn then, which it is to show.
        has_turn: bool,
    },
}

/// The right to have one request to the webhook under way; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    gate: Arc<Gate>,
    since: Instant,
    /// Whether its outcome decides if the endpoint's pause ends; `false` once that was told.
    is_untold_probe: bool,
}

impl Gate {
    /// A gate that nobody has passed. `clock` tells the time that pauses are measured by.
    #[must_use]
    pub fn new(clock: fn() -> Timestamp) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(Instant::now())),
            freed: Notify::new(),
            clock,
        })
    }

    /// Asks to go. Drop the future to leave.
    pub async fn enter(self: &Arc<Self>, visit: &Visit<'_>) -> Entry {
        let mut until = Instant::now() + WAIT_MAX;
        let mut has_turn = visit.has_turn;
        let mut waiting = None;
        loop {
            // Before asking, so that a slot that comes back in between is noticed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let answer = self
                .state()
                .ask(visit, has_turn, self.now(), Instant::now());
            match answer {
                Answer::Go { is_probe } => return Entry::Open(self.slot(is_probe)),
                Answer::Later(wait) => return Entry::Later { wait, has_turn },
                Answer::Full { patience } => {
                    if waiting.is_none() {
                        if self.state().slots.expected_wait() > patience {
                            let wait = self.state().slots.turn(Instant::now());
                            return Entry::Later { wait, has_turn };
                        }
                        waiting = Some(Waiting::new(self, |state| &mut state.slots.waiting));
                    }
                    if timeout_at(until, freed).await.is_err() {
                        if until.elapsed() > OVERSLEPT {
                            until = Instant::now() + WAIT_MAX;
                            continue;
                        }
                        let wait = self.state().slots.give_up(Instant::now());
                        return Entry::Later { wait, has_turn };
                    }
                }
                Answer::NotBefore(wait) => {
                    // It leaves a free slot to whoever waits for one.
                    self.freed.notify_one();
                    let Some(_paced) = self.pace(wait, visit.plan.rate_limit, has_turn) else {
                        let wait = match has_turn {
                            false => wait,
                            // Too many came for their turns at once, as after a pause.
                            true => self.state().next_turn(Instant::now()).unwrap_or(wait),
                        };
                        return Entry::Later {
                            wait,
                            has_turn: true,
                        };
                    };
                    has_turn = true;
                    waiting = None;
                    sleep(wait).await;
                }
            }
        }
    }

    /// Whether the endpoint is paused, and until when; until a person resumes it if that is not
    /// said.
    #[must_use]
    pub fn paused_until(&self) -> Option<Option<Timestamp>> {
        self.state().paused_until()
    }

    /// What changed since this was asked last, for others to know.
    #[must_use]
    pub fn take_news(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().news)
    }

    /// What is to be recorded over `recorded`; `None` if that is to stay.
    #[must_use]
    pub fn record(&self, recorded: Option<&EndpointState>) -> Option<EndpointState> {
        self.state().record(recorded)
    }

    /// A place among those that wait here for their turn, if it comes soon and one is left.
    fn pace(&self, wait: Duration, limit: RateLimit, has_turn: bool) -> Option<Waiting<'_>> {
        let paced_max = match has_turn {
            true => within(WAIT_MAX, limit).clamp(PACED_MAX, PACED_TURNS_MAX),
            false => PACED_MAX,
        };
        let is_soon = wait <= WAIT_MAX && self.state().paced < paced_max;
        is_soon.then(|| Waiting::new(self, |state| &mut state.paced))
    }

    fn slot(self: &Arc<Self>, is_probe: bool) -> Slot {
        Slot {
            gate: Arc::clone(self),
            since: Instant::now(),
            is_untold_probe: is_probe,
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many may go in `time` at the pace of `limit`.
fn within(time: Duration, limit: RateLimit) -> u32 {
    let count = time.as_secs_f64() / limit.per.as_secs_f64() * f64::from(limit.requests.get());
    // Saturates, which is all that is needed.
    count as u32
}

impl Slot {
    /// Whether no other request to the webhook is under way.
    #[must_use]
    pub fn is_only(&self) -> bool {
        self.gate.state().slots.taken == 1
    }

    /// What the attempt told about the endpoint. An attempt that says nothing is not told.
    pub fn tell(&mut self, signal: Signal, plan: &DeliveryPlan) {
        let now = self.gate.now();
        let is_probe = std::mem::take(&mut self.is_untold_probe);
        self.gate.state().observe(signal, is_probe, now, plan);
        // The endpoint's share may have grown.
        self.gate.freed.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let now = self.gate.now();
        let mut state = self.gate.state();
        state.slots.give_back(self.since.elapsed(), Instant::now());
        if self.is_untold_probe {
            state.forget_probe(now);
        }
        drop(state);
        self.gate.freed.notify_one();
    }
}

/// Counts who waits, however the wait ends.
struct Waiting<'a> {
    gate: &'a Gate,
    count: fn(&mut State) -> &mut u32,
}

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate, count: fn(&mut State) -> &mut u32) -> Self {
        *count(&mut gate.state()) += 1;
        Self { gate, count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *(self.count)(&mut self.gate.state()) -= 1;
    }
}

#[cfg(test)]
mod tests;
