//! Filters: what an event must be for a webhook to get it (CONTRACT.md section 4).
//!
//! Contentful's syntax and semantics, and more in the same spirit; docs/filters.md describes them
//! for people. JSON becomes conditions once for each version of a webhook ([`Filters::parse`]);
//! conditions are judged over [`Facts`], by one evaluator that also explains itself.
//!
//! A condition comes to yes, no or unknown ([`Truth`]). Unknown, mostly a missing property, is
//! never turned into a yes by `not`, so that a missing property mutes the webhook as it does in
//! Contentful. `any` and `all` are Kleene's: the best and the worst of their parts.

mod condition;
mod doc;
mod facts;
mod judge;
mod number;
mod operand;
mod parse;
pub(crate) mod payload;
mod regexp;
#[cfg(test)]
pub(crate) mod tests;
mod truth;

use serde_json::Value;

pub use facts::Facts;
pub use regexp::Patterns;
pub use truth::Truth;

pub(crate) use condition::{Condition, Test};
pub(crate) use doc::Doc;
pub(crate) use facts::{Found, View};
pub(crate) use judge::{ELEMENTS_MAX, Observer, Place, Seen, Unobserved, all};
pub(crate) use operand::Operand;

use crate::webhook::FieldError;
use parse::{CONDITIONS_MAX, Parser, fault};

/// How long the filters of a webhook may be as JSON, in bytes.
const FILTERS_BYTES_MAX: usize = 16 * 1_024;

/// The filters of a webhook, understood. An event must pass all of them.
#[derive(Debug, Default)]
pub struct Filters(Box<[Condition]>);

impl Filters {
    /// Reads the `filters` of a definition. `patterns` keeps what webhooks share.
    ///
    /// # Errors
    /// One fault for each filter that is not understood, or one for too many or too long ones.
    pub fn parse(filters: &[Value], patterns: &mut Patterns) -> Result<Self, Vec<FieldError>> {
        if filters.is_empty() {
            return Ok(Self::default());
        }
        check_size(filters).map_err(|error| vec![error])?;
        let mut parser = Parser::new(patterns);
        let (mut conditions, mut errors) = (Vec::with_capacity(filters.len()), Vec::new());
        for (index, filter) in filters.iter().enumerate() {
            match parser.condition(filter, &format!("/filters/{index}"), 1) {
                Ok(condition) => conditions.push(condition),
                Err(error) => errors.push(error),
            }
        }
        match errors.is_empty() {
            true => Ok(Self(conditions.into())),
            false => Err(errors),
        }
    }

    /// What the filters together come to.
    pub(crate) fn judge<O: Observer>(&self, facts: &Facts<'_>, observer: &mut O) -> Truth {
        let truths = self
            .0
            .iter()
            .enumerate()
            .map(|(index, condition)| condition.judge(Place::Filter(index), facts, observer));
        all::<O>(truths)
    }

    /// The conditions that must all hold.
    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.0
    }
}

/// What of the `filters` of a definition is not understood, with JSON pointers.
#[must_use]
pub fn check(filters: &[Value]) -> Vec<FieldError> {
    Filters::parse(filters, &mut Patterns::default())
        .err()
        .unwrap_or_default()
}

fn check_size(filters: &[Value]) -> Result<(), FieldError> {
    if filters.len() > CONDITIONS_MAX {
        let detail = format!("the limit is {CONDITIONS_MAX} conditions");
        return Err(fault("/filters", "too_many", detail));
    }
    let bytes = serde_json::to_string(filters).map_or(usize::MAX, |text| text.len());
    if bytes > FILTERS_BYTES_MAX {
        let detail = format!("they have {bytes} bytes, the limit is {FILTERS_BYTES_MAX}");
        return Err(fault("/filters", "too_large", detail));
    }
    Ok(())
}
