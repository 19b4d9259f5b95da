use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::filter::Facts;

#[test]
fn a_webhook_with_overlapping_topics_gets_an_event_once() {
    let mut index = SpaceIndex::default();
    let topics = json!({"topics": ["Entry.publish", "*.*", "entry.*", "ENTRY.publish"]});
    index.insert(subscriber("wh_1", topics));
    assert_eq!(matched(&index, &event("ENTRY.Publish", "")), ["wh_1"]);
}

#[test]
fn content_types_mute_everything_else() {
    let mut index = SpaceIndex::default();
    let definition = json!({"topics": ["*.*"], "contentTypes": ["article", "page"]});
    index.insert(subscriber("wh_1", definition));
    assert_eq!(matched(&index, &event("Entry.publish", "page")), ["wh_1"]);
    assert!(matched(&index, &event("Entry.publish", "author")).is_empty());
    assert!(matched(&index, &event("Asset.publish", "")).is_empty());
    let only_inside = Event {
        payload: Bytes::from_static(br#"{"sys": {"contentType": {"sys": {"id": "page"}}}}"#),
        ..event("Entry.publish", "")
    };
    assert_eq!(matched(&index, &only_inside), ["wh_1"]);
}

#[test]
fn a_disabled_webhook_is_kept_but_gets_nothing() {
    let mut index = SpaceIndex::default();
    index.insert(subscriber(
        "wh_1",
        json!({"topics": ["*.*"], "enabled": false}),
    ));
    assert!(matched(&index, &event("Entry.publish", "")).is_empty());
    assert_eq!((index.len(), index.topics()), (1, 0));
}

#[test]
fn a_new_definition_replaces_the_old_one() {
    let mut index = SpaceIndex::default();
    index.insert(subscriber(
        "wh_1",
        json!({"topics": ["Entry.publish", "a.b"]}),
    ));
    let definition = json!({"topics": ["Asset.publish"], "contentTypes": ["x", "y"]});
    index.insert(subscriber("wh_1", definition));
    assert!(matched(&index, &event("Entry.publish", "")).is_empty());
    assert_eq!(matched(&index, &event("Asset.publish", "y")), ["wh_1"]);
    index.remove(&"wh_1".parse().unwrap());
    assert!(index.is_empty());
    assert_eq!(index.topics(), 0);
}

#[test]
fn readers_keep_the_index_they_have() {
    let mut index = SpaceIndex::default();
    index.insert(subscriber("wh_1", json!({"topics": ["*.*"]})));
    let old = index.clone();
    index.remove(&"wh_1".parse().unwrap());
    index.insert(subscriber("wh_2", json!({"topics": ["*.*"]})));
    assert_eq!(matched(&old, &event("Entry.publish", "")), ["wh_1"]);
    assert_eq!(matched(&index, &event("Entry.publish", "")), ["wh_2"]);
}

#[test]
fn webhooks_pinned_to_other_entities_are_not_asked_and_the_payload_stays_unread() {
    let mut index = SpaceIndex::default();
    for number in 0..20 {
        let definition = json!({
            "topics": ["Entry.*"],
            "filters": [
                {"equals": [{"doc": "sys.id"}, format!("e{number}")]},
                {"exists": [{"doc": "fields"}]},
            ],
        });
        index.insert(subscriber(&format!("wh_{number:02}"), definition));
    }
    let mut event = event("Entry.publish", "");
    event.entity.id = "elsewhere".to_owned();
    let facts = Facts::new(&event);
    assert!(index.matching(&facts).is_empty() && !facts.has_read_the_payload());
    event.entity.id = "e7".to_owned();
    event.payload = Bytes::from_static(br#"{"fields": {}}"#);
    assert_eq!(matched(&index, &event), ["wh_07"]);

    for number in 0..20 {
        index.remove(&format!("wh_{number:02}").parse().unwrap());
    }
    index.insert(subscriber("wh_1", json!({"topics": ["Entry.*"]})));
    event.entity.id = String::new();
    let facts = Facts::new(&event);
    assert_eq!(index.matching(&facts).len(), 1);
    assert!(
        !facts.has_read_the_payload(),
        "nobody is pinned to an entity any more"
    );
}

/// Filters that may become pins, with values from a small world.
fn any_pinning_filter() -> impl Strategy<Value = Value> {
    let doc = prop::sample::select(vec![
        "sys.id",
        "sys.contentType.sys.id",
        "sys.environment.sys.id",
        "entity.id",
        "/payload/sys/id",
    ]);
    let leaf = prop_oneof![
        (doc.clone(), "[pqr]").prop_map(|(doc, value)| json!({"equals": [{"doc": doc}, value]})),
        (doc.clone(), prop::collection::vec("[pqr]", 0..3))
            .prop_map(|(doc, values)| json!({"in": [{"doc": doc}, values]})),
        doc.clone()
            .prop_map(|doc| json!({"equals": [{"doc": doc}, 1]})),
        doc.clone()
            .prop_map(|doc| json!({"equals": [{"doc": doc}, ["p", "q"]]})),
        doc.prop_map(|doc| json!({"in": [{"doc": doc}, ["p", 1]]})),
        Just(json!({"equals": [{"doc": "fields"}, "p"]})),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| json!({ "not": inner })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| json!({ "any": parts })),
            prop::collection::vec(inner, 1..3).prop_map(|parts| json!({ "all": parts })),
        ]
    })
}

