//! The three ways in (CONTRACT.md section 3).

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message as _;
use tidings_proto::v1;

use super::{Platform, TOKEN};
use crate::client::{Answer, post};
use crate::event::Event;

const JSON: &str = "application/json";

impl Platform {
    /// Publishes over HTTP, which must be accepted, and returns the reply.
    pub(crate) async fn publish(&self, event: Event) -> serde_json::Value {
        self.try_publish(&event).await.expect(202).json()
    }

    /// Publishes over HTTP.
    pub(crate) async fn try_publish(&self, event: &Event) -> Answer {
        self.post(JSON, &[], event.json()).await
    }

    /// POSTs `body` to `/v1/events`, with a token.
    pub(crate) async fn post(
        &self,
        content_type: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let url = self.ingest.url("/v1/events").await;
        self.post_to(&url, content_type, headers, body.into()).await
    }

    /// POSTs `body` to `/v1/events:batch`, with a token.
    pub(crate) async fn post_batch(&self, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let url = self.ingest.url("/v1/events:batch").await;
        self.post_to(&url, content_type, &[], body.into()).await
    }

    async fn post_to(
        &self,
        url: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut all = vec![
            ("content-type", content_type),
            ("authorization", bearer.as_str()),
        ];
        all.extend_from_slice(headers);
        let answer = self.http.send(post(url, &all, body)).await;
        answer.unwrap_or_else(|error| panic!("no answer from ingest: {error}"))
    }

    /// Publishes by a request to the NATS service, which must be accepted, and returns the reply.
    pub(crate) async fn publish_nats(&self, event: &Event) -> v1::PublishReply {
        let reply = self.request_nats(event, HeaderMap::new()).await;
        let code = reply
            .headers
            .as_ref()
            .and_then(|headers| headers.get("Nats-Service-Error-Code"));
        assert_eq!(code.map(async_nats::HeaderValue::as_str), None, "{reply:?}");
        v1::PublishReply::decode(reply.payload).expect("a PublishReply")
    }

    /// Publishes by a request to the NATS service.
    pub(crate) async fn request_nats(
        &self,
        event: &Event,
        headers: HeaderMap,
    ) -> async_nats::Message {
        let space = event.wire().space;
        let subject = format!("tidings.ingest.v1.{space}");
        let request = self
            .client
            .request_with_headers(subject, headers, event.bytes());
        request
            .await
            .unwrap_or_else(|error| panic!("no reply from ingest: {error}"))
    }

    /// Publishes straight to the stream and returns the event's place there.
    pub(crate) async fn publish_jetstream(&self, event: &Event) -> u64 {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", event.message_id().as_str());
        self.publish_raw(event.subject(), headers, event.bytes())
            .await
    }

    /// Publishes anything to any subject of the events stream and returns its place there.
    pub(crate) async fn publish_raw(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> u64 {
        let sent = self
            .context
            .publish_with_headers(subject, headers, payload)
            .await;
        let ack = sent.expect("the broker is there").await;
        ack.expect("the stream takes it").sequence
    }
}
