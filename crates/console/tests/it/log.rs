//! The delivery log against a real nats-server.

use std::time::Duration;

use prost::Message as _;
use tidings_console::log::{DeliveryFilter, EventFilter, Log, LogOptions, follow};
use tidings_nats::connect::jetstream;
use tidings_nats::topology::{Topology, provision};
use tidings_proto::v1;
use tidings_testkit::{NatsServer, eventually};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_log_whose_file_was_lost_is_built_again_from_the_streams() {
    let server = NatsServer::start().await;
    let context = jetstream(&server.client().await);
    provision(&context, &Topology::default()).await.unwrap();
    for number in 1..=300 {
        let attempt = v1::Attempt {
            delivery_id: format!("dlv_{number:04}"),
            webhook_id: String::from("whk_1"),
            space: String::from("acme"),
            number: 1,
            verdict: String::from("delivered"),
            ..v1::Attempt::default()
        };
        // Of no time, so they would be too old.
        let started_at = Some(prost_types::Timestamp {
            seconds: 32_503_680_000,
            nanos: number,
        });
        let attempt = v1::Attempt {
            started_at,
            ..attempt
        };
        let stored = context.publish("tidings.attempt.acme.whk_1", attempt.encode_to_vec().into());
        stored.await.unwrap().await.unwrap();
    }
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", "acme.master.evt_1");
    let subject = "tidings.event.acme.master.Entry.publish";
    let stored = context.publish_with_headers(subject, headers, "{}".into());
    stored.await.unwrap().await.unwrap();

    // The second has another file, as if the first's were lost.
    for _ in 0..2 {
        let folder = tempfile::TempDir::new().unwrap();
        let log = Log::open(LogOptions::at(folder.path().join("log.db"))).await;
        let log = log.unwrap();
        assert!(log.lag().seconds > 0, "it is behind until it has read");
        let stop = CancellationToken::new();
        let following = tokio::spawn(follow(log.clone(), context.clone(), stop.clone()));
        eventually(SOON, "the log is up", async || {
            let count = log.count("acme", DeliveryFilter::default()).await.unwrap();
            count == 300 && log.lag().messages == 0 && log.lag().seconds == 0
        })
        .await;
        let events = log.events("acme", EventFilter::default(), None, 10).await;
        let events = events.unwrap().items;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].id, "evt_1");
        assert_eq!(events[0].topic, "Entry.publish");
        stop.cancel();
        following.await.unwrap();
    }
}
