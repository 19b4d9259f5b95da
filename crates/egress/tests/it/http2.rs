//! `reference/response-corpus.md`, section G: what HTTP/2 servers may answer, frame by frame.

mod neighbours;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use tidings_egress::{EgressClient, Exchange, OutgoingRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{SHORT, SOON, Server, outcome, post, send};
use crate::tls::{Authority, https_url, server_config};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200` from the static table (RFC 7541).
const OK: &[u8] = &[0x88];
/// `:status: 103`, literal.
const EARLY_HINTS: &[u8] = b"\x08\x03103";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, block)
}

fn ok(stream: u32) -> Vec<u8> {
    headers(END_STREAM, stream, OK)
}

fn reset(stream: u32, code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, code])
}

fn goaway(last_stream: u32, code: u8) -> Vec<u8> {
    let mut payload = last_stream.to_be_bytes().to_vec();
    payload.extend([0, 0, 0, code]);
    frame(GOAWAY, 0, 0, &payload)
}

/// A literal field with a new name, not indexed.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).expect("a short name")];
    bytes.extend(name.as_bytes());
    bytes.push(u8::try_from(value.len()).expect("a short value"));
    bytes.extend(value.as_bytes());
    bytes
}

/// What a server does.
#[derive(Clone)]
struct Script {
    /// The payload of its SETTINGS.
    settings: Vec<u8>,
    /// The answer to a request, by the number of the connection and the stream.
    answer: Arc<dyn Fn(usize, u32) -> Vec<u8> + Send + Sync>,
    /// What follows the answer without end, by the stream.
    endless: Option<fn(u32) -> Vec<u8>>,
    /// Whether the connection ends after an answer.
    closes: bool,
}

impl Script {
    fn answering(answer: impl Fn(usize, u32) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self {
            settings: Vec::new(),
            answer: Arc::new(answer),
            endless: None,
            closes: false,
        }
    }

    async fn start(self, authority: &Authority) -> Server {
        let config = server_config(authority.local_identity(), &["h2"]);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::start(move |stream, number| serve(acceptor.clone(), stream, number, self.clone()))
            .await
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    number: usize,
    script: Script,
) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    stream.read_exact(&mut [0; 24]).await?;
    stream
        .write_all(&frame(SETTINGS, 0, 0, &script.settings))
        .await?;
    // The client's own settings hold from now on.
    stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
    stream.flush().await?;
    loop {
        let id = next_request(&mut stream).await?;
        stream.write_all(&(script.answer)(number, id)).await?;
        stream.flush().await?;
        if script.closes {
            stream.shutdown().await?;
        }
        if let Some(endless) = script.endless {
            // Read as well: the client answers pings, and would wait for us to take them.
            let (mut reading, mut writing) = tokio::io::split(stream);
            let block = endless(id);
            let swallow =
                tokio::spawn(
                    async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await },
                );
            while writing.write_all(&block).await.is_ok() {}
            return swallow.await?.map(drop);
        }
    }
}

/// Reads frames up to the end of the next request.
async fn next_request(stream: &mut TlsStream<TcpStream>) -> io::Result<u32> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        let is_last = matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0;
        if is_last {
            return Ok(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

async fn check(rows: Vec<(&str, Script, &str)>) {
    let authority = Authority::new();
    let client = authority.client();
    let mut wrong = Vec::new();
    for (name, script, expected) in rows {
        let server = script.start(&authority).await;
        let exchange = client
            .exchange(&post(&https_url(&server)), Duration::from_secs(2))
            .await;
        let seen = outcome(&exchange);
        if seen != expected {
            wrong.push(format!(
                "{name}: expected {expected}, got {seen}: {:?}",
                exchange.result
            ));
        }
        if exchange.http_version != Some(Version::HTTP_2) {
            wrong.push(format!("{name}: {:?}", exchange.http_version));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn exchange(client: &EgressClient, server: &Server) -> Exchange {
    send(client, &https_url(server)).await
}

#[tokio::test]
async fn an_answer_is_judged_by_its_head() {
    let big = |_, id| {
        let mut block = OK.to_vec();
        block.extend([0, 1, b'a', 0x7f, 0x81, 0x1f]); // a value of 127 + 1 + 31 * 128 bytes
        block.extend(vec![b'x'; 4096]);
        headers(END_STREAM, id, &block)
    };
    let with_length = |_, id| {
        let block = [OK.to_vec(), literal("content-length", "10")].concat();
        [headers(0, id, &block), frame(DATA, END_STREAM, id, b"abc")].concat()
    };
    let long = |_, id| {
        [
            headers(0, id, OK),
            frame(DATA, 0, id, &[b'x'; 16 * 1024]).repeat(5),
        ]
        .concat()
    };
    check(vec![
        ("94 200", Script::answering(|_, id| ok(id)), "200"),
        (
            "94 body",
            Script::answering(|_, id| {
                [headers(0, id, OK), frame(DATA, END_STREAM, id, b"ok")].concat()
            }),
            "200",
        ),
        (
            "101 headers_then_rst",
            Script::answering(|_, id| [headers(0, id, OK), reset(id, 8)].concat()),
            "200 body_incomplete",
        ),
        ("110 hpack_big_header", Script::answering(big), "200"),
        (
            "113 endless_data",
            Script::answering(long),
            "200 body_truncated",
        ),
        (
            "115 cl_mismatch",
            Script::answering(with_length),
            "200 body_invalid",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_broken_protocol_is_a_failure() {
    let with = |field: Vec<u8>| {
        Script::answering(move |_, id| {
            headers(END_STREAM, id, &[OK.to_vec(), field.clone()].concat())
        })
    };
    check(vec![
        (
            "95 no_status",
            Script::answering(|_, id| headers(END_STREAM, id, &literal("a", "b"))),
            "h2_protocol",
        ),
        (
            "97 uppercase_header",
            with(literal("A", "b")),
            "h2_protocol",
        ),
        (
            "98 connection_header",
            with(literal("connection", "close")),
            "h2_protocol",
        ),
        (
            "100 rst_internal",
            Script::answering(|_, id| reset(id, 2)),
            "h2_reset",
        ),
        (
            "103 goaway_err",
            Script {
                closes: true,
                ..Script::answering(|_, _| goaway(0, 11))
            },
            "h2_goaway",
        ),
        (
            "104 push_promise",
            Script::answering(|_, id| {
                frame(PUSH_PROMISE, END_HEADERS, id, &[&[0, 0, 0, 2], OK].concat())
            }),
            "h2_protocol",
        ),
        (
            "105 data_before_headers",
            Script::answering(|_, id| frame(DATA, 0, id, b"ok")),
            "h2_protocol",
        ),
        (
            "106 oversize_frame",
            Script::answering(|_, id| frame(DATA, 0, id, &[0; 20_000])),
            "h2_protocol",
        ),
        (
            "107 garbage",
            Script::answering(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
            "h2_protocol",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_flood_is_cut() {
    let bomb = |_, id| {
        // One entry of 3.7 KB in the dynamic table, and 12,000 references to it.
        let mut block = OK.to_vec();
        block.extend([0x40, 1, b'a', 0x7f, 0xf5, 0x1b]); // a value of 127 + 0x75 + 27 * 128 bytes
        block.extend(vec![b'x'; 127 + 0x75 + 27 * 128]);
        let rest = [0xbe; 12_000];
        [
            frame(HEADERS, END_STREAM, id, &block),
            frame(CONTINUATION, END_HEADERS, id, &rest),
        ]
        .concat()
    };
    let endless = |block: fn(u32) -> Vec<u8>| Script {
        endless: Some(block),
        ..Script::answering(|_, _| Vec::new())
    };
    let began = Instant::now();
    check(vec![
        ("109 indexed_bomb", Script::answering(bomb), "h2_flood"),
        (
            "111 ping_flood",
            endless(|_| frame(PING, 0, 0, &[0; 8]).repeat(100)),
            "h2_flood",
        ),
        (
            "111 settings_flood",
            endless(|_| frame(SETTINGS, 0, 0, &[]).repeat(100)),
            "h2_flood",
        ),
        (
            "112 1xx_flood",
            endless(|id| headers(0, id, EARLY_HINTS).repeat(100)),
            "h2_flood",
        ),
    ])
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn data_beyond_the_window_is_noted() {
    let authority = Authority::new();
    let endless = Script {
        endless: Some(|id| frame(DATA, 0, id, &[b'x'; 16 * 1024])),
        ..Script::answering(|_, id| headers(0, id, OK))
    };
    let server = endless.start(&authority).await;
    // Which of the two comes first, the limit of the body or that of the window, is a race.
    let seen = outcome(&exchange(&authority.client(), &server).await); // 113
    assert!(
        matches!(seen.as_str(), "200 body_truncated" | "200 body_invalid"),
        "{seen}"
    );
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let authority = Authority::new();
    let client = authority.client();
    let with_settings = |settings: &[u8]| Script {
        settings: settings.to_vec(),
        ..Script::answering(|_, id| ok(id))
    };
    let big = Bytes::from(vec![b'x'; 200_000]);
    for (name, script, body) in [
        ("116 zero_window", with_settings(&[0, 4, 0, 0, 0, 0]), big),
        (
            "117 max_streams_0",
            with_settings(&[0, 3, 0, 0, 0, 0]),
            Bytes::from_static(b"x"),
        ),
        (
            "119 hang",
            Script::answering(|_, _| Vec::new()),
            Bytes::from_static(b"x"),
        ),
    ] {
        let server = script.start(&authority).await;
        // Wait for the SETTINGS: what they say holds from then on.
        let request = OutgoingRequest {
            body,
            ..post(&https_url(&server))
        };
        let exchange = client.exchange(&request, Duration::from_secs(1)).await;
        let seen = outcome(&exchange);
        // The first request may be on its way before the SETTINGS are there.
        let expected = if name.starts_with("117") && seen == "200" {
            "200"
        } else {
            "timeout"
        };
        assert_eq!(seen, expected, "{name}: {:?}", exchange.result);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_connection() {
    let authority = Authority::new();
    let client = Arc::new(authority.client());
    let server = Script::answering(|_, id| ok(id)).start(&authority).await;
    let first = exchange(&client, &server).await;
    assert_eq!(outcome(&first), "200");
    assert_eq!(first.http_version, Some(Version::HTTP_2));
    assert!(!first.connection_reused);
    let mut exchanges = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (Arc::clone(&client), https_url(&server));
        exchanges.spawn(async move { send(&client, &url).await });
    }
    while let Some(next) = exchanges.join_next().await {
        let next = next.expect("an exchange");
        assert_eq!(outcome(&next), "200");
        assert!(next.connection_reused);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_refused_stream_is_repeated_up_to_three_times() {
    let authority = Authority::new();
    let client = authority.client();
    let refuses_twice = Script::answering(|_, id| if id <= 3 { reset(id, 7) } else { ok(id) });
    let server = refuses_twice.start(&authority).await;
    let taken = exchange(&client, &server).await; // 99
    assert_eq!((outcome(&taken).as_str(), taken.repeats), ("200", 2));

    let server = Script::answering(|_, id| reset(id, 7))
        .start(&authority)
        .await;
    let refused = exchange(&client, &server).await;
    assert_eq!(
        (outcome(&refused).as_str(), refused.repeats),
        ("h2_refused", 3)
    );
}

#[tokio::test]
async fn a_request_that_a_leaving_peer_did_not_process_is_repeated() {
    let authority = Authority::new();
    let client = authority.client();
    let leaves_once = Script {
        closes: false,
        ..Script::answering(|connection, id| {
            if connection == 0 {
                goaway(0, 0)
            } else {
                ok(id)
            }
        })
    };
    let server = leaves_once.start(&authority).await;
    let taken = exchange(&client, &server).await;
    assert_eq!((outcome(&taken).as_str(), taken.repeats), ("200", 1));
    assert_eq!(server.connections(), 2);

    let always = Script::answering(|_, _| goaway(0, 0))
        .start(&authority)
        .await;
    let left = exchange(&client, &always).await;
    assert_eq!((outcome(&left).as_str(), left.repeats), ("h2_goaway", 3));
}

#[tokio::test]
async fn resetting_every_stream_costs_one_error_each() {
    let authority = Authority::new();
    let client = authority.client();
    let server = Script::answering(|_, id| reset(id, 2))
        .start(&authority)
        .await;
    for _ in 0..200 {
        assert_eq!(outcome(&exchange(&client, &server).await), "h2_reset"); // 118
    }
}

#[tokio::test]
async fn a_connection_that_went_silent_is_left() {
    let authority = Authority::new();
    let client = authority.client();
    // The first connection answers once and then no more.
    let server = Script::answering(|connection, id| {
        if connection == 0 && id > 1 {
            Vec::new()
        } else {
            ok(id)
        }
    })
    .start(&authority)
    .await;
    assert_eq!(outcome(&exchange(&client, &server).await), "200");
    let swallowed = client.exchange(&post(&https_url(&server)), SHORT).await;
    assert_eq!(outcome(&swallowed), "timeout");
    let next = client.exchange(&post(&https_url(&server)), SOON).await;
    assert_eq!(outcome(&next), "200");
    assert!(!next.connection_reused);
    assert_eq!(server.connections(), 2);
}
