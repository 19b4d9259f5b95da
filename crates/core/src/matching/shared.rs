//! What many webhooks have in common, kept once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use sha2::{Digest as _, Sha256};

use super::subscriber::Wants;
use crate::filter::Patterns;
use crate::name::{Pool, Space};
use crate::topic::TopicPattern;
use crate::webhook::{Definition, FieldError};

/// Keeps one copy of the values that webhooks share: names of spaces and pools, lists of topics,
/// conditions, compiled regular expressions. What no webhook has any more is forgotten after a
/// while.
#[derive(Debug, Default)]
pub struct Shared {
    patterns: Patterns,
    spaces: Kept<String, Space>,
    pools: Kept<String, Pool>,
    topics: Kept<String, [TopicPattern]>,
    wants: Kept<Fingerprint, Wants>,
}

/// Half a SHA-256 of what may be long.
type Fingerprint = [u8; 16];

/// By its text, each value as long as somebody has it.
#[derive(Debug)]
struct Kept<K, T: ?Sized> {
    known: HashMap<K, Weak<T>>,
    tidy_at: usize,
}

impl<K, T: ?Sized> Default for Kept<K, T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            tidy_at: 0,
        }
    }
}

impl<K: Eq + Hash, T: ?Sized> Kept<K, T> {
    fn get<Q>(&mut self, key: &Q, make: impl FnOnce() -> Arc<T>) -> Arc<T>
    where
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let made: Result<_, Infallible> = self.try_get(key, || Ok(make()));
        match made {
            Ok(value) => value,
        }
    }

    fn try_get<Q, E>(
        &mut self,
        key: &Q,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E>
    where
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        if let Some(value) = self.known.get(key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        if self.known.len() >= self.tidy_at {
            self.known.retain(|_, value| value.strong_count() > 0);
            self.tidy_at = (self.known.len() * 2).max(64);
        }
        let value = make()?;
        self.known.insert(key.to_owned(), Arc::downgrade(&value));
        Ok(value)
    }
}

impl Shared {
    pub(super) fn space(&mut self, space: &Space) -> Arc<Space> {
        self.spaces.get(space.as_str(), || Arc::new(space.clone()))
    }

    pub(super) fn pool(&mut self, pool: &Pool) -> Arc<Pool> {
        self.pools.get(pool.as_str(), || Arc::new(pool.clone()))
    }

    pub(super) fn topics(&mut self, topics: &[TopicPattern]) -> Arc<[TopicPattern]> {
        let texts: Vec<&str> = topics.iter().map(TopicPattern::as_str).collect();
        self.topics.get(&*texts.join(" "), || Arc::from(topics))
    }

    /// What `definition` asks of events. Understood once, however many webhooks ask for the same.
    pub(super) fn wants(&mut self, definition: &Definition) -> Result<Arc<Wants>, Vec<FieldError>> {
        let patterns = &mut self.patterns;
        let make = || Wants::parse(definition, patterns).map(Arc::new);
        self.wants.try_get(&fingerprint(definition), make)
    }
}

fn fingerprint(definition: &Definition) -> Fingerprint {
    let asked = (&definition.content_types, &definition.filters);
    let text = serde_json::to_vec(&asked).expect("texts and JSON values are JSON");
    let mut half = Fingerprint::default();
    half.copy_from_slice(&Sha256::digest(text)[..16]);
    half
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
