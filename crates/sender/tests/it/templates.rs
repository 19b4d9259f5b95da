//! A webhook's transformation, URL, headers and keys are made ready once for each version of it.

use std::sync::Arc;

use serde_json::json;
use tidings_core::delivery::Delivery;
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::format::Content;
use tidings_core::webhook::{EndpointState, Webhook};
use tidings_nats::table::Sink as _;
use tidings_proto::v1;
use tidings_sender::webhooks::{Entry, Found, Webhooks};
use tidings_service::clock;
use tidings_service::health::Health;
use tidings_vault::KeyRing;

use crate::stand::Stand;

async fn find(table: &Webhooks, delivery: &Delivery) -> Arc<Entry> {
    match table.find(delivery).await {
        Found::Known(entry) => entry,
        other => panic!("{other:?}"),
    }
}

/// The body of a delivery's request, made from the entry's template.
fn body(entry: &Entry, delivery: &Delivery) -> String {
    let event: v1::Event = prost::Message::decode(delivery.event.clone()).unwrap();
    let event =
        tidings_proto::event_from_wire(event, || unreachable!("it has an id"), clock::now())
            .unwrap();
    let content = Content {
        delivery: &delivery.id,
        attempt: 1,
        event: &event,
    };
    let target = entry.target.as_ref().as_ref().unwrap();
    let rendered = target.template.render(content, clock::now()).unwrap();
    String::from_utf8(rendered.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_transformation_is_compiled_once_for_each_version_and_not_for_each_delivery() {
    let stand = Stand::start().await;
    let table = Webhooks::new(
        UrlPolicy::default(),
        KeyRing::default(),
        stand.webhooks.clone(),
        Health::new(),
    );
    let version = |number: u64| {
        let body = json!({"transformation": {"body": {"v": number, "n": "{ /payload/n }"}}});
        Webhook {
            id: "wh_1".parse().unwrap(),
            version: number,
            ..stand.new_webhook("https://example.com/", body)
        }
    };
    let deliver = |number: u64| {
        let payload = format!("{{\"n\":{number}}}");
        stand.delivery(&version(1), payload.as_bytes())
    };
    table
        .definitions()
        .put("acme.wh_1", &version(1).to_stored());
    let first = find(&table, &deliver(0)).await;
    for number in 1..=100 {
        let delivery = deliver(number);
        let entry = find(&table, &delivery).await;
        assert!(
            Arc::ptr_eq(&entry.target, &first.target),
            "delivery {number} has one of its own"
        );
        assert_eq!(
            body(&entry, &delivery),
            format!("{{\"v\":1,\"n\":{number}}}")
        );
    }

    // What happens to its endpoint makes a new entry, of what was compiled before.
    let paused = serde_json::to_vec(&EndpointState::paused_by_hand(None, 1)).unwrap();
    table.states().put("acme.wh_1", &paused);
    let paused = find(&table, &deliver(101)).await;
    assert!(!Arc::ptr_eq(&paused, &first) && Arc::ptr_eq(&paused.target, &first.target));

    table
        .definitions()
        .put("acme.wh_1", &version(2).to_stored());
    let delivery = deliver(7);
    let second = find(&table, &delivery).await;
    assert!(!Arc::ptr_eq(&second.target, &first.target));
    assert_eq!(body(&second, &delivery), r#"{"v":2,"n":7}"#);
    let again = find(&table, &deliver(8)).await;
    assert!(Arc::ptr_eq(&again.target, &second.target));
}
