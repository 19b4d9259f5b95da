//! What holds for every body.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tidings_ingest::decode::{batch, cloudevents, json, protobuf};
use tokio::runtime::Handle;

use crate::support::{BATCH_PATH, EVENTS_PATH, Ingest, JSON, PROTOBUF};

/// Bytes, texts that are nearly JSON, and messages that are nearly protobuf.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        r#"[\[\]{}:,"a-z0-9\\ .-]{1,8}"#.prop_map(String::into_bytes),
        prop_oneof![
            r#"\{"topic":"#,
            r#""Entry\.publish""#,
            r#","payload":"#,
            r#"\{"n":1e999\}"#,
            r#","id":"#,
            r#""\\\\ud8[0-9a-f]{2}""#,
            "null",
            r#"\{"specversion":"1\.0","#,
            r#""source":"/","#,
        ]
        .prop_map(String::into_bytes),
        vec(any::<u8>(), 0..12),
        (1_u8..16, vec(any::<u8>(), 0..20)).prop_map(|(number, value)| {
            let length = u8::try_from(value.len()).expect("it is short");
            [vec![number << 3 | 2, length], value].concat()
        }),
    ];
    vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
}

/// JSON values as text, with numbers and escapes that no parser may touch.
fn payloads() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        "\"([a-zé😀 ]|\\\\[nrt\"\\\\/]|\\\\u00[0-9a-f]{2}|\\\\ud83d\\\\ude00){0,12}\"",
        "true|false|null",
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..6), " {0,2}").prop_map(|(items, space)| {
                format!("[{space}{}{space}]", items.join(&format!("{space},")))
            }),
            (vec(("\"[a-c]?\"", inner), 0..6), "[ \n\t]{0,2}").prop_map(|(members, space)| {
                let member = |(name, value): &(String, String)| format!("{name}{space}:{value}");
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{}{space}}}", members.join(","))
            }),
        ]
    })
}

#[test]
fn no_body_makes_a_decoder_panic() {
    let mut runner = TestRunner::new(Config::with_cases(5_000));
    let outcome = runner.run(&bodies(), |body| {
        let body = Bytes::from(body);
        let _ = (
            json::event(&body),
            protobuf::event(&body),
            cloudevents::structured(&body),
        );
        let _ = cloudevents::binary(&http::HeaderMap::new(), &body);
        for split in [batch::json(&body), batch::protobuf(&body)] {
            assert!(split.is_err() || split.is_ok_and(|items| items.len() <= 1_000));
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_payload_comes_out_byte_for_byte() {
    let mut runner = TestRunner::new(Config::with_cases(2_000));
    let outcome = runner.run(&payloads(), |payload| {
        let of_json = Bytes::from(format!("{{\"payload\":{payload},\"topic\":\"a.b\"}}"));
        let of_json =
            json::event(&of_json).map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
        assert_eq!(of_json.event.payload, payload.as_bytes());
        let of_cloud = format!(
            r#"{{"specversion":"1.0","id":"a","source":"/","type":"a.b","data":{payload}}}"#
        );
        let of_cloud = cloudevents::structured(&Bytes::from(of_cloud));
        assert_eq!(
            of_cloud.map(|candidate| candidate.event.payload),
            Ok(payload.into())
        );
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_answered_with_a_fault_of_ours() {
    let ingest = Ingest::start().await;
    let media = [
        JSON,
        PROTOBUF,
        ("content-type", "application/cloudevents+json"),
    ];
    let handle = Handle::current();
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config::with_cases(300));
        let outcome = runner.run(
            &(bodies(), 0..media.len(), any::<bool>()),
            |(body, of, single)| {
                let path = if single { EVENTS_PATH } else { BATCH_PATH };
                let answer = handle.block_on(ingest.post(path, &[media[of]], body));
                assert!(answer.status < 500, "{} {}", answer.status, answer.json);
                Ok(())
            },
        );
        outcome.unwrap();
        let outcome = TestRunner::new(Config::with_cases(100)).run(&payloads(), |payload| {
            let body = format!("{{\"topic\":\"a.b\",\"payload\":{payload}}}");
            let answer = handle.block_on(ingest.publish(body));
            let stored = handle.block_on(ingest.stored_event(answer.sequence()));
            assert_eq!(stored.payload, payload.as_bytes());
            Ok(())
        });
        outcome.unwrap();
    });
}
