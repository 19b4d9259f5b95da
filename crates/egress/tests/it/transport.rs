//! `reference/response-corpus.md`, section E: what may happen below HTTP.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use tidings_egress::{EgressClient, EgressError, EgressOptions, OutgoingRequest};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::support::{
    End, OK_EMPTY, SHORT, SOON, Server, client, finish, loopback, outcome, post, read_request, send,
};

const BIG: usize = 8 * 1024 * 1024;

fn big(url: &str) -> OutgoingRequest {
    OutgoingRequest {
        body: Bytes::from(vec![b'x'; BIG]),
        ..post(url)
    }
}

/// A listener whose queue is full, so that a further connection gets no answer.
pub(crate) async fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let addr = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(connected) = tokio::time::timeout(SHORT, TcpStream::connect(addr)).await {
        waiting.push(connected.expect("a connection"));
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    let url = server.url();
    let addr = server.addr;
    drop(server);
    crate::support::eventually("the port is closed", || {
        std::net::TcpListener::bind(addr).is_ok()
    })
    .await;
    let exchange = send(&client(), &url).await; // 63
    assert_eq!(outcome(&exchange), "connect_refused");
    assert_eq!(exchange.remote_addr, Some(addr));
    assert!(!exchange.result.expect_err("refused").is_ours());
}

#[tokio::test]
async fn a_black_hole_ends_with_the_connect_budget() {
    let (listener, _waiting) = full_listener().await;
    let options = EgressOptions {
        connect_timeout: SHORT,
        ..loopback()
    };
    let client = EgressClient::new(options).expect("a client");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let began = Instant::now();
    let exchange = send(&client, &url).await; // 64
    assert_eq!(outcome(&exchange), "connect_timeout");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_slow_accept_is_waited_for() {
    let (listener, waiting) = full_listener().await;
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let answering = async {
        // The first packet of the client is lost; one of the next is not.
        tokio::time::sleep(SHORT).await;
        drop(waiting);
        loop {
            let (mut stream, _) = listener.accept().await?;
            if let Some(_request) = read_request(&mut stream).await? {
                stream.write_all(OK_EMPTY).await?;
                return Ok::<_, io::Error>(stream);
            }
        }
    };
    let client = client();
    let (exchange, _) = tokio::join!(send(&client, &url), answering); // 75
    assert_eq!(outcome(&exchange), "200");
    assert!(exchange.timings.connect.expect("a new connection") >= SHORT);
}

#[tokio::test]
async fn a_reset_is_told_apart_from_a_close() {
    let on_accept = Server::start(|stream, _| async move { stream.set_zero_linger() }).await;
    let after_request = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.set_zero_linger()
    })
    .await;
    for server in [on_accept, after_request] {
        let exchange = send(&client(), &server.url()).await; // 65
        assert_eq!(outcome(&exchange), "connection_reset");
        assert_eq!(
            server.connections(),
            1,
            "a new connection is not worth an immediate repeat"
        );
    }
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let server = Server::start(|mut stream, _| async move {
        while read_request(&mut stream).await?.is_some() {}
        Ok(())
    })
    .await;
    let exchange = client().exchange(&post(&server.url()), SHORT).await;
    assert_eq!(outcome(&exchange), "timeout");
    assert_eq!(exchange.remote_addr, Some(server.addr));
    assert!(exchange.timings.total >= SHORT && exchange.timings.total < Duration::from_secs(2));
    assert_eq!(exchange.timings.first_byte, None);
}

#[tokio::test]
async fn a_head_that_drips_ends_with_the_deadline() {
    let server = Server::answering("HTTP/1.1 200 OK\r\n", End::Drip(b"a: b\r\n")).await;
    let exchange = client().exchange(&post(&server.url()), SHORT).await;
    assert_eq!(outcome(&exchange), "timeout");
}

#[tokio::test]
async fn a_peer_that_does_not_read_ends_with_the_deadline() {
    let server = Server::start(|stream, _| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let exchange = client().exchange(&big(&server.url()), SHORT).await; // 67
    assert_eq!(outcome(&exchange), "timeout");
}

#[tokio::test]
async fn an_early_answer_counts() {
    let client = client();
    let answers: [(&[u8], &str); 2] = [
        (OK_EMPTY, "200"), // 68
        (
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
            "413",
        ), // 69
    ];
    for (answer, expected) in answers {
        let server = Server::start(move |mut stream, _| async move {
            stream.peek(&mut [0]).await?;
            stream.write_all(answer).await?;
            finish(stream).await
        })
        .await;
        assert_eq!(
            outcome(&client.exchange(&big(&server.url()), SOON).await),
            expected
        );
    }
}

#[tokio::test]
async fn an_answer_before_the_request_is_not_taken_for_one() {
    let server = Server::start(|mut stream, _| async move {
        stream.write_all(OK_EMPTY).await?;
        finish(stream).await
    })
    .await;
    let client = client();
    let seen = outcome(&send(&client, &server.url()).await); // 70
    // It is a race: if the request is on its way first, nobody can tell the difference.
    assert!(
        matches!(seen.as_str(), "invalid_response" | "200"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_connection_comes_from_the_source_addresses_in_turn() {
    let sources = [IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3])];
    let options = EgressOptions {
        source_addresses: sources.to_vec(),
        ..loopback()
    };
    let client = EgressClient::new(options).expect("a client");
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = Server::answering(answer, End::Close).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let exchange = send(&client, &server.url()).await;
        assert_eq!(outcome(&exchange), "200");
        seen.push(exchange.local_addr.expect("a connection").ip());
    }
    assert_eq!(seen, [sources, sources].concat());
}

#[tokio::test]
async fn a_source_address_that_is_not_ours_is_refused_at_the_start() {
    let options = EgressOptions {
        source_addresses: vec![IpAddr::from([192, 0, 2, 7])],
        ..loopback()
    };
    let refused = EgressClient::new(options).map(drop);
    assert!(
        matches!(refused, Err(EgressError::SourceAddress { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_endpoint_of_another_family_than_our_sources_is_not_reached_from_elsewhere() {
    let mut options = EgressOptions {
        source_addresses: vec![IpAddr::from([127, 0, 0, 2])],
        ..loopback()
    };
    options
        .addresses
        .allow
        .push("::1/128".parse().expect("a network"));
    let client = EgressClient::new(options).expect("a client");
    assert_eq!(
        outcome(&send(&client, "http://[::1]:9/").await),
        "connect_error"
    );
}

#[tokio::test]
async fn a_forbidden_literal_is_not_dialled() {
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    let port = server.addr.port();
    let client = EgressClient::new(EgressOptions::default()).expect("a client");
    for host in [
        "127.0.0.1",
        "127.0.0.2",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
    ] {
        let began = Instant::now();
        let exchange = send(&client, &format!("http://{host}:{port}/")).await;
        assert_eq!(outcome(&exchange), "blocked", "{host}");
        let failure = exchange.result.expect_err("blocked");
        assert_eq!(failure.to_string(), "the address is not allowed");
        assert_eq!(exchange.remote_addr, None);
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "{host}: {:?}",
            began.elapsed()
        );
    }
    assert_eq!(server.connections(), 0);
}
