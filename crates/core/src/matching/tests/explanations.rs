use std::collections::HashSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::explain;
use super::*;
use crate::filter::Facts;
use crate::filter::tests::properties::{any_filter, any_payload};

fn explained(definition: Value, event: &Event) -> Value {
    serde_json::to_value(explain(&webhook("wh_1", definition), event)).unwrap()
}

#[test]
fn every_condition_tells_what_it_saw_and_what_it_came_to() {
    let definition = json!({
        "topics": ["Entry.*", "Asset.delete"],
        "contentTypes": ["article", "page"],
        "filters": [
            {"equals": [{"doc": "sys.environment.sys.id"}, "master"]},
            {"any": [
                {"lt": [{"doc": "fields.price"}, 5]},
                {"not": {"regexp": [{"doc": "fields.slug"}, {"pattern": "^x"}]}},
            ]},
            {"changed": [{"doc": "slug"}]},
            {"exists": [{"doc": "fields.none"}, false]},
        ],
    });
    let mut event = event("Entry.publish", "article");
    event.environment = "staging".parse().unwrap();
    event.payload =
        Bytes::from_static(br#"{"fields": {"price": 7.50}, "before": {"slug": "a"}, "after": {}}"#);
    let expected = json!({
        "matches": false,
        "checks": [
            {"pointer": "/space", "operator": "space", "wanted": "acme", "saw": "acme",
             "verdict": "yes"},
            {"pointer": "/enabled", "operator": "enabled", "wanted": true, "saw": true,
             "verdict": "yes"},
            {"pointer": "/topics", "operator": "topics", "wanted": ["Entry.*", "Asset.delete"],
             "saw": "Entry.publish", "verdict": "yes"},
            {"pointer": "/contentTypes", "operator": "contentTypes",
             "wanted": ["article", "page"], "saw": "article", "verdict": "yes"},
            {"pointer": "/filters/0", "operator": "equals", "doc": "sys.environment.sys.id",
             "wanted": "master", "saw": "staging", "verdict": "no"},
            {"pointer": "/filters/1", "operator": "any", "verdict": "unknown", "checks": [
                {"pointer": "/filters/1/any/0", "operator": "lt", "doc": "fields.price",
                 "wanted": 5, "saw": 7.50, "verdict": "no"},
                {"pointer": "/filters/1/any/1", "operator": "not", "verdict": "unknown",
                 "checks": [
                    {"pointer": "/filters/1/any/1/not", "operator": "regexp",
                     "doc": "fields.slug", "wanted": {"pattern": "^x"}, "verdict": "unknown"},
                ]},
            ]},
            {"pointer": "/filters/2", "operator": "changed", "doc": "slug",
             "saw": {"before": "a"}, "verdict": "yes"},
            {"pointer": "/filters/3", "operator": "exists", "doc": "fields.none",
             "wanted": false, "verdict": "yes"},
        ],
    });
    assert_eq!(explained(definition, &event), expected);
}

#[test]
fn values_are_shown_as_they_were_sent() {
    let definition = json!({
        "topics": ["*.*"],
        "filters": [{"gt": [{"doc": "sku"}, 1]}, {"startsWith": [{"doc": "title"}, "x"]},
                    {"gt": [{"doc": "sys.revision"}, 1]}, {"equals": [{"doc": "entity.locales"}, "x"]}],
    });
    let mut event = event("Entry.publish", "");
    event.entity.revision = 30;
    event.entity.locales = vec!["en".to_owned()];
    let title = "é".repeat(600);
    event.payload = format!(r#"{{"sku": 90071992547409931234.50, "title": "{title}"}}"#).into();
    let explanation = explain(&webhook("wh_1", definition), &event);
    let saw = |index: usize| {
        let check = &explanation.checks[3 + index];
        serde_json::to_string(check.saw.as_ref().unwrap()).unwrap()
    };
    assert_eq!(saw(0), "90071992547409931234.50");
    assert_eq!(
        saw(1),
        format!(r#"{{"beginning":"\"{}","bytes":1202}}"#, "é".repeat(511))
    );
    assert_eq!(saw(2), "30");
    assert_eq!(saw(3), r#"["en"]"#);
}

#[test]
fn a_webhook_of_another_space_or_a_disabled_one_gets_nothing() {
    let mut event = event("Entry.publish", "");
    event.space = "other".parse().unwrap();
    let explanation = explained(json!({"topics": ["*.*"], "enabled": false}), &event);
    assert_eq!(explanation["matches"], false);
    let verdicts: Vec<&Value> = explanation["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| &check["verdict"])
        .collect();
    assert_eq!(verdicts, ["no", "no", "yes"]);
}

#[test]
fn filters_that_are_not_understood_are_named() {
    let definition = json!({"topics": ["*.*"], "filters": [{"equal": []}]});
    let explanation = explained(definition, &event("Entry.publish", ""));
    assert_eq!(explanation["matches"], false);
    assert_eq!(explanation["faults"][0]["pointer"], "/filters/0/equal");
    assert_eq!(explanation["faults"][0]["code"], "unknown_operator");
}

fn pointers(checks: &[super::super::Check], into: &mut Vec<String>) {
    for check in checks {
        into.push(check.pointer.clone());
        pointers(&check.checks, into);
    }
}

proptest! {
    #[test]
    fn explaining_and_deciding_agree_and_every_pointer_leads_somewhere(
        filters in prop::collection::vec(any_filter(), 0..4), payload in any_payload(),
    ) {
        let webhook = webhook("wh_1", json!({"topics": ["*.*"], "filters": filters}));
        let mut event = event("Entry.publish", "");
        event.payload = payload.into();
        let explanation = explain(&webhook, &event);
        let subscriber = Subscriber::compile(&webhook, &mut Shared::default()).unwrap();
        prop_assert_eq!(explanation.matches, subscriber.wants(&Facts::new(&event)));

        let mut found = Vec::new();
        pointers(&explanation.checks[3..], &mut found);
        let distinct: HashSet<&String> = found.iter().collect();
        prop_assert_eq!(distinct.len(), found.len());
        let definition = json!({ "filters": filters });
        for pointer in &found {
            prop_assert!(definition.pointer(pointer).is_some(), "{}", pointer);
        }
        prop_assert!(serde_json::to_string(&explanation).is_ok());
    }
}
