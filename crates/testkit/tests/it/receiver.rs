use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::Version;
use tidings_testkit::{Answer, Answers, Receiver};
use tokio::time::{Instant, timeout};

use crate::SOON;
use crate::client::{Pooled, http1, http2_without_tls, post, status};

#[tokio::test]
async fn a_list_is_answered_in_turn_and_its_last_answer_repeats() {
    let receiver = Receiver::answering([500, 503, 204]).await;
    let client = http1();

    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(status(&client, &receiver.url("/hook"), "msg_1").await);
    }

    assert_eq!(statuses, [500, 503, 204, 204]);
    assert_eq!(receiver.counts().repeats(), 3);
}

#[tokio::test]
async fn a_request_is_recorded_whole() {
    let receiver = Receiver::start().await;
    let client = http1();

    status(&client, &receiver.url("/hook?a=b"), "msg_1").await;
    status(&client, &receiver.url("/hook?a=b"), "msg_1").await;

    let [first, second] = &receiver.wait_for(2, SOON).await[..] else {
        panic!("two requests")
    };
    assert_eq!((first.method.as_str(), first.path()), ("POST", "/hook"));
    assert_eq!(first.uri.query(), Some("a=b"));
    assert_eq!(first.delivery_id(), "msg_1");
    assert_eq!(first.json()["type"], "test");
    assert_eq!(first.version, Version::HTTP_11);
    assert_eq!((first.repeat, second.repeat), (0, 1));
    assert_eq!(
        (first.connection, second.connection),
        (1, 1),
        "the connection is kept alive"
    );
    assert_eq!(first.remote, second.remote);
    assert!(first.at < second.at && first.arrived < second.arrived);
}

#[tokio::test]
async fn a_response_has_headers_and_a_body_and_comes_in_its_time() {
    let answer = Answer::status(429)
        .header("retry-after", "120")
        .body("slow down");
    let receiver = Receiver::answering(answer.after(Duration::from_millis(50))).await;
    let begin = Instant::now();

    let answer = post(&http1(), &receiver.url("/"), "msg_1").await.unwrap();

    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "120");
    assert_eq!(&answer.body()[..], b"slow down");
}

#[tokio::test]
async fn paths_have_answers_of_their_own() {
    let receiver = Receiver::builder()
        .on("/fail/*", [500])
        .on("/gone", 410)
        .answers(202)
        .start()
        .await;
    let client = http1();

    assert_eq!(
        status(&client, &receiver.url("/fail/often"), "msg_1").await,
        500
    );
    assert_eq!(status(&client, &receiver.url("/gone"), "msg_2").await, 410);
    assert_eq!(status(&client, &receiver.url("/other"), "msg_3").await, 202);

    receiver.set_answers_on("/fail/*", 204);
    receiver.set_answers(503);
    assert_eq!(
        status(&client, &receiver.url("/fail/often"), "msg_1").await,
        204
    );
    assert_eq!(status(&client, &receiver.url("/other"), "msg_3").await, 503);
}

#[tokio::test]
async fn each_delivery_has_the_script_to_itself() {
    let receiver = Receiver::answering(Answers::per_delivery([500, 204])).await;
    let client = http1();

    for expected in [500, 204, 204] {
        for id in ["msg_1", "msg_2"] {
            assert_eq!(status(&client, &receiver.url("/"), id).await, expected);
        }
    }
}

