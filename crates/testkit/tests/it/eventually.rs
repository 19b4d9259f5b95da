use std::cell::Cell;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tidings_testkit::{Condition, eventually};

use crate::SOON;

#[tokio::test]
async fn a_condition_is_asked_until_it_holds() {
    let looks = Cell::new(0);

    let value = eventually(SOON, "the third look", async || {
        looks.set(looks.get() + 1);
        (looks.get() == 3).then_some("found")
    })
    .await;

    assert_eq!((value, looks.get()), ("found", 3));
}

#[tokio::test]
async fn a_timeout_names_the_caller_the_condition_and_what_was_seen() {
    let message = failure(async || Err::<(), _>("2 messages left")).await;

    assert!(
        message.starts_with("crates/testkit/tests/it/eventually.rs:"),
        "{message}"
    );
    assert!(
        message.contains("the stream is empty: not within 30ms"),
        "{message}"
    );
    assert!(message.contains("last: 2 messages left"), "{message}");
}

#[tokio::test]
async fn a_condition_that_never_answers_ends_with_the_deadline() {
    let message = failure(pending::<bool>).await;

    assert!(
        message.contains("the condition gave no answer"),
        "{message}"
    );
}

async fn failure<Fut, C>(condition: impl FnMut() -> Fut) -> String
where
    Fut: Future<Output = C>,
    C: Condition<Value = ()>,
{
    let wait = eventually(Duration::from_millis(30), "the stream is empty", condition);
    let panic = AssertUnwindSafe(wait).catch_unwind().await.unwrap_err();
    *panic.downcast::<String>().unwrap()
}
