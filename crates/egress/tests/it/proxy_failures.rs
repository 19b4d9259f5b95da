//! What a proxy may do wrong, and whose fault it is.

use std::io;
use std::time::Duration;

use tidings_egress::{EgressClient, EgressOptions, Exchange};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::proxies::{KINDS, Kind, Proxy, through};
use crate::support::{
    End, OK_EMPTY, SHORT, Server, eventually, finish, loopback, outcome, read_request, send,
};
use crate::transport::full_listener;

/// An endpoint that nobody listens at, for proxies that do not try.
const NOWHERE: &str = "http://127.0.0.1:9/";
const GRANTED: &[u8] = &[5, 0];

fn options() -> EgressOptions {
    EgressOptions {
        connect_timeout: SHORT,
        ..loopback()
    }
}

/// Sends through a server of this kind, and checks that it ends in time.
async fn send_through(server: &Server, kind: Kind) -> Exchange {
    let client = EgressClient::new(through(server, kind, options())).expect("a client");
    let began = Instant::now();
    let exchange = send(&client, NOWHERE).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?} after {:?}",
        exchange.result,
        began.elapsed()
    );
    exchange
}

/// The code, whether it is our fault, and the text.
fn told(exchange: &Exchange) -> (String, bool, String) {
    let failure = exchange.result.as_ref().expect_err("no answer");
    (
        failure.code().to_owned(),
        failure.is_ours(),
        failure.to_string(),
    )
}

fn ours(text: &str) -> (String, bool, String) {
    let text = format!("not sent: the egress proxy: {text}");
    ("proxy_error".to_owned(), true, text)
}

/// A proxy that reads a CONNECT request and answers like this.
async fn answering(answer: impl Into<bytes::Bytes>, end: End) -> Server {
    Server::answering(answer, end).await
}

/// A SOCKS proxy that agrees to no authentication and answers the request like this.
async fn replying(reply: &'static [u8]) -> Server {
    Server::start(move |mut stream, _| async move {
        stream.read_exact(&mut [0; 3]).await?;
        stream.write_all(GRANTED).await?;
        stream.read_exact(&mut [0; 10]).await?;
        stream.write_all(reply).await?;
        finish(stream).await
    })
    .await
}

/// Something that says `bytes` as soon as it is spoken to, and then nothing more.
async fn saying(bytes: &'static [u8]) -> Server {
    Server::start(move |mut stream, _| async move {
        stream.peek(&mut [0]).await?;
        stream.write_all(bytes).await?;
        swallow(stream).await
    })
    .await
}

async fn swallow(mut stream: TcpStream) -> io::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

#[tokio::test]
async fn a_status_is_about_the_endpoint_or_about_the_proxy() {
    for (answer, code, is_ours) in [
        ("403 Forbidden", "proxy_error", true),
        ("404 Not Found", "proxy_error", true),
        ("407 Proxy Authentication Required", "proxy_error", true),
        ("500 Internal Server Error", "proxy_error", true),
        ("503 Service Unavailable", "proxy_error", true),
        ("500 Unable to connect", "connect_error", false),
        ("502 Bad Gateway", "connect_error", false),
        ("504 Gateway Timeout", "connect_timeout", false),
        (
            "503 x\r\nX-Squid-Error: ERR_CONNECT_FAIL 111",
            "connect_refused",
            false,
        ),
        (
            "302 Found\r\nLocation: http://127.0.0.1/",
            "proxy_error",
            true,
        ),
    ] {
        let server = answering(format!("HTTP/1.1 {answer}\r\n\r\nbody"), End::Close).await;
        let exchange = send_through(&server, Kind::HttpConnect).await;
        let (seen, seen_ours, text) = told(&exchange);
        assert_eq!(
            (seen.as_str(), seen_ours),
            (code, is_ours),
            "{answer}: {text}"
        );
        assert_eq!(
            exchange.remote_addr,
            Some("127.0.0.1:9".parse().expect("an address"))
        );
        assert_eq!(server.connections(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_socks_reply_is_about_the_endpoint_or_about_the_proxy() {
    let replies: [(&[u8], &str, bool); 9] = [
        (&[5, 1, 0, 1, 0, 0, 0, 0, 0, 0], "proxy_error", true),
        (&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0], "proxy_error", true),
        (&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0], "connect_error", false),
        (&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0], "connect_error", false),
        (&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0], "connect_refused", false),
        (&[5, 6, 0, 1, 0, 0, 0, 0, 0, 0], "connect_timeout", false),
        (&[5, 7, 0, 1, 0, 0, 0, 0, 0, 0], "proxy_error", true),
        (&[5, 8, 0, 1, 0, 0, 0, 0, 0, 0], "connect_error", false),
        // Cut short, as some do.
        (&[5, 5], "connect_refused", false),
    ];
    for (reply, code, is_ours) in replies {
        let server = replying(reply).await;
        let (seen, seen_ours, text) = told(&send_through(&server, Kind::Socks5).await);
        assert_eq!(
            (seen.as_str(), seen_ours),
            (code, is_ours),
            "{reply:?}: {text}"
        );
    }
}

