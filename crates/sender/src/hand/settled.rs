//! A short memory of messages that were settled.
//!
//! An acknowledgement is not acknowledged itself: a broker that dies may have stored what it heard
//! a moment ago or not. What it forgot it delivers again, and it is known here.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::Place;

/// More than a second's work of a busy sender, about a megabyte.
const REMEMBERED_MAX: usize = 16_384;
/// The beginning of a delivery is its id, its end says when it was made and which attempt it is.
const EDGE_BYTES: usize = 64;

/// The last messages that were settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    order: VecDeque<Place>,
    prints: HashMap<Place, u64>,
}

impl Settled {
    pub(super) fn insert(&mut self, place: Place, payload: &[u8]) {
        if self.prints.insert(place, print(payload)).is_none() {
            self.order.push_back(place);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.prints.remove(&oldest);
        }
    }

    /// Whether this very message was settled. The place alone does not tell: a broker that lost the
    /// end of its stream gives the same places to other messages.
    pub(super) fn contains(&self, place: Place, payload: &[u8]) -> bool {
        self.prints
            .get(&place)
            .is_some_and(|known| *known == print(payload))
    }
}

fn print(payload: &[u8]) -> u64 {
    let edge = payload.len().min(EDGE_BYTES);
    let mut hasher = DefaultHasher::new();
    payload.len().hash(&mut hasher);
    payload[..edge].hash(&mut hasher);
    payload[payload.len() - edge..].hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permits::Lane;

    fn place(sequence: u64) -> Place {
        Place {
            lane: Lane::First,
            sequence,
        }
    }

    #[test]
    fn a_settled_message_is_known_again_and_another_at_its_place_is_not() {
        let mut settled = Settled::default();
        settled.insert(place(1), b"one");
        assert!(settled.contains(place(1), b"one"));
        assert!(!settled.contains(place(1), b"other"));
        assert!(!settled.contains(place(2), b"one"));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut settled = Settled::default();
        for sequence in 0..=REMEMBERED_MAX as u64 {
            settled.insert(place(sequence), b"x");
        }
        assert_eq!(settled.prints.len(), REMEMBERED_MAX);
        assert!(!settled.contains(place(0), b"x"));
    }
}
