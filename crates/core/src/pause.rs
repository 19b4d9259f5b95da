//! Pausing a slow or failing endpoint, and letting it recover (CONTRACT.md section 5.4).
//!
//! A pure state machine, fed with outcomes and the time. `Flowing` lets deliveries go; `Paused`
//! lets none go until its time; then one probe decides: its success leads to `Ramping`, which lets
//! twice as many go at once with every success, and half as many with a failure, until the endpoint
//! has its full share again; its failure pauses for longer.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many failures in a row pause an endpoint.
pub const FAILURES_MAX: u32 = 5;
/// The first pause.
pub const PAUSE_MIN: Duration = Duration::from_secs(10);
/// The longest pause that Tidings chooses by itself.
pub const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The longest pause that an endpoint may ask for with `Retry-After`.
pub const ASKED_MAX: Duration = crate::retry::RETRY_AFTER_MAX;

/// Why an endpoint is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Too many failures in a row.
    Failing,
    /// It asked for time with 429 or 503 and `Retry-After`.
    Asked,
    /// Its slots stayed full for longer than its timeout.
    Slow,
    /// A person paused it.
    Manual,
}

impl Cause {
    /// The cause's name in states and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Asked => "asked",
            Self::Slow => "slow",
            Self::Manual => "manual",
        }
    }
}

/// What may happen to a delivery now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It may go if fewer than this many of its webhook are under way.
    Go {
        /// The endpoint's share for now.
        in_flight_max: u32,
    },
    /// It may go, alone, and decides what follows.
    Probe,
    /// It may not go before `until`; `None` means until a person resumes the endpoint.
    Wait {
        /// When to ask again.
        until: Option<Timestamp>,
    },
}

/// What a change of state means to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The endpoint was flowing and is paused now.
    Paused {
        /// Why.
        cause: Cause,
        /// Until when; `None` means until a person resumes it.
        until: Option<Timestamp>,
    },
    /// The endpoint was paused already and is for longer.
    Prolonged {
        /// Why.
        cause: Cause,
        /// Until when.
        until: Timestamp,
    },
    /// The endpoint is open again.
    Resumed,
}

/// What an attempt told about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It took the delivery.
    Success,
    /// It did not.
    Failure,
    /// It did not, and asked for time (429 or 503 with `Retry-After`).
    Asked {
        /// For how long.
        wait: Duration,
    },
}

/// Whether an endpoint's deliveries may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Pause {
    /// They may.
    Flowing {
        /// Failures since the last success.
        failures: u32,
    },
    /// They may not.
    Paused {
        /// Why.
        cause: Cause,
        /// Until when; `null` until a person resumes it.
        until: Option<Timestamp>,
        /// How many pauses there were since the endpoint last took a delivery.
        pauses: u32,
    },
    /// One of them is under way and decides.
    Probing {
        /// When it must have ended; a probe that got lost is followed by another.
        until: Timestamp,
        /// How many pauses there were since the endpoint last took a delivery.
        pauses: u32,
    },
    /// More and more of them may.
    Ramping {
        /// How many may be under way at once.
        in_flight_max: u32,
        /// Failures since the last success.
        #[serde(default)]
        failures: u32,
    },
}

impl Default for Pause {
    fn default() -> Self {
        Self::Flowing { failures: 0 }
    }
}

impl Pause {
    /// Asks whether a delivery may go at `now`. `probe_timeout` is how long an attempt may take.
    pub fn ask(&mut self, now: Timestamp, probe_timeout: Duration, full: u32) -> Permission {
        match *self {
            Self::Flowing { .. } => Permission::Go {
                in_flight_max: full,
            },
            Self::Ramping { in_flight_max, .. } => Permission::Go {
                in_flight_max: in_flight_max.min(full),
            },
            Self::Paused { until: None, .. } => Permission::Wait { until: None },
            Self::Paused {
                until: Some(until),
                pauses,
                ..
            }
            | Self::Probing { until, pauses } => {
                if now < until {
                    return Permission::Wait { until: Some(until) };
                }
                *self = Self::Probing {
                    until: after(now, probe_timeout),
                    pauses,
                };
                Permission::Probe
            }
        }
    }

    /// Takes in what the probe told at `now`: it decides whether the endpoint is open again. `full`
    /// is the endpoint's full share of slots.
    pub fn observe_probe(&mut self, signal: Signal, now: Timestamp, full: u32) -> Option<Change> {
        match signal {
            Signal::Success => self.succeed(full),
            Signal::Failure => self.fail(now),
            Signal::Asked { wait } => self.pause(Cause::Asked, now, wait.min(ASKED_MAX)),
        }
    }

