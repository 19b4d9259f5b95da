//! What the lists of the index hold of a webhook.

use std::sync::Arc;

use super::key_map::Key;
use super::subscriber::Wants;
use crate::id::WebhookId;
use crate::name::Pool;
use crate::partition::Slot;

/// How many properties webhooks are found by.
pub(super) const PROPERTIES_COUNT: usize = 3;

/// A webhook in a list of the index: what the router writes into its deliveries, and what decides
/// whether it gets an event. It fills one cache line, and most webhooks are decided by that alone.
#[derive(Debug, Clone)]
pub struct Posting {
    /// The webhook's id.
    pub id: WebhookId,
    /// Where among the partitions it belongs.
    pub slot: Slot,
    /// The fleet that sends its deliveries.
    pub pool: Arc<Pool>,
    /// The conditions that an event must pass if it leads here; `None` if there are none.
    pub(super) asks: Option<Arc<Wants>>,
    /// For each property, that of the one value it must have, if that is known.
    pub(super) tags: [Tag; PROPERTIES_COUNT],
    pub(super) repeats: Repeats,
}

/// How the same event may lead to a webhook more than once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    /// Two of its topics are those of some event.
    pub(super) by_topic: bool,
    /// It lies under several values of a property. Few events have more than one of these.
    pub(super) by_value: bool,
}

/// Some bits of the hash of a value. Different values mostly have different ones, so that a webhook
/// that wants another value is passed over without reading its conditions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tag(u16);

impl Tag {
    /// Stands for any value.
    pub(super) const ANY: Self = Self(0);

    pub(super) fn of(key: &Key) -> Self {
        let bits = key.hash() >> 16 & 0xffff;
        Self(u16::try_from(bits).expect("they are 16") | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_fills_one_cache_line() {
        assert_eq!(size_of::<Posting>(), 64);
    }

    #[test]
    fn no_value_has_the_tag_of_any() {
        let values = (0..100_000).map(|number| Key::new(&number.to_string()));
        assert!(values.map(|key| Tag::of(&key)).all(|tag| tag != Tag::ANY));
    }
}
