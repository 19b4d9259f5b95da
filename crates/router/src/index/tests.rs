use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_core::filter::Facts;
use tidings_core::webhook::SCHEMA_VERSION;

use super::*;

fn webhook(id: &str, version: u64) -> Webhook {
    let definition = serde_json::json!({ "url": "https://a.example.com", "topics": ["*.*"] });
    Webhook {
        schema: SCHEMA_VERSION,
        id: id.parse().unwrap(),
        space: "acme".parse().unwrap(),
        definition: serde_json::from_value(definition).unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version,
    }
}

fn event() -> Event {
    Event {
        id: "e1".parse().unwrap(),
        space: "acme".parse().unwrap(),
        environment: Default::default(),
        topic: "Entry.publish".parse().unwrap(),
        entity: Default::default(),
        occurred_at: Timestamp::UNIX_EPOCH,
        actor: String::new(),
        context: Default::default(),
        payload: Bytes::from_static(b"{}"),
    }
}

fn matched(index: &Index) -> usize {
    index.snapshot().candidates(&event()).len()
}

#[test]
fn the_index_follows_its_bucket() {
    let index = Index::default();
    let sink = index.webhooks();
    sink.put("acme.wh_1", &webhook("wh_1", 1).to_stored());
    sink.put("acme.wh_2", &webhook("wh_2", 1).to_stored());
    sink.put("acme.wh_3", b"nonsense");
    sink.put("other.wh_4", &webhook("wh_4", 1).to_stored());
    assert_eq!((index.len(), matched(&index)), (2, 2));
    sink.remove("acme.wh_1");
    assert_eq!(matched(&index), 1);
    sink.retain(&HashSet::new());
    assert_eq!((index.len(), matched(&index)), (0, 0));
}

#[test]
fn a_disabled_endpoint_gets_nothing_until_its_webhook_changes() {
    let index = Index::default();
    index
        .webhooks()
        .put("acme.wh_1", &webhook("wh_1", 3).to_stored());
    let state = EndpointState {
        status: Status::Disabled,
        reason: "gone".into(),
        until: None,
        webhook_version: 3,
        pause: None,
    };
    index
        .states()
        .put("acme.wh_1", &serde_json::to_vec(&state).unwrap());
    assert_eq!(matched(&index), 0);
    index
        .webhooks()
        .put("acme.wh_1", &webhook("wh_1", 4).to_stored());
    assert_eq!(matched(&index), 1);
}

