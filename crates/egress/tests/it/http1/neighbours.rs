//! Answers that are in no corpus, each next to a row of one: the rule is what counts.

use super::{End, OK_EMPTY, Row, check, ok, row, status};

/// Rows of the same kind, each with what follows it.
fn rows<'a>(
    kind: &'static str,
    answers: impl IntoIterator<Item = &'a str>,
    end: End,
    expected: &'static str,
) -> Vec<Row> {
    let answers = answers.into_iter();
    answers
        .map(|bytes| row(kind, bytes, end, expected))
        .collect()
}

#[tokio::test]
async fn every_final_status_of_three_digits_is_taken_for_what_it_is() {
    let codes = [
        "205", "218", "250", "298", "305", "306", "400", "402", "406", "413", "415", "418", "421",
        "422", "423", "424", "426", "428", "431", "444", "451", "499", "505", "506", "508", "510",
        "520", "530", "598", "700",
    ];
    let answers = codes.map(|code| row(code, status(&format!("{code} X")), End::Keep, code));
    check(answers.into()).await;
}

#[tokio::test]
async fn unusual_heads_that_are_whole_count() {
    let mut all = rows(
        "no length: the body ends with the connection",
        [
            "HTTP/1.0 200 OK\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nServer:\r\n\r\nbody",
        ],
        End::Close,
        "200",
    );
    all.extend(rows(
        "a whole head",
        [
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 200 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 500\r\nStatus: 500\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length:\t 2 \t\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nRefresh: 0;url=http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nAlt-Svc: h2=\"169.254.169.254:80\"\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \u{7f}b\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nRetry-After: never\r\nContent-Length: 0\r\n\r\n",
        ],
        End::Keep,
        "200",
    ));
    check(all).await;
}

#[tokio::test]
async fn what_is_no_status_line_is_a_failure() {
    let lines = [
        "HTTP/1.1 200OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 +200 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1 2e2 OK",
        "HTTP/1.1 200.0 OK",
        "HTTP/1.1 0xC8 OK",
        "HTTP/1.1 ２００ OK",
        "HTTP/1.1 OK 200",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1 200 OK",
        "HTTP/1. 200 OK",
        "HTTP/11 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/3 200 OK",
        "HTTP/1.1.1 200 OK",
        "HTTPS/1.1 200 OK",
        "HTTP 1.1 200 OK",
        "HTTP/1.1: 200 OK",
        "RTSP/1.0 200 OK",
        "SIP/2.0 200 OK",
        "GET / HTTP/1.1",
        "200 OK",
        "{\"status\": 200}",
        "<html><body>200 OK</body></html>",
        "\u{feff}HTTP/1.1 200 OK",
        "+OK POP3 ready",
        "* OK IMAP ready",
        "EHLO there, this is a mail server",
    ];
    let answers = lines.map(|line| format!("{line}\r\nContent-Length: 0\r\n\r\n"));
    let answers = answers.iter().map(String::as_str);
    check(rows(
        "no status line",
        answers,
        End::Keep,
        "invalid_response",
    ))
    .await;
    let controls = ["200 O\0K", "200 O\x07K", "2\x000", "200 O\x7fK"];
    let answers = controls.map(status);
    let answers = answers.iter().map(String::as_str);
    check(rows(
        "a control character",
        answers,
        End::Keep,
        "invalid_response",
    ))
    .await;
}

#[tokio::test]
async fn a_length_that_is_no_number_is_a_failure() {
    let lengths = [
        "",
        "x",
        "0x10",
        "1_0",
        "1e3",
        "5.0",
        "5;",
        "\"5\"",
        "٣",
        "5 5",
        "0, 5",
        "5, 6",
        "NaN",
        "99999999999999999999999999",
    ];
    let answers = lengths.map(|length| ok(&format!("Content-Length: {length}\r\n"), ""));
    let answers = answers.iter().map(String::as_str);
    check(rows("no length", answers, End::Keep, "invalid_response")).await;
}

