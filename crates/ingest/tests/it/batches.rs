//! Many events in one request.

use prost::Message as _;
use serde_json::json;
use tidings_nats::topology::Topology;
use tidings_proto::v1;
use tidings_testkit::{NatsServer, SyncInterval};

use crate::support::{Answer, BATCH_PATH, Ingest, JSON, PROTOBUF, provision_as};

fn statuses(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{}", answer.json);
    let results = answer.json["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn each_event_of_a_batch_has_its_own_answer_in_order() {
    let ingest = Ingest::start().await;
    let body = r#"[{"id":"e1","topic":"a.b","payload":1},{"topic":"nothing","payload":2},
        {"id":"e1","topic":"a.b","payload":1},7,{"id":"e1","topic":"a.b","payload":3},
        {"id":"e2","topic":"a.b","payload": [ 1e999 ]}]"#;
    let answer = ingest.post(BATCH_PATH, &[JSON], body).await;
    let statuses = statuses(&answer);
    let results = &answer.json["results"];
    assert_eq!(statuses[1], 400);
    assert_eq!(results[1]["code"], "bad_topic");
    assert_eq!(results[1]["errors"][0]["pointer"], "/1/topic");
    assert_eq!(results[3]["code"], "not_an_object");
    assert_eq!(results[3]["errors"][0]["pointer"], "/3");
    // Three say they are e1; whichever comes first is it.
    let of_e1 = [statuses[0], statuses[2], statuses[4]];
    assert!(of_e1.contains(&202) && of_e1.contains(&409), "{of_e1:?}");
    let sequence = results[5]["sequence"].as_u64().unwrap();
    assert_eq!(ingest.stored_event(sequence).await.payload, "[ 1e999 ]");
    assert_eq!(ingest.stored_count().await, 2);
}

#[tokio::test]
async fn a_thousand_events_in_all_forms_are_stored_in_one_request() {
    let ingest = Ingest::start().await;
    let json: Vec<_> = (0..1_000)
        .map(|n| json!({"topic": "a.b", "payload": n}))
        .collect();
    let answer = ingest
        .post(BATCH_PATH, &[JSON], json!(json).to_string())
        .await;
    assert!(statuses(&answer).iter().all(|status| *status == 202));
    let cloud_events: Vec<_> = (0..1_000)
        .map(|n| json!({"specversion": "1.0", "id": n.to_string(), "source": "/", "type": "a.b"}))
        .collect();
    let media = ("content-type", "application/cloudevents-batch+json");
    let answer = ingest
        .post(BATCH_PATH, &[media], json!(cloud_events).to_string())
        .await;
    assert!(statuses(&answer).iter().all(|status| *status == 202));
    let event = v1::Event {
        topic: "a.b".into(),
        payload: "1".into(),
        ..v1::Event::default()
    };
    let messages: Vec<u8> = (0..1_000)
        .flat_map(|_| event.encode_length_delimited_to_vec())
        .collect();
    let answer = ingest.post(BATCH_PATH, &[PROTOBUF], messages).await;
    assert_eq!(statuses(&answer), vec![202; 1_000]);
    assert_eq!(ingest.stored_count().await, 3_000);
}

#[tokio::test]
async fn a_batch_of_a_broken_form_is_refused_as_a_whole() {
    let ingest = Ingest::start_with(|args| args.max_event_size = "1KiB".parse().unwrap()).await;
    for (body, status, code) in [
        ("[]", 400, "empty_batch"),
        ("", 400, "empty_body"),
        ("{}", 400, "not_an_array"),
        ("[{\"topic\":\"a.b\",\"payload\":1},", 400, "bad_json"),
    ] {
        ingest
            .post(BATCH_PATH, &[JSON], body)
            .await
            .expect_problem(status, code);
    }
    let many = format!("[{}]", vec!["1"; 1_001].join(","));
    ingest
        .post(BATCH_PATH, &[JSON], many)
        .await
        .expect_problem(400, "batch_too_large");
    let large = format!("[\"{}\"]", "x".repeat(8 << 20));
    ingest
        .post(BATCH_PATH, &[JSON], large)
        .await
        .expect_problem(413, "too_large");
    let media = ("content-type", "application/cloudevents+json");
    ingest
        .post(BATCH_PATH, &[media], "[]")
        .await
        .expect_problem(415, "unsupported_media_type");
    assert_eq!(ingest.stored_count().await, 0);

    let item = format!(
        "[{{\"topic\":\"a.b\",\"payload\":\"{}\"}}]",
        "x".repeat(2_000)
    );
    let answer = ingest.post(BATCH_PATH, &[JSON], item).await;
    assert_eq!(statuses(&answer), [413]);
}

#[tokio::test]
async fn events_are_known_again_on_a_broker_that_stores_in_groups() {
    let sync = SyncInterval::Always;
    let nats = NatsServer::builder().sync_interval(sync).start().await;
    let sync_always = true;
    let topology = Topology {
        sync_always,
        ..Topology::default()
    };
    provision_as(&nats, &topology).await;
    let ingest = Ingest::start_at(nats, |_| {}).await;
    ingest.until_ready().await;
    let batch = |ids: std::ops::Range<u32>| {
        let event = |n| json!({"id": format!("e{n}"), "topic": "a.b", "payload": n});
        json!(ids.map(event).collect::<Vec<_>>()).to_string()
    };
    let first = ingest.post(BATCH_PATH, &[JSON], batch(0..600)).await;
    let second = ingest.post(BATCH_PATH, &[JSON], batch(400..1_000)).await;
    assert_eq!(
        (statuses(&first), statuses(&second)),
        (vec![202; 600], vec![202; 600])
    );
    let results = second.json["results"].as_array().unwrap();
    let again = results
        .iter()
        .filter(|result| result["duplicate"] == true)
        .count();
    assert_eq!((again, ingest.stored_count().await), (200, 1_000));
    for (n, result) in results.iter().enumerate() {
        let event = ingest
            .stored_event(result["sequence"].as_u64().unwrap())
            .await;
        assert_eq!(event.id, format!("e{}", n + 400));
    }
}
