//! `tidings token`.

use tidings_core::token::{self, Scope, TokenRecord};
use tidings_nats::topology::TOKENS_BUCKET;

use crate::broker::{Broker, text};

#[tokio::test]
async fn a_token_is_shown_once_and_only_its_hash_is_stored() {
    let broker = Broker::provisioned().await;
    let arguments = [
        "token",
        "create",
        "--space",
        "acme",
        "--scope",
        "events:write",
        "--expires-in",
        "24h",
    ];
    let created = broker.json(&arguments).await;
    let token = text(&created["token"]);
    let bucket = broker.bucket(TOKENS_BUCKET).await;
    let stored = bucket.get(token::hash(token)).await.unwrap().unwrap();
    let record: TokenRecord = serde_json::from_slice(&stored).unwrap();
    assert_eq!(record.scopes, [Scope::EventsWrite]);
    assert_eq!(
        record
            .expires_at
            .unwrap()
            .duration_since(record.created_at)
            .as_hours(),
        24
    );
    assert!(!String::from_utf8_lossy(&stored).contains(token));
    let listed = broker.json(&["token", "list"]).await;
    assert_eq!(listed[0]["id"], created["id"]);
    assert!(!listed.to_string().contains(token));
}

#[tokio::test]
async fn a_revoked_token_is_gone() {
    let broker = Broker::provisioned().await;
    let created = broker
        .json(&["token", "create", "--scope", "admin", "--name", "ci"])
        .await;
    let id = text(&created["id"]);
    broker.run(&["token", "revoke", id]).await.succeeded();
    broker
        .run(&["token", "revoke", id])
        .await
        .failed(1, &[id, "token list"]);
    let listed = broker.run(&["token", "list"]).await.succeeded();
    assert_eq!(listed.stdout, "no tokens\n");
}
