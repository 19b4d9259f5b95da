use tidings_testkit::RawReceiver;

use crate::SOON;
use crate::client::{http1, post, status};

#[tokio::test]
async fn bytes_go_over_the_wire_as_they_are() {
    let receiver = RawReceiver::replying("HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok").await;
    let client = http1();

    let answer = post(&client, &receiver.url("/"), "msg_1").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (299, &b"ok"[..])
    );
    assert_eq!(status(&client, &receiver.url("/"), "msg_2").await, 299);

    assert_eq!(receiver.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn a_connection_closed_after_each_answer_is_not_used_again() {
    let receiver = RawReceiver::replying_once("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    let client = http1();

    for _ in 0..2 {
        let answer = post(&client, &receiver.url("/"), "msg_1").await.unwrap();
        assert_eq!(&answer.body()[..], b"until the end");
    }

    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn what_is_no_http_fails_at_the_client() {
    let receiver = RawReceiver::replying("220 mail ESMTP\r\n").await;
    assert!(post(&http1(), &receiver.url("/"), "msg_1").await.is_err());
}

#[tokio::test]
async fn a_closure_has_the_whole_connection() {
    let receiver = RawReceiver::start(|mut socket| async move {
        let request = socket.read_request().await.unwrap();
        assert!(request.ends_with(br#"{"type":"test"}"#));
        if socket.number == 1 {
            return socket.reset();
        }
        socket.write("HTTP/1.1 204 No").await.unwrap();
        socket.write(" Content\r\n\r\n").await.unwrap();
        socket.drain().await;
    })
    .await;
    let client = http1();

    let reset = post(&client, &receiver.url("/"), "msg_1").await;
    assert!(reset.is_err());
    assert_eq!(status(&client, &receiver.url("/"), "msg_1").await, 204);
}

#[tokio::test]
async fn a_silent_receiver_takes_connections_and_a_stopped_one_refuses_them() {
    let receiver = RawReceiver::silent().await;
    let (address, url) = (receiver.address(), receiver.url("/"));
    let client = http1();
    let asking = tokio::spawn(async move { post(&client, &url, "msg_1").await.is_err() });

    receiver.wait_for_connections(1, SOON).await;
    assert!(!asking.is_finished());
    receiver.stop().await;

    assert!(
        tokio::time::timeout(SOON, asking).await.unwrap().unwrap(),
        "its connection is closed"
    );
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
