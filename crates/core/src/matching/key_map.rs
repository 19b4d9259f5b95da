//! A map of which a changed copy shares nearly everything with the original.
//!
//! Small maps are one table, so that finding something reads a few places that lie together. Large
//! ones are a tree of such tables, of which a change copies only the way to what it touches.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::short_text::ShortText;

/// How many entries a table has before it becomes several.
const TABLE_MAX: usize = 128;
/// Into how many a table is parted, as a power of two.
const WAYS_BITS: u32 = 3;
const WAYS: usize = 1 << WAYS_BITS;
/// Tables use the lowest and the highest bits of a hash, and the tree those from here on.
const FIRST_BIT: u32 = 28;
/// How deep the tree may be: there are no more bits. Who has so many entries has large tables.
const DEPTH_MAX: u32 = 9;

/// Seeded anew in each process, so that nobody can choose keys whose hashes are equal.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A text and its hash, which is made once and then looked up in many maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    hash: u64,
    text: ShortText,
}

impl Key {
    pub(super) fn new(text: &str) -> Self {
        Self {
            hash: HASHER.hash_one(text),
            text: ShortText::from(text),
        }
    }

    /// The hash of the text. Different texts mostly have different ones.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    fn way(&self, depth: u32) -> usize {
        let bits = self.hash >> (FIRST_BIT + WAYS_BITS * depth);
        usize::try_from(bits % WAYS as u64).expect("it is one of few")
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the hash that a [`Key`] has.
#[derive(Debug, Default)]
pub(super) struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        unreachable!("a key writes one number, not {bytes:?}");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Table<V> = HashMap<Key, V, BuildHasherDefault<Known>>;

/// Values by their keys.
#[derive(Debug, Clone)]
pub(super) struct KeyMap<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node<V> {
    Table(Arc<Table<V>>),
    /// By the next bits of the hash.
    Ways(Arc<[Node<V>; WAYS]>),
}

impl<V> Default for KeyMap<V> {
    fn default() -> Self {
        Self {
            root: Node::default(),
            len: 0,
        }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self::Table(Arc::default())
    }
}

impl<V> KeyMap<V> {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<&V> {
        let (mut node, mut depth) = (&self.root, 0);
        loop {
            match node {
                Node::Table(table) => return table.get(key),
                Node::Ways(ways) => node = &ways[key.way(depth)],
            }
            depth += 1;
        }
    }
}

impl<V: Clone> KeyMap<V> {
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        self.get(key)?;
        self.table_mut(key).0.get_mut(key)
    }

    /// The value of a key, which is put in if it is not there.
    pub(super) fn get_or_default(&mut self, key: &Key) -> &mut V
    where
        V: Default,
    {
        let is_new = self.get(key).is_none();
        self.len += usize::from(is_new);
        let (table, depth) = self.table_mut(key);
        if is_new && table.len() >= TABLE_MAX && depth < DEPTH_MAX {
            let parts = part(std::mem::take(table), depth);
            *self.node_mut(key).0 = Node::Ways(Arc::new(parts));
        }
        self.table_mut(key).0.entry(key.clone()).or_default()
    }

    /// Takes a key and its value out, if it is there.
    pub(super) fn remove(&mut self, key: &Key) {
        if self.get(key).is_none() {
            return;
        }
        self.table_mut(key).0.remove(key);
        self.len -= 1;
        if self.len == 0 {
            self.root = Node::default();
        } else if self.len <= TABLE_MAX / 4 && matches!(self.root, Node::Ways(_)) {
            let mut all = Table::default();
            self.root.collect(&mut all);
            self.root = Node::Table(Arc::new(all));
        }
    }

    /// The only copy of the table that a key belongs into, and how deep it lies.
    fn table_mut(&mut self, key: &Key) -> (&mut Table<V>, u32) {
        match self.node_mut(key) {
            (Node::Table(table), depth) => (Arc::make_mut(table), depth),
            (Node::Ways(_), _) => unreachable!("the way ends at a table"),
        }
    }

    fn node_mut(&mut self, key: &Key) -> (&mut Node<V>, u32) {
        let (mut node, mut depth) = (&mut self.root, 0);
        while let Node::Ways(ways) = node {
            node = &mut Arc::make_mut(ways)[key.way(depth)];
            depth += 1;
        }
        (node, depth)
    }
}

impl<V: Clone> Node<V> {
    fn collect(&self, all: &mut Table<V>) {
        match self {
            Self::Table(table) => {
                let entries = table.iter();
                all.extend(entries.map(|(key, value)| (key.clone(), value.clone())));
            }
            Self::Ways(ways) => ways.iter().for_each(|way| way.collect(all)),
        }
    }
}

/// Parts a table that lies `depth` deep.
fn part<V>(table: Table<V>, depth: u32) -> [Node<V>; WAYS] {
    let mut parts: [Table<V>; WAYS] = Default::default();
    for (key, value) in table {
        parts[key.way(depth)].insert(key, value);
    }
    parts.map(|part| Node::Table(Arc::new(part)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Many numbers share a hash, or the part of it that a tree uses.
    fn key(number: u16) -> Key {
        let hash = match number % 3 {
            0 => 0,
            1 => HASHER.hash_one(number) % (1 << FIRST_BIT),
            _ => HASHER.hash_one(number),
        };
        Key {
            hash,
            text: ShortText::from(&*number.to_string()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_is_a_map_and_old_ones_stay_as_they_were(
            steps in prop::collection::vec((0..1_000_u16, prop::bool::weighted(0.7)), 0..2_500),
        ) {
            let (mut map, mut expected) = (KeyMap::<usize>::default(), BTreeMap::new());
            let mut earlier = Vec::new();
            for (step, (number, is_put)) in steps.into_iter().enumerate() {
                if is_put {
                    *map.get_or_default(&key(number)) = step;
                    expected.insert(number, step);
                } else {
                    map.remove(&key(number));
                    expected.remove(&number);
                }
                if step % 700 == 300 {
                    earlier.push((map.clone(), expected.clone()));
                }
            }
            earlier.push((map, expected));
            for (mut map, mut expected) in earlier {
                for number in 0..1_000 {
                    prop_assert_eq!(map.get(&key(number)), expected.get(&number));
                }
                prop_assert_eq!((map.len(), map.is_empty()), (expected.len(), expected.is_empty()));
                while let Some((number, step)) = expected.pop_last() {
                    prop_assert_eq!(map.get_mut(&key(number)), Some(&mut { step }));
                    map.remove(&key(number));
                    prop_assert_eq!(map.get_mut(&key(number)), None);
                }
                prop_assert!(map.is_empty() && matches!(map.root, Node::Table(_)));
            }
        }
    }
}
