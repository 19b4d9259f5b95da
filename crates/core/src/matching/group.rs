//! Webhooks that lie next to each other, in the order of their ids.
//!
//! Going through a group reads memory one piece after the other. A group is never changed: a change
//! makes a new one that shares all pieces but one with the old one, so that it costs little in a
//! large group, too.

use std::sync::Arc;

use super::{Posting, Subscriber};
use crate::id::WebhookId;

/// How many webhooks a piece has at the most.
const PIECE_MAX: usize = 128;

/// What a group holds of a webhook.
pub(super) trait Entry: Clone {
    fn id(&self) -> &WebhookId;
}

impl Entry for Posting {
    fn id(&self) -> &WebhookId {
        &self.id
    }
}

impl Entry for Arc<Subscriber> {
    fn id(&self) -> &WebhookId {
        &self.posting.id
    }
}

/// Some webhooks, each once.
#[derive(Debug, Clone)]
pub(super) enum Group<E> {
    /// Most groups are small.
    One(Arc<[E]>),
    /// None of the pieces is empty.
    Many(Arc<[Arc<[E]>]>),
}

impl<E> Default for Group<E> {
    fn default() -> Self {
        Self::One(Arc::from([]))
    }
}

impl<E: Entry> Group<E> {
    pub(super) fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces().iter().all(|piece| piece.is_empty())
    }

    /// All webhooks, in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.pieces().iter().flat_map(|piece| piece.iter())
    }

    pub(super) fn get(&self, id: &WebhookId) -> Option<&E> {
        let piece = &self.pieces()[self.piece_of(id)];
        let place = place_in(piece, id).ok()?;
        Some(&piece[place])
    }

    /// Puts a webhook in, in place of one with the same id.
    pub(super) fn insert(&mut self, entry: E) {
        let number = self.piece_of(entry.id());
        let mut piece = self.pieces()[number].to_vec();
        match place_in(&piece, entry.id()) {
            Ok(place) => piece[place] = entry,
            Err(place) => piece.insert(place, entry),
        }
        if piece.len() <= PIECE_MAX {
            return self.replace(number, 1, [piece]);
        }
        let second = piece.split_off(PIECE_MAX / 2);
        self.replace(number, 1, [piece, second]);
    }

    /// Takes a webhook out, if it is there.
    pub(super) fn remove(&mut self, id: &WebhookId) {
        let number = self.piece_of(id);
        let Ok(place) = place_in(&self.pieces()[number], id) else {
            return;
        };
        let mut piece = self.pieces()[number].to_vec();
        piece.remove(place);
        // Small pieces become one, so that a group that shrinks does not consist of crumbs.
        match self.pieces().get(number + 1) {
            Some(next) if piece.len() + next.len() <= PIECE_MAX / 2 => {
                piece.extend_from_slice(next);
                self.replace(number, 2, [piece]);
            }
            _ if piece.is_empty() && self.pieces().len() > 1 => self.replace(number, 1, []),
            _ => self.replace(number, 1, [piece]),
        }
    }

    fn pieces(&self) -> &[Arc<[E]>] {
        match self {
            Self::One(piece) => std::slice::from_ref(piece),
            Self::Many(pieces) => pieces,
        }
    }

    /// The piece that `id` is in, or belongs into.
    fn piece_of(&self, id: &WebhookId) -> usize {
        let begins_before = |piece: &Arc<[E]>| piece.first().is_some_and(|it| it.id() <= id);
        let after = self.pieces().partition_point(begins_before);
        after.saturating_sub(1)
    }

    /// Puts `new` pieces in place of `count` old ones.
    fn replace<const N: usize>(&mut self, number: usize, count: usize, new: [Vec<E>; N]) {
        let old = self.pieces();
        let new = new.into_iter().map(Arc::from);
        let (before, after) = (&old[..number], &old[number + count..]);
        let mut pieces: Vec<Arc<[E]>> = Vec::with_capacity(old.len() + N - count);
        pieces.extend_from_slice(before);
        pieces.extend(new);
        pieces.extend_from_slice(after);
        *self = match pieces.len() {
            1 => Self::One(pieces.remove(0)),
            _ => Self::Many(pieces.into()),
        };
    }
}

fn place_in<E: Entry>(piece: &[E], id: &WebhookId) -> Result<usize, usize> {
    piece.binary_search_by(|entry| entry.id().cmp(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::tests::subscriber;
    use super::*;

    fn entry(number: u16) -> Posting {
        let subscriber = subscriber(&format!("wh_{number:04}"), json!({"topics": ["*.*"]}));
        subscriber.posting.clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_is_a_set_and_old_ones_stay_as_they_were(
            steps in prop::collection::vec((0..600_u16, prop::bool::weighted(0.6)), 0..1_500),
        ) {
            let (mut group, mut expected) = (Group::<Posting>::default(), BTreeSet::new());
            let mut earlier = None;
            for (index, (number, is_put)) in steps.into_iter().enumerate() {
                let entry = entry(number);
                let id = entry.id().clone();
                if is_put {
                    group.insert(entry);
                    expected.insert(id);
                } else {
                    group.remove(&id);
                    expected.remove(&id);
                }
                if index == 300 {
                    earlier = Some((group.clone(), expected.clone()));
                }
            }
            let mut both = vec![(group, expected)];
            both.extend(earlier);
            for (group, expected) in both {
                let ids: Vec<&WebhookId> = group.iter().map(|it| &it.id).collect();
                prop_assert_eq!(&ids, &expected.iter().collect::<Vec<_>>());
                prop_assert_eq!((group.len(), group.is_empty()), (ids.len(), ids.is_empty()));
                for id in ids {
                    prop_assert_eq!(group.get(id).unwrap().id(), id);
                }
                prop_assert!(group.get(&"wh_none".parse().unwrap()).is_none());
            }
        }
    }
}
