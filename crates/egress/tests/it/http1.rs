//! `reference/response-corpus.md`, sections A to D and H: what HTTP/1.1 servers may answer.

mod neighbours;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tidings_egress::{EgressClient, EgressOptions, OutgoingRequest};
use tokio::time::Instant;

use crate::support::{
    End, OK_EMPTY, SOON, Server, client, eventually, field, outcome, post, read_request, send,
};

/// A row: its number and name, the bytes of the answer, what follows them, the expected outcome.
type Row = (&'static str, Vec<u8>, End, &'static str);

fn row(name: &'static str, bytes: impl AsRef<[u8]>, end: End, expected: &'static str) -> Row {
    (name, bytes.as_ref().to_vec(), end, expected)
}

/// An answer with this status line after the version, and no body.
fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
}

/// A 200 with these header lines and body.
fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

async fn check(rows: Vec<Row>) {
    let client = client();
    let mut wrong = Vec::new();
    for (name, bytes, end, expected) in rows {
        let server = Server::answering(bytes, end).await;
        let exchange = send(&client, &server.url()).await;
        let seen = outcome(&exchange);
        if seen != expected {
            wrong.push(format!(
                "{name}: expected {expected}, got {seen}: {:?}",
                exchange.result
            ));
        }
        if server.connections() != 1 {
            wrong.push(format!("{name}: {} connections", server.connections()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_plain_answer_is_its_status() {
    let mut rows = vec![
        row("1 200_cl0", OK_EMPTY, End::Keep, "200"),
        row("3 204", "HTTP/1.1 204 No Content\r\n\r\n", End::Keep, "204"),
        row("4 299", status("299 X"), End::Keep, "299"),
        row("5 200_no_reason", status("200"), End::Keep, "200"),
        row(
            "7 chunked_ok",
            ok("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
            End::Keep,
            "200",
        ),
        row("11 304", "HTTP/1.1 304 N\r\n\r\n", End::Keep, "304"),
        row("14 410", status("410 Gone"), End::Keep, "410"),
        row(
            "123 www_authenticate",
            status("401 U\r\nWWW-Authenticate: Negotiate"),
            End::Keep,
            "401",
        ),
        row(
            "124 huge_reason",
            status(&format!("200 {}", "r".repeat(10_000))),
            End::Keep,
            "200",
        ),
        row(
            "121 set_cookie",
            ok("Set-Cookie: a=b\r\nContent-Length: 0\r\n", ""),
            End::Keep,
            "200",
        ),
    ];
    let plain = ["201", "202", "203", "206", "207", "208", "226"]; // row 2
    let failed = [
        "408", "409", "425", "429", "500", "501", "502", "503", "504", "507", "511",
    ]; // 13, 15, 16
    for code in plain.into_iter().chain(failed).chain(["599", "600", "999"]) {
        rows.push(row(code, status(&format!("{code} X")), End::Keep, code)); // 19
    }
    check(rows).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::answering(OK_EMPTY, End::Keep).await;
    let client = client();
    for code in ["300", "301", "302", "303", "307", "308"] {
        for location in ["http://169.254.169.254/".to_owned(), target.url()] {
            let answer = status(&format!("{code} Moved\r\nLocation: {location}")); // rows 8 to 10
            let server = Server::answering(answer, End::Keep).await;
            let exchange = send(&client, &server.url()).await;
            assert_eq!(outcome(&exchange), code);
            let response = exchange.result.expect("a response");
            assert_eq!(response.headers["location"], location.as_str());
            assert_eq!(server.connections(), 1);
        }
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_broken_chunk_is_noted_and_success_stays() {
    let chunked = |body: &str| ok("Transfer-Encoding: chunked\r\n", body);
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(2000));
    let endless = End::Endless(b"1\r\nx\r\n");
    let drip = End::Drip(b"1\r\nx\r\n");
    for (name, body, end, expected) in [
        (
            "21 no_end_close",
            "2\r\nok\r\n",
            End::Close,
            "200 body_incomplete",
        ),
        ("22 bad_hex", "zz\r\n", End::Keep, "200 body_invalid"),
        (
            "23 overflow",
            "FFFFFFFFFFFFFFFFF\r\n",
            End::Keep,
            "200 body_invalid",
        ),
        ("25 trailers_2000", &trailers, End::Keep, "200 body_invalid"),
        ("29 endless_1byte", "", endless, "200 body_truncated"),
        ("30 slow_drip", "", drip, "200 body_timeout"),
    ] {
        check(vec![row(name, chunked(body), end, expected)]).await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_announced_is_noted_and_success_stays() {
    let long = "Content-Length: 100\r\n";
    let huge = "Content-Length: 99999999999\r\n";
    let encoded = "Content-Encoding: gzip\r\nContent-Length: 3\r\n";
    for (name, fields, body, end, expected) in [
        (
            "20 cl10_close",
            long,
            "hi",
            End::Close,
            "200 body_incomplete",
        ),
        (
            "26 rst_mid_body",
            long,
            "abc",
            End::Reset,
            "200 body_incomplete",
        ),
        ("27 cl_huge", huge, "", End::Keep, "200 body_timeout"),
        (
            "28 endless",
            "",
            "",
            End::Endless(b"x"),
            "200 body_truncated",
        ),
        ("31 gzip_bomb", encoded, "abc", End::Keep, "200 encoded"),
        (
            "34 extra_bytes",
            "Content-Length: 0\r\n",
            "EXTRA",
            End::Keep,
            "200",
        ),
        ("73 half_close", long, "", End::Close, "200 body_incomplete"),
    ] {
        check(vec![row(name, ok(fields, body), end, expected)]).await;
    }
    let with_body = "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nHELLO";
    check(vec![row("33 204_with_body", with_body, End::Keep, "204")]).await;
}

#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_noted_or_refused() {
    for (name, fields, body, end, expected) in [
        (
            "37 te_and_cl",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "0\r\n\r\n",
            End::Keep,
            "200 ambiguous_framing",
        ),
        (
            "38 te_unknown",
            "Transfer-Encoding: gzip\r\n",
            "abc",
            End::Close,
            "200 ambiguous_framing",
        ),
        (
            "38 te_chunked_not_last",
            "Transfer-Encoding: chunked, gzip\r\n",
            "abc",
            End::Close,
            "200 ambiguous_framing",
        ),
        (
            "39 cl_two_same",
            "Content-Length: 0\r\nContent-Length: 0\r\n",
            "",
            End::Keep,
            "200",
        ),
        (
            "40 cl_two_different",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            "",
            End::Keep,
            "invalid_response",
        ),
    ] {
        check(vec![row(name, ok(fields, body), end, expected)]).await;
    }
    for length in ["-1", "+0", "18446744073709551616"] {
        let bytes = ok(&format!("Content-Length: {length}\r\n"), "");
        check(vec![row("41 cl", bytes, End::Keep, "invalid_response")]).await;
    }
}

#[tokio::test]
async fn a_malformed_status_line_is_a_failure() {
    let mut rows = vec![
        row(
            "46 leading_crlf",
            [b"\r\n\r\n", OK_EMPTY].concat(),
            End::Keep,
            "200",
        ),
        row(
            "49 reason_latin1",
            b"HTTP/1.1 200 \xe9\r\nContent-Length: 0\r\n\r\n",
            End::Keep,
            "200",
        ),
        row(
            "50 reason_ctl",
            status("200 \x1b[31m"),
            End::Keep,
            "invalid_response",
        ),
    ];
    for line in [
        "HTTP/2.0 200",
        "HTTP/1.2 200",
        "http/1.1 200",
        "ICY 200",
        " HTTP/1.1 200",
    ] {
        let bytes = format!("{line} OK\r\n\r\n");
        rows.push(row("43, 45 version", bytes, End::Keep, "invalid_response"));
    }
    for code in ["2OO", "20", "0200", "000", "099", "2000", " 200"] {
        let bytes = status(&format!("{code} OK"));
        rows.push(row("44, 45 status", bytes, End::Keep, "invalid_response"));
    }
    let banners: [&[u8]; 4] = [
        b"220 mail ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"SSH-2.0-x\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ];
    for bytes in banners {
        rows.push(row(
            "56 other protocol",
            bytes,
            End::Keep,
            "invalid_response",
        ));
    }
    check(rows).await;
}

#[tokio::test]
async fn a_sloppy_header_line_is_skipped_and_a_dangerous_one_refused() {
    for (name, line, expected) in [
        ("47 hdr_no_colon", "nonsense", "200"),
        ("47 hdr_space_before_colon", "a : b", "200"),
        ("47 hdr_obs_fold", "a: b\r\n c", "200"),
        ("47 hdr_nul", "a: b\0c", "invalid_response"),
        ("47 hdr_bare_cr", "a: b\rc", "invalid_response"),
    ] {
        let bytes = ok(&format!("{line}\r\nContent-Length: 0\r\n"), "");
        check(vec![row(name, bytes, End::Keep, expected)]).await;
    }
    let latin1 = b"HTTP/1.1 200 OK\r\na: \xe9\r\nContent-Length: 0\r\n\r\n";
    check(vec![row("49 hdr_latin1", latin1, End::Keep, "200")]).await;
}

#[tokio::test]
async fn a_binary_body_is_kept_byte_for_byte() {
    let mut answer = ok("Content-Length: 256\r\n", "").into_bytes();
    answer.extend(0..=255_u8);
    let server = Server::answering(answer, End::Keep).await; // 32
    let response = send(&client(), &server.url())
        .await
        .result
        .expect("a response");
    assert!(response.body.iter().copied().eq(0..=255));
}

#[tokio::test]
async fn a_head_has_its_limits() {
    let fields = |count: usize| {
        ok(
            &format!("{}Content-Length: 0\r\n", "a: b\r\n".repeat(count - 1)),
            "",
        )
    };
    let long = |bytes: usize| {
        ok(
            &format!("a: {}\r\nContent-Length: 0\r\n", "x".repeat(bytes)),
            "",
        )
    };
    check(vec![
        row("51 headers_100", fields(100), End::Keep, "200"),
        row("51 headers_101", fields(101), End::Keep, "head_too_large"),
        row("51 headers_1000", fields(1000), End::Keep, "head_too_large"),
        row("52 header_15000", long(15_000), End::Keep, "200"),
        row("52 header_17000", long(17_000), End::Keep, "head_too_large"),
        row(
            "52 header_64k",
            long(64 * 1024),
            End::Keep,
            "head_too_large",
        ),
        row(
            "52 header_1m",
            long(1024 * 1024),
            End::Keep,
            "head_too_large",
        ),
        row(
            "53 header_endless",
            "HTTP/1.1 200 OK\r\na: ",
            End::Endless(b"x"),
            "head_too_large",
        ),
        row(
            "53 headers_endless",
            "HTTP/1.1 200 OK\r\n",
            End::Endless(b"a: b\r\n"),
            "head_too_large",
        ),
        row("55 empty_close", "", End::Close, "connection_closed"),
        row(
            "55 partial_status_close",
            "HTTP/1.1 2",
            End::Close,
            "connection_closed",
        ),
        row(
            "55 partial_headers_close",
            "HTTP/1.1 200 OK\r\na: b\r\n",
            End::Close,
            "connection_closed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn interim_answers_are_skipped_up_to_a_limit() {
    let interim = |code: &str, count: usize| {
        let mut bytes = format!("HTTP/1.1 {code} Wait\r\n\r\n")
            .repeat(count)
            .into_bytes();
        bytes.extend(OK_EMPTY);
        bytes
    };
    check(vec![
        row("57 100_then_200", interim("100", 1), End::Keep, "200"),
        row("57 103_then_200", interim("103", 1), End::Keep, "200"),
        row("57 ten", interim("103", 10), End::Keep, "200"),
        row(
            "61 101_switch",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            End::Keep,
            "101",
        ),
        row(
            "62 102_close",
            "HTTP/1.1 102 P\r\n\r\n",
            End::Close,
            "connection_closed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_cut_at_once() {
    const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\n";
    let client = client();
    let many = Server::answering([&INTERIM.repeat(1000), OK_EMPTY].concat(), End::Keep).await; // 58
    let endless = Server::answering("", End::Endless(INTERIM)).await; // 59
    for server in [many, endless] {
        let began = Instant::now();
        let exchange = send(&client, &server.url()).await;
        // All 1,000 and the final head may be there in one read: then the flood is over already.
        assert_eq!(outcome(&exchange), "too_many_1xx");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn a_body_is_kept_as_it_came_up_to_the_limit() {
    let client = client();
    let limit = 64 * 1024;
    for (length, kept, truncated) in [(limit, limit, false), (limit + 1, limit, true)] {
        let answer = ok(
            &format!("Content-Length: {length}\r\n"),
            &"x".repeat(length),
        );
        let server = Server::answering(answer.clone(), End::Keep).await;
        let response = send(&client, &server.url())
            .await
            .result
            .expect("a response");
        assert_eq!(
            response.body,
            &answer.as_bytes()[answer.len() - length..][..kept]
        );
        assert_eq!(response.body_truncated, truncated);
    }
}

#[tokio::test]
async fn the_request_is_sent_as_given() {
    let (seen, mut requests) = tokio::sync::mpsc::channel(8);
    let server = Server::start(move |mut stream, _| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await? {
                tokio::io::AsyncWriteExt::write_all(&mut stream, OK_EMPTY).await?;
                seen.send(String::from_utf8(request).expect("text"))
                    .await
                    .expect("a listener");
            }
            Ok(())
        }
    })
    .await;
    let client = client();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-own", "1"),
        ("host", "elsewhere.example"),
        ("content-length", "999"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-own"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut request = OutgoingRequest {
        headers,
        ..post(&server.url())
    };

    assert_eq!(outcome(&client.exchange(&request, SOON).await), "200");
    let announced = requests.recv().await.expect("a request").to_lowercase();
    assert!(
        announced.starts_with("post /hook?a=b http/1.1\r\n"),
        "{announced}"
    );
    assert_eq!(
        field(&announced, "host"),
        Some(server.addr.to_string().as_str())
    );
    assert_eq!(field(&announced, "x-own"), Some("1"));
    assert_eq!(field(&announced, "accept-encoding"), Some("identity"));
    assert_eq!(field(&announced, "content-length"), Some("17"));
    assert_eq!(field(&announced, "transfer-encoding"), None);
    assert_eq!(field(&announced, "connection"), None);
    assert!(announced.ends_with("\r\n\r\n{\"hello\":\"world\"}"));

    request.content_length = false;
    assert_eq!(outcome(&client.exchange(&request, SOON).await), "200");
    let chunked = requests.recv().await.expect("a request").to_lowercase();
    assert_eq!(field(&chunked, "content-length"), None);
    assert_eq!(field(&chunked, "transfer-encoding"), Some("chunked"));
    assert!(chunked.ends_with("\r\n\r\n11\r\n{\"hello\":\"world\"}\r\n0\r\n\r\n"));

    let empty = OutgoingRequest {
        method: Method::GET,
        body: Bytes::new(),
        ..request
    };
    assert_eq!(outcome(&client.exchange(&empty, SOON).await), "200");
    let get = requests.recv().await.expect("a request").to_lowercase();
    assert_eq!(field(&get, "content-length"), None);
    assert_eq!(field(&get, "transfer-encoding"), None);
}

#[tokio::test]
async fn only_https_is_taken_when_asked_for() {
    let options = EgressOptions {
        https_only: true,
        ..crate::tls::Authority::new().options()
    };
    let client = EgressClient::new(options).expect("a client");
    let server = Server::answering(OK_EMPTY, End::Keep).await;
    assert_eq!(outcome(&send(&client, &server.url()).await), "invalid_url");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_dropped_exchange_cancels_the_request() {
    let (closed, mut is_closed) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            read_request(&mut stream).await?;
            let end = read_request(&mut stream).await;
            closed.send_replace(true);
            end.map(drop)
        }
    })
    .await;
    let client = client();
    let url = server.url();
    let exchange = send(&client, &url);
    let asked = eventually("the request is there", || server.connections() == 1);
    tokio::select! {
        _ = exchange => panic!("there was no answer"),
        () = asked => {}
    }
    tokio::time::timeout(SOON, is_closed.wait_for(|closed| *closed))
        .await
        .expect("the connection is closed")
        .expect("the server runs");
}
