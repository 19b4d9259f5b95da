//! Who comes next when many wait for the same thing: spaces take turns, within a space its webhooks
//! take turns, and what waits for one webhook keeps its order (DESIGN.md section 7).
//!
//! A flood of one space, or of one webhook, thus delays itself. Every turn is one attempt, so this is
//! deficit round robin with equal costs.

use std::collections::{HashMap, VecDeque};

use crate::id::WebhookId;
use crate::name::Space;

/// What waits, by space and webhook.
#[derive(Debug)]
pub struct FairQueue<T> {
    spaces: Turns<Space, Turns<WebhookId, VecDeque<T>>>,
    waiting: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            spaces: Turns::default(),
            waiting: 0,
        }
    }
}

impl<T> FairQueue<T> {
    /// `item` waits for its turn among those of `webhook`.
    pub fn push(&mut self, space: &Space, webhook: &WebhookId, item: T) {
        let webhooks = self.spaces.at(space);
        webhooks.at(webhook).push_back(item);
        self.waiting += 1;
    }

    /// Takes out what comes next.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.spaces.next(
            |webhooks| webhooks.next(VecDeque::pop_front, VecDeque::is_empty),
            Turns::is_empty,
        )?;
        self.waiting -= 1;
        Some(item)
    }

    /// Lets only those wait on of which `waits` holds.
    pub fn retain(&mut self, waits: impl Fn(&T) -> bool) {
        let mut left = 0;
        self.spaces.retain(|webhooks| {
            webhooks.retain(|items| {
                items.retain(&waits);
                left += items.len();
                !items.is_empty()
            });
            !webhooks.is_empty()
        });
        self.waiting = left;
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }
}

/// Queues that take turns. Each is in `order` once, and none is empty.
#[derive(Debug)]
struct Turns<K, Q> {
    order: VecDeque<K>,
    queues: HashMap<K, Q>,
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            queues: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash, Q: Default> Turns<K, Q> {
    /// The queue of `key`, at the end of the order if it is new.
    fn at(&mut self, key: &K) -> &mut Q {
        if !self.queues.contains_key(key) {
            self.order.push_back(key.clone());
        }
        self.queues.entry(key.clone()).or_default()
    }

    /// Takes from the queue whose turn it is.
    fn next<T>(
        &mut self,
        take: impl FnOnce(&mut Q) -> Option<T>,
        is_empty: impl FnOnce(&Q) -> bool,
    ) -> Option<T> {
        let key = self.order.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        let item = take(queue);
        if is_empty(queue) {
            self.queues.remove(&key);
        } else {
            self.order.push_back(key);
        }
        item
    }

    fn retain(&mut self, mut stays: impl FnMut(&mut Q) -> bool) {
        self.queues.retain(|_, queue| stays(queue));
        self.order.retain(|key| self.queues.contains_key(key));
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn space(number: u8) -> Space {
        format!("s{number}").parse().unwrap()
    }

    fn webhook(number: u8) -> WebhookId {
        format!("wh_{number}").parse().unwrap()
    }

    fn drain(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_flood_of_one_webhook_delays_only_itself() {
        let mut queue = FairQueue::default();
        for _ in 0..4 {
            queue.push(&space(1), &webhook(1), "flood");
        }
        queue.push(&space(1), &webhook(2), "neighbour");
        queue.push(&space(2), &webhook(3), "other space");
        let order = drain(&mut queue);
        assert_eq!(
            order,
            [
                "flood",
                "other space",
                "neighbour",
                "flood",
                "flood",
                "flood"
            ]
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn a_space_with_many_webhooks_gets_no_more_than_one_with_a_single_webhook() {
        let mut queue = FairQueue::default();
        for number in 0..100 {
            queue.push(&space(1), &webhook(number), "many");
        }
        for _ in 0..3 {
            queue.push(&space(2), &webhook(200), "single");
        }
        let order = drain(&mut queue);
        assert_eq!(
            order[..6],
            ["many", "single", "many", "single", "many", "single"]
        );
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let mut queue = FairQueue::default();
        queue.push(&space(1), &webhook(1), "leaves");
        queue.push(&space(1), &webhook(2), "leaves");
        queue.push(&space(2), &webhook(3), "stays");
        queue.push(&space(2), &webhook(3), "leaves");
        queue.retain(|item| *item == "stays");
        assert_eq!(queue.len(), 1);
        assert_eq!(drain(&mut queue), ["stays"]);
    }

    proptest! {
        /// Whatever comes and goes: nothing is lost, order within a webhook stays, and between two
        /// turns of a space that waits no other space has more than one.
        #[test]
        fn everybody_gets_their_turn(steps in prop::collection::vec((0_u8..3, 0_u8..4, 0_u8..3), 1..400)) {
            let mut queue = FairQueue::default();
            let mut expected: HashMap<(u8, u8), VecDeque<usize>> = HashMap::new();
            let mut since: HashMap<u8, HashMap<u8, usize>> = HashMap::new();
            let mut length = 0;
            let mut popped = |queue: &mut FairQueue<(u8, u8, usize)>, expected: &mut HashMap<(u8, u8), VecDeque<usize>>| {
                let (s, w, number) = queue.pop()?;
                let first = expected.get_mut(&(s, w)).and_then(VecDeque::pop_front);
                since.remove(&s);
                for other in 0..3 {
                    let waits = expected.iter().any(|((space, _), items)| *space == other && !items.is_empty());
                    if other != s && waits {
                        let turns = since.entry(other).or_default().entry(s).or_default();
                        *turns += 1;
                        if *turns > 1 {
                            return Some(Err(format!("space {s} had {turns} turns while {other} waited")));
                        }
                    } else if !waits {
                        since.remove(&other);
                    }
                }
                Some(match first == Some(number) {
                    true => Ok(()),
                    false => Err(format!("{number} of {s}.{w} came before {first:?}")),
                })
            };
            for (number, (s, w, action)) in steps.into_iter().enumerate() {
                if action < 2 {
                    queue.push(&space(s), &webhook(w), (s, w, number));
                    expected.entry((s, w)).or_default().push_back(number);
                    length += 1;
                } else if let Some(outcome) = popped(&mut queue, &mut expected) {
                    prop_assert_eq!(outcome, Ok(()));
                    length -= 1;
                }
                prop_assert_eq!(queue.len(), length);
            }
            while let Some(outcome) = popped(&mut queue, &mut expected) {
                prop_assert_eq!(outcome, Ok(()));
            }
            prop_assert!(expected.values().all(VecDeque::is_empty));
        }
    }
}