#[tokio::test]
async fn a_rule_sees_the_request() {
    let rule = Answers::rule(|request| match request.delivery_id() {
        "msg_bad" => Answer::status(400),
        _ => Answer::status(200).body(request.body.clone()),
    });
    let receiver = Receiver::answering(rule).await;
    let client = http1();

    assert_eq!(status(&client, &receiver.url("/"), "msg_bad").await, 400);
    let echo = post(&client, &receiver.url("/"), "msg_good").await.unwrap();
    assert_eq!(&echo.body()[..], br#"{"type":"test"}"#);
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let receiver = Receiver::start().await;
    let client = http2_without_tls();
    let url = receiver.url("/");

    let posts = ["msg_1", "msg_2", "msg_3"].map(|id| status(&client, &url, id));
    assert_eq!(futures_util::future::join_all(posts).await, [204; 3]);

    let requests = receiver.wait_for(3, SOON).await;
    assert!(
        requests
            .iter()
            .all(|request| request.version == Version::HTTP_2)
    );
    assert!(requests.iter().all(|request| request.path() == "/"));
}

#[tokio::test]
async fn a_request_without_answer_is_recorded_while_the_client_waits() {
    for client in [http1(), http2_without_tls()] {
        let receiver = Arc::new(Receiver::answering(Answer::hang()).await);
        let (waiting, url) = (Arc::clone(&receiver), receiver.url("/"));
        let arrival = tokio::spawn(async move { waiting.wait_for(1, SOON).await.len() });
        let asking = tokio::spawn(async move { post(&client, &url, "msg_1").await.is_err() });

        assert_eq!(arrival.await.unwrap(), 1);
        assert!(!asking.is_finished());
        drop(receiver);

        assert!(
            timeout(SOON, asking).await.unwrap().unwrap(),
            "a dropped receiver hangs up"
        );
    }
}

#[tokio::test]
async fn a_connection_is_closed_or_reset_under_the_request() {
    for client in [http1, http2_without_tls] {
        let receiver = Receiver::builder()
            .on("/close", Answer::close())
            .start()
            .await;
        receiver.set_answers_on("/reset", Answer::reset());

        let closed = failure(&client(), &receiver.url("/close")).await;
        let reset = failure(&client(), &receiver.url("/reset")).await;

        assert!(!closed.contains("connection reset"), "{closed}");
        assert!(reset.contains("connection reset"), "{reset}");
        assert_eq!(receiver.requests().len(), 2);
    }
}

#[tokio::test]
async fn counting_keeps_numbers_alone() {
    let receiver = Receiver::counting().await;
    let client = http1();
    for id in ["msg_1", "msg_2", "msg_1", "msg_1"] {
        status(&client, &receiver.url("/"), id).await;
    }

    let counts = receiver.wait_for_deliveries(2, SOON).await;

    assert_eq!(
        (counts.requests, counts.deliveries(), counts.repeats()),
        (4, 2, 2)
    );
    assert_eq!(counts.by_delivery["msg_1"], 3);
}

#[tokio::test]
async fn bodies_are_left_out_on_request() {
    let receiver = Receiver::builder().without_bodies().start().await;

    status(&http1(), &receiver.url("/"), "msg_1").await;

    assert!(receiver.requests()[0].body.is_empty());
}

#[tokio::test]
async fn a_stopped_receiver_refuses_and_a_restarted_one_goes_on_where_it_was() {
    let mut receiver = Receiver::start().await;
    let client = http1();
    let url = receiver.url("/");
    status(&client, &url, "msg_1").await;

    receiver.stop().await;
    assert!(failure(&client, &url).await.contains("refused"));
    receiver.restart().await;

    assert_eq!(status(&client, &url, "msg_1").await, 204);
    assert_eq!(receiver.requests()[1].repeat, 1);
    assert_eq!((receiver.url("/"), receiver.connections()), (url, 2));
}

#[tokio::test]
#[should_panic(expected = "no 2 requests within 50ms but 1 requests of 1 deliveries")]
async fn a_wait_that_fails_says_what_came_instead() {
    let receiver = Receiver::start().await;
    status(&http1(), &receiver.url("/"), "msg_1").await;

    receiver.wait_for(2, Duration::from_millis(50)).await;
}

#[tokio::test]
#[should_panic(expected = "more than the 0 requests before")]
async fn quiet_ends_with_the_next_request() {
    let receiver = Receiver::start().await;
    let quiet = receiver.assert_quiet(SOON);
    status(&http1(), &receiver.url("/"), "msg_1").await;

    quiet.await;
}

/// The whole chain of the error that must come.
async fn failure(client: &Pooled, url: &str) -> String {
    let error = timeout(SOON, post(client, url, "msg_1"))
        .await
        .unwrap()
        .unwrap_err();
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        chain.push_str(&format!(": {error}"));
        source = error.source();
    }
    chain.to_lowercase()
}
