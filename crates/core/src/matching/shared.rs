//! What many webhooks have in common, kept once.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::filter::Patterns;
use crate::name::{Pool, Space};
use crate::topic::TopicPattern;

/// Keeps one copy of the values that webhooks share: names of spaces and pools, lists of topics,
/// compiled regular expressions. What no webhook has any more is forgotten after a while.
#[derive(Debug, Default)]
pub struct Shared {
    patterns: Patterns,
    spaces: Kept<Space>,
    pools: Kept<Pool>,
    topics: Kept<[TopicPattern]>,
}

/// By its text, each value as long as somebody has it.
#[derive(Debug)]
struct Kept<T: ?Sized> {
    known: HashMap<Box<str>, Weak<T>>,
    tidy_at: usize,
}

impl<T: ?Sized> Default for Kept<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            tidy_at: 0,
        }
    }
}

impl<T: ?Sized> Kept<T> {
    fn get(&mut self, text: &str, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(value) = self.known.get(text).and_then(Weak::upgrade) {
            return value;
        }
        if self.known.len() >= self.tidy_at {
            self.known.retain(|_, value| value.strong_count() > 0);
            self.tidy_at = (self.known.len() * 2).max(64);
        }
        let value = make();
        self.known.insert(text.into(), Arc::downgrade(&value));
        value
    }
}

impl Shared {
    pub(super) fn patterns(&mut self) -> &mut Patterns {
        &mut self.patterns
    }

    pub(super) fn space(&mut self, space: &Space) -> Arc<Space> {
        self.spaces.get(space.as_str(), || Arc::new(space.clone()))
    }

    pub(super) fn pool(&mut self, pool: &Pool) -> Arc<Pool> {
        self.pools.get(pool.as_str(), || Arc::new(pool.clone()))
    }

    pub(super) fn topics(&mut self, topics: &[TopicPattern]) -> Arc<[TopicPattern]> {
        let texts: Vec<&str> = topics.iter().map(TopicPattern::as_str).collect();
        self.topics.get(&texts.join(" "), || Arc::from(topics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_kept_once_and_forgotten_when_unused() {
        let mut shared = Shared::default();
        let space = |number: u32| format!("space-{number}").parse::<Space>().unwrap();
        let one = shared.space(&space(1));
        assert!(Arc::ptr_eq(&one, &shared.space(&space(1))));
        for number in 2..1_000 {
            shared.space(&space(number));
        }
        assert!(shared.spaces.known.len() <= 64);
        assert!(Arc::ptr_eq(&one, &shared.space(&space(1))));
        let topics = |texts: &[&str]| -> Vec<TopicPattern> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let two = shared.topics(&topics(&["a.b", "c.*"]));
        assert!(Arc::ptr_eq(&two, &shared.topics(&topics(&["a.b", "c.*"]))));
        assert!(!Arc::ptr_eq(&two, &shared.topics(&topics(&["a.b"]))));
    }
}