#[tokio::test]
async fn chunks_are_read_as_they_are_meant_or_noted() {
    let chunked = |coding: &str, body: &str| ok(&format!("Transfer-Encoding: {coding}\r\n"), body);
    let mut all = Vec::new();
    for (name, coding, body) in [
        ("capital letters", "CHUNKED", "2\r\nok\r\n0\r\n\r\n"),
        ("an extension", "chunked", "2;x=y\r\nok\r\n0\r\n\r\n"),
        (
            "a quoted extension",
            "chunked",
            "2;x=\"y\"\r\nok\r\n0\r\n\r\n",
        ),
        ("leading zeros", "chunked", "0002\r\nok\r\n000\r\n\r\n"),
        ("capital digits", "chunked", "A\r\n0123456789\r\n0\r\n\r\n"),
        ("trailers", "chunked", "0\r\nA: b\r\nStatus: 500\r\n\r\n"),
        ("only the end", "chunked", "0\r\n\r\n"),
    ] {
        all.push(row(name, chunked(coding, body), End::Keep, "200"));
    }
    for (name, body) in [
        ("a sign", "+2\r\nok\r\n0\r\n\r\n"),
        ("less than nothing", "-2\r\nok\r\n0\r\n\r\n"),
        ("with 0x", "0x2\r\nok\r\n0\r\n\r\n"),
        ("an empty size", "\r\nok\r\n0\r\n\r\n"),
        ("no line end after the data", "2\r\nokX\r\n0\r\n\r\n"),
        ("more data than announced", "2\r\nokay\r\n0\r\n\r\n"),
        ("an endless extension", &format!("2;{}", "x".repeat(40_000))),
    ] {
        all.push(row(
            name,
            chunked("chunked", body),
            End::Keep,
            "200 body_invalid",
        ));
    }
    check(all).await;
}

#[tokio::test]
async fn other_codings_of_the_transfer_are_noted() {
    for coding in [
        "identity",
        "xchunked",
        "chunked-x",
        "\"chunked\"",
        "deflate",
    ] {
        let answer = ok(&format!("Transfer-Encoding: {coding}\r\n"), "abc");
        check(vec![row(
            "a coding",
            answer,
            End::Close,
            "200 ambiguous_framing",
        )])
        .await;
    }
    let twice = "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n";
    let answer = ok(twice, "0\r\n\r\n");
    check(vec![row(
        "two codings",
        answer,
        End::Keep,
        "200 ambiguous_framing",
    )])
    .await;
    // HTTP/1.0 has no chunks, so nobody can say where such an answer ends.
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    check(vec![row("HTTP/1.0", old, End::Close, "invalid_response")]).await;
}

#[tokio::test]
async fn interim_answers_of_every_kind_are_skipped_and_count() {
    let before = |interim: &str, count: usize| {
        let mut bytes = interim.repeat(count).into_bytes();
        bytes.extend(OK_EMPTY);
        bytes
    };
    let hints = "HTTP/1.1 103 X\r\nLink: </a>; rel=preload\r\n\r\n";
    let unknown = "HTTP/1.1 199 X\r\n\r\n";
    let mixed = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\n";
    check(vec![
        row("with fields", before(hints, 1), End::Keep, "200"),
        row("unknown", before(unknown, 1), End::Keep, "200"),
        row("nine of three kinds", before(mixed, 3), End::Keep, "200"),
        row("eleven", before(hints, 11), End::Keep, "too_many_1xx"),
        row(
            "twelve of three kinds",
            before(mixed, 4),
            End::Keep,
            "too_many_1xx",
        ),
        row("and then nothing", hints, End::Close, "connection_closed"),
        row(
            "and then half",
            [hints, "HTTP/1.1 2"].concat(),
            End::Close,
            "connection_closed",
        ),
        row(
            "and then no HTTP",
            [hints, "nonsense\r\n\r\n"].concat(),
            End::Keep,
            "invalid_response",
        ),
        row(
            "and then 500",
            [hints, &status("500 X")].concat(),
            End::Keep,
            "500",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_body_is_noted_as_encoded_if_a_coding_changes_it() {
    for (coding, expected) in [
        ("", "200"),
        ("Identity", "200"),
        (" identity , IDENTITY", "200"),
        ("br", "200 encoded"),
        ("x-gzip", "200 encoded"),
        ("identity, zstd", "200 encoded"),
        ("identity\r\nContent-Encoding: gzip", "200 encoded"),
    ] {
        let fields = format!("Content-Encoding: {coding}\r\nContent-Length: 2\r\n");
        check(vec![row(
            "a coding",
            ok(&fields, "ok"),
            End::Keep,
            expected,
        )])
        .await;
    }
}