#[test]
fn a_filtered_webhook_gets_only_its_events() {
    let index = Index::default();
    let mut filtered = webhook("wh_1", 1);
    filtered.definition.filters = vec![
        serde_json::json!({"equals": [{"doc": "sys.environment.sys.id"}, "staging"]}),
        serde_json::json!({"gt": [{"doc": "fields.price"}, 4]}),
    ];
    index.webhooks().put("acme.wh_1", &filtered.to_stored());
    for (environment, payload, expected) in [
        ("staging", r#"{"fields": {"price": 4.5}}"#, 1),
        ("staging", r#"{"fields": {"price": 3}}"#, 0),
        ("staging", "{}", 0),
        ("master", r#"{"fields": {"price": 4.5}}"#, 0),
    ] {
        let event = Event {
            environment: environment.parse().unwrap(),
            payload: Bytes::from_static(payload.as_bytes()),
            ..event()
        };
        let found = index.snapshot().candidates(&event).len();
        assert_eq!(found, expected, "{environment} {payload}");
    }
}

#[test]
fn a_definition_that_is_not_understood_leaves_the_one_before_in_force() {
    let index = Index::default();
    let sink = index.webhooks();
    sink.put("acme.wh_1", &webhook("wh_1", 1).to_stored());
    let mut broken = webhook("wh_1", 2);
    broken.definition.filters = vec![serde_json::json!({"equal": []})];
    sink.put("acme.wh_1", &broken.to_stored());
    sink.put("acme.wh_2", &broken.to_stored());
    assert_eq!((index.len(), matched(&index)), (1, 1));
    let kept = &index.spaces.load().values().next().unwrap().clone();
    assert_eq!(kept.get(&"wh_1".parse().unwrap()).unwrap().version(), 1);
}

#[test]
fn states_of_other_webhooks_do_not_count() {
    let index = Index::default();
    index
        .webhooks()
        .put("acme.wh_1", &webhook("wh_1", 1).to_stored());
    let state = EndpointState {
        status: Status::Disabled,
        webhook_version: 9,
        ..EndpointState::default()
    };
    let state = serde_json::to_vec(&state).unwrap();
    for key in ["acme.wh_2", "other.wh_1", "nonsense"] {
        index.states().put(key, &state);
    }
    assert_eq!(matched(&index), 1);
    index.states().put("acme.wh_1", &state);
    assert_eq!(matched(&index), 0);
    index.states().retain(&HashSet::new());
    assert_eq!(matched(&index), 1);
}

/// What the bucket of webhooks and that of states go through.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, Value),
    Unreadable(u8, u8),
    Remove(u8, u8),
    /// The watch begins anew, and brings only these keys.
    Retain(Vec<(u8, u8)>),
    Disable(u8, u8, u64),
    ForgetState(u8, u8),
}

fn any_definition() -> impl Strategy<Value = Value> {
    let environment = "[pq]".prop_map(
        |environment| json!({"equals": [{"doc": "sys.environment.sys.id"}, environment]}),
    );
    let ids = prop::collection::vec("[xyz]", 1..3)
        .prop_map(|ids| json!({"in": [{"doc": "sys.id"}, ids]}));
    let payload = Just(json!({"gt": [{"doc": "n"}, 1]}));
    let filter = prop_oneof![environment, ids, payload];
    (
        prop::collection::vec("[ab*]\\.[cd*]", 1..3),
        prop::collection::vec("[st]", 0..3),
        prop::collection::vec(filter, 0..3),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(topics, content_types, filters, enabled)| {
            json!({
                "url": "https://a.example.com", "topics": topics, "contentTypes": content_types,
                "filters": filters, "enabled": enabled,
            })
        })
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = || (0..3_u8, 0..8_u8);
    prop_oneof![
        8 => (key(), any_definition()).prop_map(|((space, id), it)| Step::Put(space, id, it)),
        1 => key().prop_map(|(space, id)| Step::Unreadable(space, id)),
        2 => key().prop_map(|(space, id)| Step::Remove(space, id)),
        1 => prop::collection::vec(key(), 0..24).prop_map(Step::Retain),
        2 => (key(), 1..8_u64).prop_map(|((space, id), version)| Step::Disable(space, id, version)),
        1 => key().prop_map(|(space, id)| Step::ForgetState(space, id)),
    ]
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0..3_u8, "[ab]\\.[cd]", "[st]?", "[xyz]?", "[pq]", 0..3_u8);
    let event = one.prop_map(|(space, topic, content_type, id, environment, number)| {
        let mut event = event();
        event.space = format!("space-{space}").parse().unwrap();
        event.topic = topic.parse().unwrap();
        event.entity.content_type = content_type;
        event.entity.id = id;
        event.environment = environment.parse().unwrap();
        event.payload = format!("{{\"n\":{number}}}").into();
        event
    });
    prop::collection::vec(event, 1..12)
}

/// Every webhook that is there, asked one after the other.
#[derive(Default)]
struct Naive {
    webhooks: BTreeMap<String, Webhook>,
    disabled: BTreeMap<String, u64>,
}

impl Naive {
    fn matched(&self, event: &Event) -> Vec<String> {
        let facts = Facts::new(event);
        let wants = |(key, webhook): &(&String, &Webhook)| {
            let compiled = Subscriber::compile(webhook, &mut Shared::default()).unwrap();
            let is_disabled = |state: &u64| *state >= webhook.version;
            !self.disabled.get(*key).is_some_and(is_disabled) && compiled.wants(&facts)
        };
        let matched = self.webhooks.iter().filter(wants);
        matched.map(|(key, _)| key.clone()).collect()
    }
}

/// Does the same to both.
fn apply(step: Step, version: u64, index: &Index, naive: &mut Naive) {
    let name = |space: u8, id: u8| format!("space-{space}.wh_{id}");
    match step {
        Step::Put(space, id, definition) => {
            let mut webhook = webhook(&format!("wh_{id}"), version);
            webhook.space = format!("space-{space}").parse().unwrap();
            webhook.definition = serde_json::from_value(definition).unwrap();
            index.webhooks().put(&name(space, id), &webhook.to_stored());
            naive.webhooks.insert(name(space, id), webhook);
        }
        Step::Unreadable(space, id) => index.webhooks().put(&name(space, id), b"{}"),
        Step::Remove(space, id) => {
            index.webhooks().remove(&name(space, id));
            naive.webhooks.remove(&name(space, id));
        }
        Step::Retain(keys) => {
            let keys = keys
                .into_iter()
                .map(|(space, id)| name(space, id))
                .collect();
            index.webhooks().retain(&keys);
            naive.webhooks.retain(|key, _| keys.contains(key));
        }
        Step::Disable(space, id, webhook_version) => {
            let state = EndpointState {
                status: Status::Disabled,
                webhook_version,
                ..EndpointState::default()
            };
            let state = serde_json::to_vec(&state).unwrap();
            index.states().put(&name(space, id), &state);
            naive.disabled.insert(name(space, id), webhook_version);
        }
        Step::ForgetState(space, id) => {
            index.states().remove(&name(space, id));
            naive.disabled.remove(&name(space, id));
        }
    }
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_naive_loop_after_any_history(
        steps in prop::collection::vec(any_step(), 0..80), events in any_events(),
    ) {
        let (index, mut naive) = (Index::default(), Naive::default());
        for (version, step) in steps.into_iter().enumerate() {
            apply(step, version as u64 % 8 + 1, &index, &mut naive);
        }
        prop_assert_eq!(index.len(), naive.webhooks.len());
        for event in &events {
            let snapshot = index.snapshot();
            let mut found: Vec<String> = snapshot
                .candidates(event)
                .iter()
                .map(|it| format!("{}.{}", event.space, it.id))
                .collect();
            found.sort();
            prop_assert_eq!(found, naive.matched(event), "{:?}", event);
        }
    }
}
