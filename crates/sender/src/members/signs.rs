//! Who lives, as far as the signs of life tell that came in here.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::{BEAT, SILENCE_MAX};

/// The signs of life of one pool.
#[derive(Debug)]
pub(super) struct Signs {
    own: String,
    seen: HashMap<String, Instant>,
    /// Whether this sender hears not even itself: it was frozen, or the broker is away. Then the
    /// silence of others means nothing.
    is_deaf: bool,
}

impl Signs {
    /// No signs; `own` is the name of this sender.
    pub(super) fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            seen: HashMap::new(),
            is_deaf: false,
        }
    }

    /// `name` gave a sign.
    pub(super) fn hear(&mut self, name: &str, now: Instant) {
        if name == self.own {
            self.check_hearing(now);
            if self.is_deaf {
                // Who lives has the whole time again to show it.
                self.seen.values_mut().for_each(|at| *at = now);
                self.is_deaf = false;
            }
        }
        self.seen.insert(name.to_owned(), now);
    }

    /// `name` said farewell.
    pub(super) fn forget(&mut self, name: &str) {
        self.seen.remove(name);
    }

    /// Only these `names` gave a sign.
    pub(super) fn retain(&mut self, names: &HashSet<&str>) {
        self.seen.retain(|name, _| names.contains(name.as_str()));
    }

    /// Who lives, sorted, this sender among them; `None` while that cannot be told.
    pub(super) fn alive(&mut self, now: Instant) -> Option<Vec<String>> {
        self.check_hearing(now);
        if self.is_deaf {
            return None;
        }
        self.seen
            .retain(|_, at| now.duration_since(*at) < SILENCE_MAX);
        let mut names: Vec<String> = self.seen.keys().cloned().collect();
        names.sort_unstable();
        Some(names)
    }

    fn check_hearing(&mut self, now: Instant) {
        let heard = self.seen.get(&self.own);
        self.is_deaf |= heard.is_none_or(|at| now.duration_since(*at) > BEAT * 5 / 2);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Hears `names` once a second until `end`.
    fn hear_all(signs: &mut Signs, names: &[&str], seconds: std::ops::Range<u64>, start: Instant) {
        for second in seconds {
            for name in names {
                signs.hear(name, start + Duration::from_secs(second));
            }
        }
    }

    #[tokio::test]
    async fn who_is_silent_for_five_seconds_is_dead_and_who_says_farewell_at_once() {
        let start = Instant::now();
        let mut signs = Signs::new("a");
        hear_all(&mut signs, &["b", "c"], 0..1, start);
        hear_all(&mut signs, &["a"], 0..5, start);
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(signs.alive(at(4)).unwrap(), ["a", "b", "c"]);
        signs.forget("b");
        assert_eq!(signs.alive(at(4)).unwrap(), ["a", "c"]);
        hear_all(&mut signs, &["a"], 5..6, start);
        assert_eq!(signs.alive(at(5)).unwrap(), ["a"]);
    }

    #[tokio::test]
    async fn who_hears_not_even_itself_takes_nobody_for_dead() {
        let start = Instant::now();
        let mut signs = Signs::new("a");
        assert_eq!(signs.alive(start), None);
        hear_all(&mut signs, &["a", "b"], 0..3, start);
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(signs.alive(at(60)), None);
        signs.hear("a", at(61));
        assert_eq!(signs.alive(at(61)).unwrap(), ["a", "b"]);
        hear_all(&mut signs, &["a"], 62..67, start);
        assert_eq!(signs.alive(at(66)).unwrap(), ["a"]);
    }

    #[tokio::test]
    async fn the_first_thing_heard_after_a_silence_may_be_ones_own_sign() {
        let start = Instant::now();
        let mut signs = Signs::new("a");
        hear_all(&mut signs, &["a", "b"], 0..3, start);
        signs.hear("a", start + Duration::from_secs(60));
        assert_eq!(
            signs.alive(start + Duration::from_secs(60)).unwrap(),
            ["a", "b"]
        );
    }
}