#[tokio::test]
async fn a_refusing_endpoint_is_not_the_proxys_fault() {
    for (kind, expected) in KINDS.into_iter().zip(["connect_error", "connect_refused"]) {
        let proxy = Proxy::start(kind).await;
        let (code, is_ours, text) = told(&send_through(&proxy.server, kind).await);
        assert_eq!((code.as_str(), is_ours), (expected, false), "{text}");
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_not_the_proxys_fault() {
    let (listener, _waiting) = full_listener().await;
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let options = through(&proxy.server, kind, options());
        let client = EgressClient::new(options).expect("a client");
        let (code, is_ours, text) = told(&send(&client, &url).await);
        assert_eq!(
            (code.as_str(), is_ours),
            ("connect_timeout", false),
            "{text}"
        );
        assert_eq!(proxy.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_our_fault() {
    let (black_hole, _waiting) = full_listener().await;
    let black_hole = black_hole.local_addr().expect("an address");
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    let closed = server.addr;
    drop(server);
    eventually("the port is closed", || {
        std::net::TcpListener::bind(closed).is_ok()
    })
    .await;
    for kind in KINDS {
        for (proxy, text) in [
            (closed, "it cannot be reached"),
            (black_hole, "it did not answer in time"),
        ] {
            let url = format!("{}://user:secret@{proxy}", kind.scheme());
            let options = EgressOptions {
                proxy: Some(url.parse().expect("a proxy URL")),
                ..options()
            };
            let client = EgressClient::new(options).expect("a client");
            assert_eq!(told(&send(&client, NOWHERE).await), ours(text), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_speak_its_protocol_is_our_fault() {
    let malformed = "it did not answer like a proxy of this kind";
    let cases: [(&str, Kind, &[u8]); 9] = [
        ("garbage", Kind::HttpConnect, b"\x00\xff\x00\xff\r\n\r\n"),
        (
            "another protocol",
            Kind::HttpConnect,
            b"SSH-2.0-OpenSSH_9.2\r\n",
        ),
        ("SOCKS", Kind::HttpConnect, &[5, 0]),
        ("no status", Kind::HttpConnect, b"HTTP/1.1 OK\r\n\r\n"),
        ("garbage", Kind::Socks5, b"\x00\xff\x00\xff\r\n\r\n"),
        ("HTTP", Kind::Socks5, b"HTTP/1.1 200 OK\r\n\r\n"),
        ("version 4", Kind::Socks5, &[4, 0]),
        ("an unknown method", Kind::Socks5, &[5, 1]),
        ("a method we did not offer", Kind::Socks5, &[5, 2]),
    ];
    for (name, kind, bytes) in cases {
        let server = saying(bytes).await;
        assert_eq!(
            told(&send_through(&server, kind).await),
            ours(malformed),
            "{name}"
        );
    }
    let replies: [(&str, &[u8]); 2] = [
        ("version 4", &[4, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        (
            "an unknown kind of address",
            &[5, 0, 0, 9, 0, 0, 0, 0, 0, 0],
        ),
    ];
    for (name, reply) in replies {
        let server = replying(reply).await;
        assert_eq!(
            told(&send_through(&server, Kind::Socks5).await),
            ours(malformed),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_proxy_whose_authentication_is_broken_is_our_fault() {
    let answers: [(&[u8], &str); 3] = [
        (&[1, 1], "it wants other credentials than it got"),
        (&[5, 0], "it did not answer like a proxy of this kind"),
        (&[], "it ended the connection"),
    ];
    for (answer, text) in answers {
        let server = Server::start(move |mut stream, _| async move {
            stream.read_exact(&mut [0; 4]).await?;
            stream.write_all(&[5, 2]).await?;
            stream.read_exact(&mut [0; 9]).await?;
            stream.write_all(answer).await?;
            finish(stream).await
        })
        .await;
        let url = format!("socks5://usr:pwd@{}", server.addr);
        let options = EgressOptions {
            proxy: Some(url.parse().expect("a proxy URL")),
            ..options()
        };
        let client = EgressClient::new(options).expect("a client");
        assert_eq!(
            told(&send(&client, NOWHERE).await),
            ours(text),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn an_endless_head_ends() {
    let heads: [(&'static [u8], &'static [u8]); 3] = [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\na: ", b"x"),
        (b"HTTP/1.1 200 ", b"O"),
    ];
    for (answer, endless) in heads {
        let server = answering(answer, End::Endless(endless)).await;
        let exchange = send_through(&server, Kind::HttpConnect).await;
        let expected = ours("it did not answer like a proxy of this kind");
        assert_eq!(told(&exchange), expected, "{endless:?}");
        let server = answering(answer, End::Drip(endless)).await;
        let exchange = send_through(&server, Kind::HttpConnect).await;
        assert_eq!(
            told(&exchange),
            ours("it did not answer in time"),
            "{endless:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_goes_away_is_our_fault() {
    let at_once = Server::start(|stream, _| finish(stream)).await;
    let reset = Server::start(|stream, _| async move { stream.set_zero_linger() }).await;
    for server in [&at_once, &reset] {
        for kind in KINDS {
            let told = told(&send_through(server, kind).await);
            assert_eq!(told, ours("it ended the connection"), "{kind:?}");
        }
    }
    let midway = answering("HTTP/1.1 200 OK\r\nA: b\r\n", End::Close).await;
    let told_midway = told(&send_through(&midway, Kind::HttpConnect).await);
    assert_eq!(told_midway, ours("it ended the connection"));
    let replies: [&[u8]; 3] = [&[], &[5, 0, 0], &[5, 0, 0, 3, 200, b'x']];
    for reply in replies {
        let server = replying(reply).await;
        let told = told(&send_through(&server, Kind::Socks5).await);
        assert_eq!(told, ours("it ended the connection"), "{reply:?}");
    }
}

#[tokio::test]
async fn silence_counts_against_the_endpoint_once_it_was_asked_for() {
    let silent = Server::start(|stream, _| swallow(stream)).await;
    let (code, is_ours, _) = told(&send_through(&silent, Kind::HttpConnect).await);
    assert_eq!((code.as_str(), is_ours), ("connect_timeout", false));
    // A SOCKS proxy speaks before that.
    let told_silent = told(&send_through(&silent, Kind::Socks5).await);
    assert_eq!(told_silent, ours("it did not answer in time"));
    let granting = saying(GRANTED).await;
    let (code, is_ours, _) = told(&send_through(&granting, Kind::Socks5).await);
    assert_eq!((code.as_str(), is_ours), ("connect_timeout", false));
    let midway = saying(&[5, 0, 5, 0, 0]).await;
    let told_midway = told(&send_through(&midway, Kind::Socks5).await);
    assert_eq!(told_midway, ours("it did not answer in time"));
}

#[tokio::test]
async fn the_deadline_of_the_exchange_comes_first() {
    let silent = Server::start(|stream, _| swallow(stream)).await;
    for kind in KINDS {
        let options = through(&silent, kind, loopback());
        let client = EgressClient::new(options).expect("a client");
        let exchange = client.exchange(&crate::support::post(NOWHERE), SHORT).await;
        assert_eq!(outcome(&exchange), "timeout");
    }
}

#[tokio::test]
async fn a_tunnel_that_ends_at_once_is_taken_for_the_endpoints_end() {
    let server = Server::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        stream.peek(&mut [0]).await?;
        finish(stream).await
    })
    .await;
    let (code, is_ours, _) = told(&send_through(&server, Kind::HttpConnect).await);
    assert_eq!((code.as_str(), is_ours), ("connection_closed", false));
}
