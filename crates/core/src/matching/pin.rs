//! What an event must have for a webhook to be asked at all.
//!
//! A pin is a condition that must hold, about a property that every event has one or few values
//! of. A webhook with a pin is found under its values; it is still asked afterwards.

use crate::filter::{Condition, Doc, ELEMENTS_MAX, Facts, Operand, Test, View};

use super::key_map::Key;
use super::posting::{PROPERTIES_COUNT, Tag};
use super::subscriber::Wants;

/// Who wants more values than this is rather asked about every event.
const VALUES_MAX: usize = 100;

/// Properties to find webhooks by, the most telling first.
pub(super) const PROPERTIES: [&str; PROPERTIES_COUNT] =
    ["sys.id", "sys.contentType.sys.id", "sys.environment.sys.id"];

/// A property of [`PROPERTIES`], and the values a webhook wants it to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pin<'s> {
    pub(super) property: usize,
    pub(super) values: Vec<&'s str>,
}

/// What must hold for a webhook to get an event, as far as properties tell.
#[derive(Debug)]
pub(super) struct Pins<'s> {
    /// The most telling pin.
    pub(super) best: Option<Pin<'s>>,
    /// Whether an event that has what it wants passes all conditions: there are no others.
    pub(super) are_all: bool,
    /// For each property, that of the one value it must have, if there is such a pin.
    pub(super) tags: [Tag; PROPERTIES_COUNT],
}

impl<'s> Pins<'s> {
    pub(super) fn of(wants: &'s Wants) -> Self {
        let mut pins = Self {
            best: None,
            are_all: false,
            tags: [Tag::ANY; PROPERTIES_COUNT],
        };
        let mut count = 0;
        for condition in wants.conditions() {
            for_each_needed(condition, &mut |needed| {
                count += 1;
                pin_of(needed).into_iter().for_each(|pin| pins.add(pin));
            });
        }
        pins.are_all = count == usize::from(pins.best.is_some());
        pins
    }

    fn add(&mut self, pin: Pin<'s>) {
        if let [value] = *pin.values {
            self.tags[pin.property] = Tag::of(&key(pin.property, value));
        }
        if self
            .best
            .as_ref()
            .is_none_or(|best| rank(&pin) < rank(best))
        {
            self.best = Some(pin);
        }
    }
}

/// What webhooks are found under that are pinned to a value.
pub(super) fn key(property: usize, value: &str) -> Key {
    Key::new(&format!("{property}{value}"))
}

fn rank(pin: &Pin<'_>) -> (usize, usize) {
    (pin.property, pin.values.len())
}

/// All conditions without which `condition` cannot hold.
fn for_each_needed<'c>(condition: &'c Condition, visit: &mut impl FnMut(&'c Condition)) {
    match condition {
        Condition::All(parts) => {
            for part in parts {
                for_each_needed(part, &mut *visit);
            }
        }
        other => visit(other),
    }
}

fn pin_of(condition: &Condition) -> Option<Pin<'_>> {
    let Condition::Value { doc, test } = condition else {
        return None;
    };
    let property = PROPERTIES.iter().position(|own| *own == doc.as_str())?;
    let values: Vec<&str> = match test {
        Test::Equals(Operand::Text(text)) => vec![text],
        Test::In(choice) => choice.only_texts()?.iter().map(|text| &**text).collect(),
        _ => return None,
    };
    (values.len() <= VALUES_MAX).then_some(Pin { property, values })
}

/// The texts that an event has for a property: one, or those of a list that conditions look at.
pub(super) fn values<'f>(facts: &'f Facts<'_>, doc: &Doc) -> Vec<&'f str> {
    let Some(found) = facts.look(doc) else {
        return Vec::new();
    };
    found
        .view
        .elements()
        .take(ELEMENTS_MAX)
        .filter_map(|element| match element {
            View::Text(text) => Some(text),
            _ => None,
        })
        .collect()
}