    /// Takes in what any other attempt told at `now`. One that was under way when a pause began may
    /// prolong it, but only the probe ends it.
    pub fn observe(&mut self, signal: Signal, now: Timestamp, full: u32) -> Option<Change> {
        let is_shut = matches!(self, Self::Paused { .. } | Self::Probing { .. });
        match signal {
            Signal::Success | Signal::Failure if is_shut => None,
            _ => self.observe_probe(signal, now, full),
        }
    }

    /// The endpoint's slots stayed full for longer than its timeout.
    pub fn stall(&mut self, now: Timestamp) -> Option<Change> {
        match self {
            Self::Flowing { .. } | Self::Ramping { .. } => {
                self.pause(Cause::Slow, now, Duration::ZERO)
            }
            Self::Paused { .. } | Self::Probing { .. } => None,
        }
    }

    /// A probe ended without telling anything, as when its sender is stopped.
    pub fn forget_probe(&mut self, now: Timestamp) {
        if let Self::Probing { pauses, .. } = *self {
            *self = Self::Paused {
                cause: Cause::Failing,
                until: Some(now),
                pauses,
            };
        }
    }

    /// A person pauses the endpoint, until `until` or until it is resumed.
    pub fn pause_by_hand(&mut self, until: Option<Timestamp>) -> Change {
        *self = Self::Paused {
            cause: Cause::Manual,
            until,
            pauses: 0,
        };
        Change::Paused {
            cause: Cause::Manual,
            until,
        }
    }

    /// A person resumes the endpoint; it starts with a ramp.
    pub fn resume_by_hand(&mut self) -> Option<Change> {
        let was_shut = matches!(self, Self::Paused { .. } | Self::Probing { .. });
        was_shut.then(|| {
            *self = Self::Ramping {
                in_flight_max: 1,
                failures: 0,
            };
            Change::Resumed
        })
    }

    fn succeed(&mut self, full: u32) -> Option<Change> {
        match *self {
            Self::Flowing { .. } => {
                *self = Self::Flowing { failures: 0 };
                None
            }
            Self::Ramping { in_flight_max, .. } => {
                let doubled = in_flight_max.saturating_mul(2);
                *self = match doubled >= full {
                    true => Self::Flowing { failures: 0 },
                    false => Self::Ramping {
                        in_flight_max: doubled,
                        failures: 0,
                    },
                };
                None
            }
            // An attempt that began before a person paused the endpoint does not overrule them.
            Self::Paused {
                cause: Cause::Manual,
                ..
            } => None,
            Self::Paused { .. } | Self::Probing { .. } => {
                *self = Self::Ramping {
                    in_flight_max: 2.min(full.max(1)),
                    failures: 0,
                };
                Some(Change::Resumed)
            }
        }
    }

    fn fail(&mut self, now: Timestamp) -> Option<Change> {
        match *self {
            Self::Flowing { failures } if failures + 1 < FAILURES_MAX => {
                *self = Self::Flowing {
                    failures: failures + 1,
                };
                None
            }
            // One that fails now and then would never get its full share again if each failure
            // began a new pause.
            Self::Ramping {
                in_flight_max,
                failures,
            } if failures + 1 < FAILURES_MAX => {
                *self = Self::Ramping {
                    in_flight_max: (in_flight_max / 2).max(1),
                    failures: failures + 1,
                };
                None
            }
            Self::Flowing { .. } | Self::Ramping { .. } | Self::Probing { .. } => {
                self.pause(Cause::Failing, now, Duration::ZERO)
            }
            // One of those that were under way when the pause began.
            Self::Paused { .. } => None,
        }
    }

    /// Pauses for at least `asked`, and longer the more often it was necessary.
    fn pause(&mut self, cause: Cause, now: Timestamp, asked: Duration) -> Option<Change> {
        let (pauses, was_shut) = match *self {
            Self::Flowing { .. } | Self::Ramping { .. } => (0, false),
            Self::Probing { pauses, .. } => (pauses, true),
            Self::Paused {
                cause: Cause::Manual,
                ..
            }
            | Self::Paused { until: None, .. } => return None,
            Self::Paused {
                until: Some(until),
                pauses,
                ..
            } => {
                let wanted = after(now, asked);
                if wanted <= until {
                    return None;
                }
                *self = Self::Paused {
                    cause,
                    until: Some(wanted),
                    pauses,
                };
                return Some(Change::Prolonged {
                    cause,
                    until: wanted,
                });
            }
        };
        let until = after(now, pause_length(pauses).max(asked));
        *self = Self::Paused {
            cause,
            until: Some(until),
            pauses: pauses.saturating_add(1),
        };
        Some(match was_shut {
            true => Change::Prolonged { cause, until },
            false => Change::Paused {
                cause,
                until: Some(until),
            },
        })
    }
}

