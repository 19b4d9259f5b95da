//! The one evaluator of conditions. An [`Observer`] makes it explain itself; without one it stops
//! as soon as the outcome is clear.

use super::condition::{Change, Condition, Relation, Test};
use super::facts::{Facts, Found, View};
use super::operand::same;
use super::regexp;
use super::truth::Truth;

/// How many elements of a list a condition looks at.
pub(crate) const ELEMENTS_MAX: usize = 1_000;
/// Where a payload carries what was before and what is now.
const VERSIONS: [(&str, &str); 2] = [("before", "after"), ("old", "new")];

/// Where in a webhook a condition stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// A field of the definition, such as `topics`.
    Field(&'static str),
    /// One of its filters.
    Filter(usize),
    /// A part of the `any` or `all` that is being judged.
    Part(usize),
    /// What the `not` that is being judged denies.
    Denied,
}

/// What a condition saw.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'v, 'a> {
    /// One value, `None` where it is missing.
    Value(Option<Found<'v, 'a>>),
    /// What was, and what is.
    Change(Option<Found<'v, 'a>>, Option<Found<'v, 'a>>),
}

/// Is told of each condition: it is entered, it sees something, parts of it are entered and left,
/// it is left.
pub(crate) trait Observer {
    /// Whether conditions are judged although the outcome is clear already.
    const IS_THOROUGH: bool;

    fn enter(&mut self, place: Place);
    fn saw(&mut self, seen: Seen<'_, '_>);
    fn leave(&mut self, truth: Truth);
}

/// Looks away.
#[derive(Debug)]
pub(crate) struct Unobserved;

impl Observer for Unobserved {
    const IS_THOROUGH: bool = false;

    fn enter(&mut self, _: Place) {}
    fn saw(&mut self, _: Seen<'_, '_>) {}
    fn leave(&mut self, _: Truth) {}
}

/// What all of the conditions together come to: the least of them (Kleene's strong logic).
pub(crate) fn all<O: Observer>(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut least = Truth::Yes;
    for truth in truths {
        least = least.min(truth);
        if least == Truth::No && !O::IS_THOROUGH {
            break;
        }
    }
    least
}

/// What one of the conditions comes to at best.
fn any<O: Observer>(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut most = Truth::No;
    for truth in truths {
        most = most.max(truth);
        if most == Truth::Yes && !O::IS_THOROUGH {
            break;
        }
    }
    most
}

impl Condition {
    /// What the condition comes to.
    pub(crate) fn judge<O: Observer>(
        &self,
        place: Place,
        facts: &Facts<'_>,
        observer: &mut O,
    ) -> Truth {
        observer.enter(place);
        let truth = match self {
            Self::Value { doc, test } => {
                let value = facts.look(doc);
                observer.saw(Seen::Value(value));
                value.map_or(Truth::Unknown, |value| test.judge(value.view))
            }
            Self::Exists { doc, wanted } => {
                let value = facts.look(doc);
                observer.saw(Seen::Value(value));
                Truth::from(value.is_some() == *wanted)
            }
            Self::Changed(change) => change.judge(facts, observer),
            Self::Not(denied) => denied.judge(Place::Denied, facts, observer).not(),
            Self::All(parts) => all::<O>(parts_of(parts, facts, observer)),
            Self::Any(parts) => any::<O>(parts_of(parts, facts, observer)),
        };
        observer.leave(truth);
        truth
    }
}

fn parts_of<O: Observer>(
    parts: &[Condition],
    facts: &Facts<'_>,
    observer: &mut O,
) -> impl Iterator<Item = Truth> {
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| part.judge(Place::Part(index), facts, observer))
}

impl Test {
    /// A list passes if one of its elements does, or if it is equal as a whole.
    fn judge(&self, value: View<'_, '_>) -> Truth {
        match self {
            Self::Regexp(pattern) => return regexp::search(pattern, value),
            Self::Equals(operand) if operand.is(value) => return Truth::Yes,
            Self::In(choice) if choice.has(value) => return Truth::Yes,
            _ => {}
        }
        if value
            .elements()
            .take(ELEMENTS_MAX)
            .any(|element| self.passes(element))
        {
            return Truth::Yes;
        }
        match value.count() > ELEMENTS_MAX {
            true => Truth::Unknown,
            false => Truth::No,
        }
    }

    fn passes(&self, element: View<'_, '_>) -> bool {
        match (self, element) {
            (Self::Equals(operand), element) => operand.is(element),
            (Self::In(choice), element) => choice.has(element),
            (Self::StartsWith(prefix), View::Text(text)) => text.starts_with(&**prefix),
            (Self::Compare(relation, bound), View::Number(number)) => match relation {
                Relation::Less => number < bound,
                Relation::LessOrEqual => number <= bound,
                Relation::Greater => number > bound,
                Relation::GreaterOrEqual => number >= bound,
            },
            _ => false,
        }
    }
}

impl Change {
    fn judge<O: Observer>(&self, facts: &Facts<'_>, observer: &mut O) -> Truth {
        let (before, after) = match self {
            Self::Of(doc) => {
                let versions = facts.payload().and_then(|payload| {
                    VERSIONS
                        .iter()
                        .find_map(|(old, new)| payload.child(old).zip(payload.child(new)))
                });
                let Some((before, after)) = versions else {
                    observer.saw(Seen::Value(None));
                    return Truth::Unknown;
                };
                (doc.walk(before), doc.walk(after))
            }
            Self::Between(before, after) => {
                let payload = facts.payload();
                let walk = |doc: &super::doc::Doc| doc.walk(payload?);
                (walk(before), walk(after))
            }
        };
        observer.saw(Seen::Change(
            before.and_then(Found::of),
            after.and_then(Found::of),
        ));
        match (before, after) {
            (None, None) => Truth::Unknown,
            (Some(before), Some(after)) => Truth::from(!same(before, after)),
            _ => Truth::Yes,
        }
    }
}
