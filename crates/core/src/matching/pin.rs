//! What an event must have for a webhook to be asked at all.
//!
//! A pin is a condition that must hold, about a property that every event has one or few values
//! of. A webhook with a pin is found under its values; it is still asked afterwards.

use crate::filter::{Condition, Doc, ELEMENTS_MAX, Facts, Operand, Test, View};

use super::Subscriber;

/// Who wants more values than this is rather asked about every event.
const VALUES_MAX: usize = 100;

/// Properties to find webhooks by, the most telling first.
pub(super) const PROPERTIES: [&str; 3] =
    ["sys.id", "sys.contentType.sys.id", "sys.environment.sys.id"];

/// A property of [`PROPERTIES`], and the values a webhook wants it to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pin<'s> {
    pub(super) property: usize,
    pub(super) values: Vec<&'s str>,
}

/// The most telling pin of a subscriber.
pub(super) fn pin(subscriber: &Subscriber) -> Option<Pin<'_>> {
    let mut best: Option<Pin<'_>> = None;
    for condition in conditions(subscriber) {
        for_each_needed(condition, &mut |needed| {
            if let Some(pin) = pin_of(needed) {
                let is_better = best.as_ref().is_none_or(|best| rank(&pin) < rank(best));
                if is_better {
                    best = Some(pin);
                }
            }
        });
    }
    best
}

/// Whether an event that has what `pin` wants passes all conditions: there are no others.
pub(super) fn is_all(subscriber: &Subscriber, pin: Option<&Pin<'_>>) -> bool {
    let mut count = 0;
    for condition in conditions(subscriber) {
        for_each_needed(condition, &mut |_| count += 1);
    }
    count == usize::from(pin.is_some())
}

fn conditions(subscriber: &Subscriber) -> impl Iterator<Item = &Condition> {
    let content_types = subscriber.content_types.iter();
    content_types.chain(subscriber.filters.conditions())
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