/// 10 s, 20 s, 40 s … 5 min.
fn pause_length(pauses: u32) -> Duration {
    PAUSE_MIN
        .saturating_mul(1_u32.checked_shl(pauses).unwrap_or(u32::MAX))
        .min(PAUSE_MAX)
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: u32 = 32;
    const TIMEOUT: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(pause: &mut Pause, times: usize, now: Timestamp) -> Option<Change> {
        (0..times)
            .filter_map(|_| pause.observe(Signal::Failure, now, FULL))
            .last()
    }

    #[test]
    fn the_fifth_failure_in_a_row_pauses() {
        let mut pause = Pause::default();
        assert_eq!(failed(&mut pause, 4, at(0)), None);
        pause.observe(Signal::Success, at(0), FULL);
        assert_eq!(failed(&mut pause, 4, at(0)), None);
        let until = Some(at(10));
        assert_eq!(
            failed(&mut pause, 1, at(0)),
            Some(Change::Paused {
                cause: Cause::Failing,
                until
            })
        );
        assert_eq!(pause.ask(at(9), TIMEOUT, FULL), Permission::Wait { until });
    }

    #[test]
    fn one_probe_at_a_time_decides_and_a_lost_one_is_followed_by_another() {
        let mut pause = Pause::default();
        failed(&mut pause, 5, at(0));
        assert_eq!(pause.ask(at(10), TIMEOUT, FULL), Permission::Probe);
        assert_eq!(
            pause.ask(at(11), TIMEOUT, FULL),
            Permission::Wait {
                until: Some(at(25))
            }
        );
        assert_eq!(pause.ask(at(25), TIMEOUT, FULL), Permission::Probe);
        assert_eq!(
            pause.observe_probe(Signal::Success, at(26), FULL),
            Some(Change::Resumed)
        );
    }

    #[test]
    fn pauses_grow_to_five_minutes_and_start_small_after_a_recovery() {
        let mut pause = Pause::default();
        let mut now = at(0);
        failed(&mut pause, 5, now);
        let mut lengths = Vec::new();
        for _ in 0..7 {
            let Permission::Wait { until: Some(until) } = pause.ask(now, TIMEOUT, FULL) else {
                panic!("it is paused");
            };
            lengths.push(until.duration_since(now).as_secs());
            now = until;
            assert_eq!(pause.ask(now, TIMEOUT, FULL), Permission::Probe);
            pause.observe_probe(Signal::Failure, now, FULL);
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300]);
        let Permission::Wait { until: Some(until) } = pause.ask(now, TIMEOUT, FULL) else {
            panic!("it is paused");
        };
        pause.ask(until, TIMEOUT, FULL);
        pause.observe_probe(Signal::Success, until, FULL);
        failed(&mut pause, 5, until);
        let soon = until + Duration::from_secs(10);
        assert_eq!(
            pause.ask(until, TIMEOUT, FULL),
            Permission::Wait { until: Some(soon) }
        );
    }

    #[test]
    fn a_backlog_returns_at_a_ramp() {
        let mut pause = Pause::default();
        failed(&mut pause, 5, at(0));
        pause.ask(at(10), TIMEOUT, FULL);
        let mut shares = Vec::new();
        for _ in 0..5 {
            pause.observe_probe(Signal::Success, at(10), FULL);
            let Permission::Go { in_flight_max } = pause.ask(at(10), TIMEOUT, FULL) else {
                panic!("it flows");
            };
            shares.push(in_flight_max);
        }
        assert_eq!(shares, [2, 4, 8, 16, 32]);
        assert_eq!(pause, Pause::Flowing { failures: 0 });
    }

    #[test]
    fn an_endpoint_that_fails_now_and_then_gets_its_full_share_again() {
        let mut pause = Pause::default();
        failed(&mut pause, 5, at(0));
        pause.ask(at(10), TIMEOUT, FULL);
        for attempt in 0..100 {
            let signal = match attempt % 5 {
                4 => Signal::Failure,
                _ => Signal::Success,
            };
            pause.observe_probe(signal, at(10), FULL);
        }
        assert!(matches!(pause, Pause::Flowing { .. }), "{pause:?}");
    }

    #[test]
    fn what_an_endpoint_asks_for_is_granted_up_to_a_day() {
        let mut pause = Pause::default();
        let asked = |seconds| Signal::Asked {
            wait: Duration::from_secs(seconds),
        };
        pause.observe(asked(3_600), at(0), FULL);
        assert_eq!(
            pause.ask(at(1), TIMEOUT, FULL),
            Permission::Wait {
                until: Some(at(3_600))
            }
        );
        pause.observe(asked(1_000_000), at(1), FULL);
        assert_eq!(
            pause.ask(at(2), TIMEOUT, FULL),
            Permission::Wait {
                until: Some(at(86_401))
            }
        );
        pause.observe(asked(1), at(2), FULL);
        assert_eq!(
            pause.ask(at(3), TIMEOUT, FULL),
            Permission::Wait {
                until: Some(at(86_401))
            }
        );
    }

    #[test]
    fn what_was_under_way_when_a_pause_began_neither_ends_nor_prolongs_it() {
        let mut pause = Pause::default();
        pause.stall(at(0));
        assert_eq!(pause.observe(Signal::Success, at(1), FULL), None);
        assert_eq!(pause.observe(Signal::Failure, at(1), FULL), None);
        let until = Some(at(10));
        assert_eq!(pause.ask(at(2), TIMEOUT, FULL), Permission::Wait { until });
        assert_eq!(pause.ask(at(10), TIMEOUT, FULL), Permission::Probe);
        assert_eq!(pause.observe(Signal::Success, at(11), FULL), None);
        assert_eq!(
            pause.observe_probe(Signal::Success, at(11), FULL),
            Some(Change::Resumed)
        );
    }

    #[test]
    fn a_person_overrules_the_machine() {
        let mut pause = Pause::default();
        pause.pause_by_hand(None);
        assert_eq!(pause.observe_probe(Signal::Success, at(1), FULL), None);
        assert_eq!(
            pause.ask(at(1_000_000), TIMEOUT, FULL),
            Permission::Wait { until: None }
        );
        assert_eq!(pause.resume_by_hand(), Some(Change::Resumed));
        assert_eq!(
            pause.ask(at(2), TIMEOUT, FULL),
            Permission::Go { in_flight_max: 1 }
        );
        assert_eq!(pause.resume_by_hand(), None);
    }

    #[test]
    fn stalling_pauses_once() {
        let mut pause = Pause::default();
        assert!(matches!(
            pause.stall(at(0)),
            Some(Change::Paused {
                cause: Cause::Slow,
                ..
            })
        ));
        assert_eq!(pause.stall(at(1)), None);
    }

    proptest! {
        /// Over any history: a healthy endpoint ends up flowing, a dead one gets at most one probe
        /// a pause, and no wait is longer than what was asked for or five minutes.
        #[test]
        fn a_long_history_keeps_its_promises(
            steps in prop::collection::vec((0_u8..6, 1_u32..120), 1..400),
        ) {
            let mut pause = Pause::default();
            let mut now = at(0);
            let mut probes_open = 0;
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds.into());
                let permission = pause.ask(now, TIMEOUT, FULL);
                let observe = match permission {
                    Permission::Probe => Pause::observe_probe,
                    _ => Pause::observe,
                };
                match permission {
                    Permission::Probe => probes_open = 1,
                    Permission::Go { in_flight_max } => {
                        prop_assert!((1..=FULL).contains(&in_flight_max));
                        probes_open = 0;
                    }
                    Permission::Wait { until } => {
                        let until = until.expect("nobody paused it by hand");
                        prop_assert!(until > now);
                        prop_assert!(until <= now + PAUSE_MAX + TIMEOUT);
                    }
                }
                prop_assert!(probes_open <= 1);
                match step {
                    0 | 1 => { observe(&mut pause, Signal::Success, now, FULL); }
                    2 | 3 => { observe(&mut pause, Signal::Failure, now, FULL); }
                    4 => { observe(&mut pause, Signal::Asked { wait: Duration::from_secs(7) }, now, FULL); }
                    _ => { pause.stall(now); }
                }
            }
            for _ in 0..20 {
                now += PAUSE_MAX;
                pause.ask(now, TIMEOUT, FULL);
                pause.observe_probe(Signal::Success, now, FULL);
            }
            prop_assert_eq!(pause, Pause::Flowing { failures: 0 });
        }
    }
}
