//! Every operator by examples, what is refused, and properties.

mod operators;
pub(crate) mod properties;
mod refusals;
mod synthesized;
mod whole;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::{Facts, Filters, Patterns, Truth, Unobserved};
use crate::event::{Entity, Event};

/// An event with an envelope and this payload.
fn event(payload: &str) -> Event {
    Event {
        id: "e1".parse().unwrap(),
        space: "acme".parse().unwrap(),
        environment: "staging".parse().unwrap(),
        topic: "Entry.publish".parse().unwrap(),
        entity: Entity {
            id: "home".to_owned(),
            kind: "Entry".to_owned(),
            content_type: "article".to_owned(),
            revision: 70,
            locales: vec!["en-US".to_owned(), "de-DE".to_owned()],
        },
        occurred_at: Timestamp::UNIX_EPOCH,
        actor: "user-42".to_owned(),
        context: BTreeMap::from([
            ("releaseId".to_owned(), "winter".to_owned()),
            ("a.b".to_owned(), "dotted".to_owned()),
            ("empty".to_owned(), String::new()),
        ]),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// An event that says nothing but what it must.
fn bare(topic: &str, payload: &str) -> Event {
    Event {
        topic: topic.parse().unwrap(),
        entity: Entity::default(),
        actor: String::new(),
        context: BTreeMap::new(),
        ..event(payload)
    }
}

fn filters(filters: &Value) -> Filters {
    let list = filters.as_array().expect("filters are a list");
    Filters::parse(list, &mut Patterns::default()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// What one filter comes to.
fn judge(filter: &Value, event: &Event) -> Truth {
    let filters = filters(&Value::Array(vec![filter.clone()]));
    filters.judge(&Facts::new(event), &mut Unobserved)
}

/// Asserts what each filter comes to over one payload, and that its `not` is the opposite.
fn assert_table(payload: &str, table: &[(Value, Truth)]) {
    let event = event(payload);
    for (filter, expected) in table {
        assert_eq!(judge(filter, &event), *expected, "{filter} over {payload}");
        let denied = serde_json::json!({ "not": filter });
        assert_eq!(judge(&denied, &event), expected.not(), "{denied}");
    }
}
