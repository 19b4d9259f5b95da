//! Every row of `header-corpus.tsv` ends as its verdict says.

use tidings_core::header::check_header;

use crate::corpus;

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counts are the result of a corpus run"
)]
fn every_header_row_has_its_verdict() {
    let (mut accepted, mut rejected) = (0, 0);
    for [name, value, verdict, reason] in corpus::rows::<4>("header-corpus.tsv") {
        let (name, value) = (corpus::unescape(&name), corpus::unescape(&value));
        match (check_header(&name, &value), verdict.as_str()) {
            (Ok(()), "accept") => accepted += 1,
            (Err(_), "reject") => rejected += 1,
            (found, _) => panic!("{name:?}: {value:?}: {found:?}, but {verdict}: {reason}"),
        }
    }
    println!("headers: {accepted} accepted, {rejected} rejected");
    assert_eq!((accepted, rejected), (19, 69));
}

/// Own rows of the same kinds.
#[test]
fn more_headers_of_the_same_kinds_end_in_the_same_way() {
    for (name, value) in [
        ("Trailer", "X"),
        ("Proxy", "http://evil.example.com"),
        ("pRoXy-aNyThInG", "x"),
        ("Sec-WebSocket-Key", "x"),
        ("Transfer_Encoding", "chunked"),
        ("Content_Length", "0"),
        ("X_Forwarded_For", "127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("True-Client-IP", "127.0.0.1"),
        ("WL-Proxy-Client-IP", "127.0.0.1"),
        ("CF-Connecting-IPv6", "::1"),
        ("X-Envoy-Original-Path", "/admin"),
        ("X-AppEngine-Cron", "true"),
        ("X-MS-Client-Principal", "x"),
        ("X-aws-ec2-metadata-token-ttl-seconds", "21600"),
        ("X-Original-URL", "/admin"),
        ("X-Method-Override", "DELETE"),
        ("webhook_id", "msg_1"),
        ("Content-Digest", "sha-256=:x:"),
        ("User-Agent", "curl"),
        ("Authorization", "Bearer Oracle"),
        ("X-Foo\u{0}", "x"),
        ("X-Foo\u{7f}", "x"),
        ("X\u{2010}Foo", "x"),
        ("\u{212a}", "x"),
        ("X-Foo", ""),
        ("X-Foo", "x "),
        ("X-Foo", "\tx"),
        ("X-Foo", "a\u{0}b"),
        ("X-Foo", "a\u{85}b"),
        ("X-Foo", "a\u{ff0d}b"),
    ] {
        assert!(check_header(name, value).is_err(), "{name:?}: {value:?}");
    }
    for (name, value) in [
        ("Cookie", "a=b; c=d"),
        ("Accept", "application/json"),
        ("X-GitHub-Event", "push"),
        ("Umb-Webhook-Event", "x"),
        ("X-Envoy", "x"),
        ("Prefer", "return=minimal"),
        ("!#$%&'*+-.^_`|~0aZ", "x"),
        ("X-Foo", "a  b"),
        ("X-Foo", "%0d%0a"),
        ("X-Foo", "{ plain }"),
    ] {
        assert_eq!(check_header(name, value), Ok(()), "{name:?}: {value:?}");
    }
}
