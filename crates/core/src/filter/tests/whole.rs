use serde_json::json;

use super::super::Truth::{No, Unknown, Yes};
use super::operators::PAYLOAD;
use super::{Facts, Unobserved, assert_table, bare, event, filters, judge};

#[test]
fn all_filters_must_hold() {
    let event = event(PAYLOAD);
    let both = |one: bool, other: bool| {
        let both = json!([
            {"equals": [{"doc": "fields.yes"}, one]},
            {"equals": [{"doc": "fields.no"}, other]},
        ]);
        filters(&both).judge(&Facts::new(&event), &mut Unobserved)
    };
    assert_eq!(both(true, false), Yes);
    assert_eq!(both(true, true), No);
    assert_eq!(both(false, false), No);
    let none = filters(&json!([]));
    assert_eq!(none.judge(&Facts::new(&event), &mut Unobserved), Yes);
}

#[test]
fn the_payload_is_read_only_if_a_condition_asks_for_it() {
    let event = event(PAYLOAD);
    for (filter, is_read) in [
        (
            json!({"equals": [{"doc": "sys.environment.sys.id"}, "master"]}),
            false,
        ),
        (
            json!({"regexp": [{"doc": "sys.id"}, {"pattern": "x"}]}),
            false,
        ),
        (
            json!({"equals": [{"doc": "context.releaseId"}, "x"]}),
            false,
        ),
        (json!({"equals": [{"doc": "fields.price"}, 1]}), true),
        (
            json!({"equals": [{"doc": "sys.updatedBy.sys.id"}, "x"]}),
            true,
        ),
    ] {
        let facts = Facts::new(&event);
        let _ = filters(&json!([filter])).judge(&facts, &mut Unobserved);
        assert_eq!(facts.has_read_the_payload(), is_read, "{filter}");
    }
    let facts = Facts::new(&event);
    let early = json!([{"equals": [{"doc": "sys.id"}, "x"]}, {"exists": [{"doc": "fields"}]}]);
    assert_eq!(filters(&early).judge(&facts, &mut Unobserved), No);
    assert!(!facts.has_read_the_payload());
}

#[test]
fn a_payload_that_is_no_object_has_no_properties() {
    for payload in ["null", "7", "\"text\"", "[]", "", "{broken"] {
        let bare = bare("Entry.publish", payload);
        for doc in ["sys.id", "fields.title", "sys.revision"] {
            let exists = json!({"exists": [{"doc": doc}, true]});
            assert_eq!(judge(&exists, &bare), No, "{doc} in {payload:?}");
        }
        let environment = json!({"equals": [{"doc": "sys.environment.sys.id"}, "staging"]});
        assert_eq!(judge(&environment, &bare), Yes);
    }
}

#[test]
fn only_the_first_thousand_elements_count() {
    let list = |length: usize| {
        let numbers: Vec<usize> = (0..length).collect();
        json!({ "t": numbers }).to_string()
    };
    let has = |number: usize| json!({"equals": [{"doc": "t"}, number]});
    assert_table(&list(1_000), &[(has(999), Yes), (has(1_000), No)]);
    assert_table(&list(1_001), &[(has(999), Yes), (has(1_000), Unknown)]);
}
