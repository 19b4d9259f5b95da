//! Who guesses tokens has to wait, and longer each time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;

/// Wrong tokens that are forgiven: people mistype.
const FREE_TRIES: u32 = 5;
/// The first wait; it doubles with every further wrong token.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Callers that are remembered at once.
const CALLERS_MAX: usize = 10_000;

/// What is remembered of callers that gave wrong tokens.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    callers: HashMap<IpAddr, Caller>,
}

#[derive(Debug, Clone, Copy)]
struct Caller {
    failures: u32,
    last: Timestamp,
}

impl Caller {
    fn until(self) -> Timestamp {
        let Some(extra) = self.failures.checked_sub(FREE_TRIES) else {
            return self.last;
        };
        let factor = 1_u32.checked_shl(extra).unwrap_or(u32::MAX);
        let wait = FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT);
        self.last.checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn is_forgotten(self, now: Timestamp) -> bool {
        let end = self.until().checked_add(LONGEST_WAIT);
        end.is_ok_and(|end| now >= end)
    }
}

impl Lockout {
    /// How long a caller has still to wait before a token of theirs is looked at.
    pub(crate) fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let caller = self.callers.get(&network(address))?;
        let left = Duration::try_from(caller.until().duration_since(now)).ok()?;
        (!left.is_zero()).then_some(left)
    }

    /// A caller gave a wrong token.
    pub(crate) fn failed(&mut self, address: IpAddr, now: Timestamp) {
        let address = network(address);
        if !self.callers.contains_key(&address) && self.callers.len() >= CALLERS_MAX {
            self.make_room(now);
        }
        let caller = self.callers.entry(address).or_insert(Caller {
            failures: 0,
            last: now,
        });
        if caller.is_forgotten(now) {
            caller.failures = 0;
        }
        caller.failures = caller.failures.saturating_add(1);
        caller.last = now;
    }

    /// A caller gave a good token.
    pub(crate) fn succeeded(&mut self, address: IpAddr) {
        self.callers.remove(&network(address));
    }

    /// Forgets who has waited, and if nobody has, who has the least to wait.
    fn make_room(&mut self, now: Timestamp) {
        self.callers.retain(|_, caller| !caller.is_forgotten(now));
        if self.callers.len() < CALLERS_MAX {
            return;
        }
        let least = self.callers.iter().min_by_key(|(_, caller)| caller.until());
        if let Some(address) = least.map(|(address, _)| *address) {
            self.callers.remove(&address);
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 around it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn guessing_is_slowed_down_more_and_more_and_others_feel_nothing() {
        let mut lockout = Lockout::default();
        let guesser = address("192.0.2.1");
        for _ in 0..FREE_TRIES - 1 {
            lockout.failed(guesser, at(0));
            assert_eq!(lockout.wait(guesser, at(0)), None);
        }
        lockout.failed(guesser, at(0));
        assert_eq!(lockout.wait(guesser, at(0)), Some(FIRST_WAIT));
        assert_eq!(lockout.wait(guesser, at(10)), None);
        lockout.failed(guesser, at(10));
        assert_eq!(lockout.wait(guesser, at(10)), Some(FIRST_WAIT * 2));
        for _ in 0..100 {
            lockout.failed(guesser, at(10));
        }
        assert_eq!(lockout.wait(guesser, at(10)), Some(LONGEST_WAIT));
        assert_eq!(lockout.wait(address("192.0.2.2"), at(10)), None);
    }

    #[test]
    fn a_good_token_and_time_make_good() {
        let mut lockout = Lockout::default();
        let caller = address("192.0.2.1");
        for _ in 0..FREE_TRIES {
            lockout.failed(caller, at(0));
        }
        lockout.succeeded(caller);
        assert_eq!(lockout.wait(caller, at(0)), None);
        for _ in 0..FREE_TRIES {
            lockout.failed(caller, at(0));
        }
        lockout.failed(caller, at(10_000));
        assert_eq!(lockout.wait(caller, at(10_000)), None, "that was long ago");
    }

    #[test]
    fn neighbours_in_an_ipv6_network_are_one_caller() {
        let mut lockout = Lockout::default();
        for host in 1..=FREE_TRIES {
            lockout.failed(address(&format!("2001:db8::{host}")), at(0));
        }
        assert!(lockout.wait(address("2001:db8::99"), at(0)).is_some());
        assert!(lockout.wait(address("2001:db8:0:1::1"), at(0)).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_keeps_the_worst() {
        let mut lockout = Lockout::default();
        let worst = address("198.51.100.1");
        for _ in 0..FREE_TRIES + 3 {
            lockout.failed(worst, at(0));
        }
        for number in 0..20_000_u32 {
            lockout.failed(std::net::Ipv4Addr::from(0x0a00_0000 + number).into(), at(1));
        }
        assert!(lockout.callers.len() <= CALLERS_MAX);
        assert!(lockout.wait(worst, at(1)).is_some());
    }
}
