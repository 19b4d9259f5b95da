//! Which connection an exchange gets, and when it is made a second time at once.

use std::time::Duration;

use tidings_egress::{EgressClient, EgressOptions};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    End, OK_EMPTY, SHORT, SOON, Server, client, eventually, finish, loopback, outcome, post,
    read_request, send,
};

#[tokio::test]
async fn a_clean_answer_keeps_the_connection() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", End::Keep).await;
    let client = client();
    let first = send(&client, &server.url()).await;
    assert_eq!(outcome(&first), "200");
    assert!(!first.connection_reused);
    assert!(first.timings.connect.is_some());
    assert_eq!((first.timings.dns, first.timings.tls), (None, None));
    assert!(first.timings.first_byte.expect("a head") <= first.timings.total);
    for _ in 0..10 {
        let next = send(&client, &server.url()).await;
        assert_eq!(outcome(&next), "200");
        assert!(next.connection_reused);
        assert_eq!(next.timings.connect, None);
        assert_eq!(next.local_addr, first.local_addr);
        assert_eq!(next.remote_addr, Some(server.addr));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_unclean_answer_does_not_keep_the_connection() {
    let client = client();
    let answers: [(&str, &[u8]); 5] = [
        ("33 204_with_body", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nHELLO"),
        ("34 cl0_extra_bytes", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nEXTRA"),
        (
            "35 desync_second_response",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Evil\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "37 te_and_cl",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        ),
        ("74 connection_close", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (name, answer) in answers {
        let server = Server::answering(answer, End::Keep).await;
        for requests in 1..=5 {
            let exchange = send(&client, &server.url()).await;
            assert!(
                outcome(&exchange).starts_with("20"),
                "{name}: {:?}",
                exchange.result
            );
            assert_eq!(server.connections(), requests, "{name}");
        }
    }
}

#[tokio::test]
async fn an_old_connection_is_not_used_again() {
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    let age_max = Duration::from_millis(400);
    let options = EgressOptions {
        connection_age_max: age_max,
        idle_timeout: age_max / 2,
        ..loopback()
    };
    let client = EgressClient::new(options).expect("a client");
    let began = tokio::time::Instant::now();
    let mut requests = 0;
    while began.elapsed() < age_max * 3 {
        assert_eq!(outcome(&send(&client, &server.url()).await), "200");
        requests += 1;
    }
    // Between once per retirement (200 ms) and once per age.
    assert!(
        (3..=8).contains(&server.connections()),
        "{}",
        server.connections()
    );
    assert!(requests > server.connections());
}

#[tokio::test]
async fn a_kept_connection_that_ends_without_a_byte_is_worth_one_repeat() {
    // Each connection answers one request and closes upon the next.
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(OK_EMPTY).await?;
        read_request(&mut stream).await?;
        finish(stream).await
    })
    .await;
    let client = client();
    let first = send(&client, &server.url()).await;
    assert_eq!((outcome(&first).as_str(), first.repeats), ("200", 0));
    let second = send(&client, &server.url()).await;
    assert_eq!((outcome(&second).as_str(), second.repeats), ("200", 1));
    assert!(!second.connection_reused, "what is told is the last try");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_ends_within_the_answer_is_not() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(OK_EMPTY).await?;
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 2").await?;
        finish(stream).await
    })
    .await;
    let client = client();
    assert_eq!(outcome(&send(&client, &server.url()).await), "200");
    let second = send(&client, &server.url()).await;
    assert_eq!(
        (outcome(&second).as_str(), second.repeats),
        ("connection_closed", 0)
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let server = Server::answering(OK_EMPTY, End::Close).await;
    let client = client();
    for _ in 0..5 {
        assert_eq!(outcome(&send(&client, &server.url()).await), "200"); // 71
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_at_once_get_connections_of_their_own() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", End::Keep).await;
    let client = std::sync::Arc::new(client());
    let mut exchanges = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (client, url) = (std::sync::Arc::clone(&client), server.url());
        exchanges.spawn(async move { send(&client, &url).await });
    }
    while let Some(exchange) = exchanges.join_next().await {
        let exchange = exchange.expect("an exchange");
        assert_eq!(outcome(&exchange), "200");
        // Either it waited for its own connection, or it got one that was there.
        assert_eq!(
            exchange.connection_reused,
            exchange.timings.connect.is_none()
        );
    }
    assert!(server.connections() <= 100);
}

#[tokio::test]
async fn a_deadline_holds_over_repeats() {
    let server = Server::start(|mut stream, number| async move {
        if number == 0 {
            read_request(&mut stream).await?;
            stream.write_all(OK_EMPTY).await?;
            read_request(&mut stream).await?;
            return finish(stream).await;
        }
        while read_request(&mut stream).await?.is_some() {}
        Ok(())
    })
    .await;
    let client = client();
    assert_eq!(outcome(&send(&client, &server.url()).await), "200");
    let exchange = client.exchange(&post(&server.url()), SHORT).await;
    assert_eq!(
        (outcome(&exchange).as_str(), exchange.repeats),
        ("timeout", 1)
    );
    assert!(exchange.timings.total < SHORT * 3);
}

#[tokio::test]
async fn closing_ends_the_connections() {
    let (closed, mut is_closed) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            while read_request(&mut stream).await?.is_some() {
                stream.write_all(OK_EMPTY).await?;
            }
            closed.send_replace(true);
            Ok(())
        }
    })
    .await;
    let client = client();
    assert_eq!(outcome(&send(&client, &server.url()).await), "200");
    client.close().await;
    tokio::time::timeout(SOON, is_closed.wait_for(|closed| *closed))
        .await
        .expect("the connection is closed")
        .expect("the server runs");
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_time() {
    let (closed, mut is_closed) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(OK_EMPTY).await?;
            if read_request(&mut stream).await?.is_none() {
                let _ = closed.send(()).await;
            }
            Ok(())
        }
    })
    .await;
    let options = EgressOptions {
        idle_timeout: SHORT,
        ..loopback()
    };
    let client = EgressClient::new(options).expect("a client");
    assert_eq!(outcome(&send(&client, &server.url()).await), "200");
    assert_eq!(client.connections(), 1);
    let waiting = tokio::time::timeout(SOON, is_closed.recv());
    assert_eq!(waiting.await, Ok(Some(())));
    assert_eq!(client.connections(), 0);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_allowed_however_many_hosts_there_are() {
    let mut servers = Vec::new();
    for _ in 0..12 {
        servers.push(Server::answering(OK_EMPTY, End::Keep).await);
    }
    let options = EgressOptions {
        connections_kept_max: 4,
        ..loopback()
    };
    let client = EgressClient::new(options).expect("a client");
    for server in &servers {
        assert_eq!(outcome(&send(&client, &server.url()).await), "200");
    }
    eventually("the others are closed", || client.connections() <= 4).await;
    // Those that were kept are used again.
    for server in &servers[..4] {
        assert!(send(&client, &server.url()).await.connection_reused);
    }
}
