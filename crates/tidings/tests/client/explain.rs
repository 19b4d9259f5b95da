//! `tidings webhook explain`.

use serde_json::{Value, json};
use tidings_core::webhook::{EndpointState, Status};
use tidings_nats::topology::ENDPOINT_STATE_BUCKET;
use tidings_proto::v1;

use crate::broker::{Broker, text};

const EVENT: &str = r#"{"space": "acme", "environment": "staging", "topic": "Entry.publish",
    "entity": {"id": "home"}, "payload": {"fields": {"price": 7.50}}}"#;

async fn webhook(broker: &Broker, filter: &str) -> String {
    let definition = json!({
        "url": "http://127.0.0.1:9999/", "topics": ["Entry.*"],
        "filters": [serde_json::from_str::<Value>(filter).unwrap()],
    });
    let arguments = [
        "--json",
        "webhook",
        "create",
        "--space",
        "acme",
        "--file",
        "-",
        "--no-probe",
        "--egress-allow",
        "127.0.0.0/8",
    ];
    let created = broker.run_with(&arguments, &definition.to_string()).await;
    let created: Value = serde_json::from_str(&created.succeeded().stdout).unwrap();
    text(&created["id"]).to_owned()
}

async fn explain(broker: &Broker, arguments: &[&str], input: &str) -> Value {
    let arguments = [&["--json", "webhook", "explain"], arguments].concat();
    let ended = broker.run_with(&arguments, input).await.succeeded();
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn each_condition_of_each_webhook_is_told_for_an_event_in_a_file() {
    let broker = Broker::provisioned().await;
    let muted = r#"{"equals": [{"doc": "sys.environment.sys.id"}, "master"]}"#;
    let muted = webhook(&broker, muted).await;
    let priced = webhook(&broker, r#"{"gt": [{"doc": "fields.price"}, 7]}"#).await;

    let told = explain(&broker, &["--event", "-", "--webhook", &muted], EVENT).await;
    assert_eq!(told["event"]["topic"], "Entry.publish");
    assert_eq!(told["webhooks"].as_array().unwrap().len(), 1);
    assert_eq!(told["webhooks"][0]["matches"], false);
    let expected = json!({
        "pointer": "/filters/0", "operator": "equals", "doc": "sys.environment.sys.id",
        "wanted": "master", "saw": "staging", "verdict": "no",
    });
    assert_eq!(told["webhooks"][0]["checks"][3], expected);

    let told = explain(&broker, &["--event", "-"], EVENT).await;
    let verdict = |id: &str| {
        let told = told["webhooks"].as_array().unwrap();
        told.iter().find(|told| told["webhookId"] == id).unwrap()["matches"].clone()
    };
    assert_eq!(
        (verdict(&muted), verdict(&priced)),
        (json!(false), json!(true))
    );

    let arguments = ["webhook", "explain", "--event", "-", "--webhook", &priced];
    let shown = broker.run_with(&arguments, EVENT).await.succeeded().stdout;
    assert!(shown.contains("gets it"), "{shown}");
    let line = "yes     /filters/0 gt fields.price 7; saw 7.50";
    assert!(shown.contains(line), "{shown}");
}

#[tokio::test]
async fn events_of_the_stream_are_found_by_place_and_by_id() {
    let broker = Broker::provisioned().await;
    let id = webhook(&broker, r#"{"exists": [{"doc": "fields.price"}, false]}"#).await;
    let event = v1::Event {
        id: "e1".into(),
        payload: r#"{"fields": {}}"#.into(),
        ..v1::Event::default()
    };
    let subject = "tidings.event.acme.master.Entry.publish";
    let sequence = broker.put(subject, &event).await.to_string();
    for which in [["--event-id", "e1"], ["--sequence", &sequence]] {
        let told = explain(&broker, &[&which[..], &["--webhook", &id]].concat(), "").await;
        assert_eq!(
            told["event"],
            json!({
                "id": "e1", "space": "acme", "environment": "master", "topic": "Entry.publish",
            })
        );
        assert_eq!(told["webhooks"][0]["matches"], true);
    }

    let state = EndpointState {
        status: Status::Disabled,
        reason: "gone: the endpoint answered 410".into(),
        webhook_version: 1,
        ..EndpointState::default()
    };
    let bucket = broker.bucket(ENDPOINT_STATE_BUCKET).await;
    let state = serde_json::to_vec(&state).unwrap();
    bucket
        .put(format!("acme.{id}"), state.into())
        .await
        .unwrap();
    let shown = broker
        .run(&["webhook", "explain", "--event-id", "e1", "--space", "acme"])
        .await
        .succeeded()
        .stdout;
    assert!(
        shown.contains("would get it, but is disabled (gone"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_cannot_be_explained_says_why() {
    let broker = Broker::provisioned().await;
    for (arguments, input, words) in [
        (&["--event", "-"][..], "{\"space\": 1}", "/space"),
        (
            &["--event", "-"],
            "{\"topic\":\"a.b\",\"payload\":1}",
            "give --space",
        ),
        (&["--sequence", "7"], "", "there is no event 7"),
        (&["--event-id", "e7"], "", "there is no event e7"),
        (
            &["--event", "-", "--webhook", "wh_1"],
            EVENT,
            "there is no webhook wh_1",
        ),
    ] {
        let arguments = [&["webhook", "explain"], arguments].concat();
        broker.run_with(&arguments, input).await.failed(1, &[words]);
    }
    let ended = broker.run(&["webhook", "explain"]).await;
    ended.failed(2, &["--event"]);
}