fn any_definition() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec("[ab*]\\.[xy*]", 1..4),
        prop::collection::vec("[pqr]", 0..3),
        prop::collection::vec(any_pinning_filter(), 0..3),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(topics, content_types, filters, enabled)| {
            json!({
                "topics": topics, "contentTypes": content_types, "filters": filters,
                "enabled": enabled,
            })
        })
}

fn any_event() -> impl Strategy<Value = Event> {
    let payload = prop::sample::select(vec![
        r#"{}"#,
        r#"{"sys": {"id": "p", "contentType": {"sys": {"id": "q"}}}, "fields": "p"}"#,
        r#"{"sys": {"id": ["p", "q"]}}"#,
        r#"{"sys": {"id": 1, "contentType": {"sys": {"id": ["r", "r", 1]}}}}"#,
        r#"no json"#,
    ]);
    ("[abAB]\\.[xyXY]", "[pqr]?", "[pqr]?", "[pqr]", payload).prop_map(
        |(topic, content_type, id, environment, payload)| {
            let mut event = event(&topic, &content_type);
            event.entity.id = id;
            event.environment = environment.parse().unwrap();
            event.payload = Bytes::from_static(payload.as_bytes());
            event
        },
    )
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, Value),
    Remove(u8),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..16_u8, any_definition()).prop_map(|(id, definition)| Step::Insert(id, definition)),
        1 => (0..16_u8).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..40)
}

/// Some ids are short, some as long as they may be.
fn name(number: u8) -> String {
    let width = [2, 61][usize::from(number % 2)];
    format!("wh_{number:0width$}")
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_naive_loop_after_any_changes(
        steps in any_steps(), events in prop::collection::vec(any_event(), 1..8),
    ) {
        let mut index = SpaceIndex::default();
        let mut all = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(number, definition) => {
                    let made = subscriber(&name(number), definition);
                    all.insert(made.id().clone(), Arc::clone(&made));
                    index.insert(made);
                }
                Step::Remove(number) => {
                    let id = name(number).parse().unwrap();
                    all.remove(&id);
                    index.remove(&id);
                }
            }
        }
        prop_assert!(index.iter().map(|webhook| webhook.id()).eq(all.keys()));
        for event in &events {
            let naive: Vec<String> = all
                .values()
                .filter(|webhook| webhook.wants(&Facts::new(event)))
                .map(|webhook| webhook.id().to_string())
                .collect();
            prop_assert_eq!(matched(&index, event), naive);
        }
        for id in all.keys() {
            index.remove(id);
        }
        prop_assert!(index.is_empty() && index.topics() == 0);
    }
}

#[test]
fn a_test_event_goes_to_the_webhook_it_names_and_to_no_other() {
    let mut index = SpaceIndex::default();
    index.insert(subscriber("wh_all", json!({"topics": ["*.*"]})));
    let narrow = json!({"topics": ["Entry.publish"], "contentTypes": ["page"]});
    index.insert(subscriber("wh_narrow", narrow));
    index.insert(subscriber(
        "wh_off",
        json!({"topics": ["*.*"], "enabled": false}),
    ));
    let mut test = event("webhook.TEST", "");
    for (named, expected) in [
        ("wh_narrow", vec!["wh_narrow"]),
        ("wh_all", vec!["wh_all"]),
        ("wh_off", vec![]),
        ("wh_none", vec![]),
        ("no id!", vec![]),
        ("", vec![]),
    ] {
        test.entity.id = named.to_owned();
        assert_eq!(matched(&index, &test), expected, "{named}");
    }
}

#[test]
fn a_webhook_is_found_once_by_however_many_topics_and_values() {
    let mut index = SpaceIndex::default();
    let one_of = json!({"in": [{"doc": "sys.id"}, ["p", "q"]]});
    for (id, topics, filters) in [
        (
            "wh_topics",
            json!(["Entry.*", "*.publish", "Entry.save"]),
            json!([]),
        ),
        ("wh_values", json!(["Entry.publish"]), json!([one_of])),
        ("wh_both", json!(["*.*", "Entry.publish"]), json!([one_of])),
        (
            "wh_neither",
            json!(["Entry.publish", "Asset.publish"]),
            json!([]),
        ),
    ] {
        index.insert(subscriber(
            id,
            json!({"topics": topics, "filters": filters}),
        ));
    }
    let listing = Event {
        payload: Bytes::from_static(br#"{"sys": {"id": ["p", "q", "r"]}}"#),
        ..event("Entry.publish", "")
    };
    let all = ["wh_both", "wh_neither", "wh_topics", "wh_values"];
    assert_eq!(matched(&index, &listing), all);
}

#[test]
fn a_space_with_many_webhooks_and_many_pins_is_found_through_and_taken_down_again() {
    let mut index = SpaceIndex::default();
    let name = |number: usize| format!("wh_{number:04}");
    let mut before = index.clone();
    for number in 0..600 {
        let filter = json!({"equals": [{"doc": "sys.id"}, format!("e{}", number / 2)]});
        let topic = format!("Entry.a{}", number % 2);
        index.insert(subscriber(
            &name(number),
            json!({"topics": [topic], "filters": [filter]}),
        ));
        if number == 299 {
            before = index.clone();
        }
    }
    for number in (0..600).rev() {
        let mut event = event(&format!("entry.A{}", number % 2), "");
        event.entity.id = format!("e{}", number / 2);
        assert_eq!(matched(&index, &event), [name(number)]);
        assert_eq!(matched(&before, &event).len(), usize::from(number < 300));
        index.remove(&name(number).parse().unwrap());
        assert!(matched(&index, &event).is_empty());
    }
    assert_eq!((index.len(), index.topics(), before.len()), (0, 0, 300));
}
