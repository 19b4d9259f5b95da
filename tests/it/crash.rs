//! Every program may be killed at any moment: what was accepted arrives (CONTRACT.md section 5.3).
//!
//! Each scenario publishes a steady load, kills with `SIGKILL` at random moments, starts again what
//! it killed, and then holds what arrived against what was accepted. Set `TIDINGS_CRASH_SEED` to
//! repeat the moments of an earlier run; the seed of each run is printed.

pub(crate) mod ledger;
mod report;
mod scenario;

use scenario::{Scenario, Victim};

#[tokio::test(flavor = "multi_thread")]
async fn killing_ingest_loses_nothing() {
    Scenario::new("ingest", [Victim::Ingest])
        .kills(5)
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_routers_loses_nothing() {
    Scenario::new("router", [Victim::Router])
        .kills(5)
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_senders_loses_nothing() {
    Scenario::new("sender", [Victim::Sender])
        .kills(5)
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_broker_loses_nothing() {
    Scenario::new("nats-server", [Victim::Broker])
        .kills(5)
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_anything_loses_nothing_with_sync_always() {
    let all = [
        Victim::Ingest,
        Victim::Router,
        Victim::Sender,
        Victim::Broker,
    ];
    Scenario::new("any, sync always", all)
        .sync_always()
        .kills(6)
        .run()
        .await;
}
