//! Every row of `ssrf-corpus.tsv` ends where its verdict says.
//!
//! The rules see text and resolved addresses. Rows that only a dial can decide (a redirect, a TLS
//! fault, a resolver that fails) have to reach that dial; they are counted apart, and the HTTP
//! client's tests run them.

use tidings_core::address::AddressPolicy;
use tidings_core::endpoint_url::{EndpointUrl, Host, UrlError, UrlPolicy, check_resolved};

use crate::corpus;
use crate::zone::{Answer, Zone};

/// Where a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The text broke a rule.
    Text(&'static str),
    /// One of the addresses did.
    Address(&'static str),
    /// The resolver failed.
    Unresolved,
    /// It would be dialled.
    Dialled,
}

struct Row {
    url: String,
    verdict: String,
    reason: String,
}

/// The zone says that 203.0.112.77 is to be one of our own public addresses.
fn policy() -> UrlPolicy {
    let own = "203.0.112.77/32".parse().unwrap();
    UrlPolicy {
        address: AddressPolicy {
            allow: Vec::new(),
            deny: vec![own],
        },
        ..UrlPolicy::default()
    }
}

fn rows(verdict: &str) -> Vec<Row> {
    let rows = corpus::rows::<3>("ssrf-corpus.tsv").into_iter();
    let rows = rows.map(|[url, verdict, reason]| Row {
        url: corpus::unescape(&url),
        verdict,
        reason,
    });
    rows.filter(|row| row.verdict == verdict).collect()
}

/// What the rules say of `url` at the given query: 1 at creation, 2 and more before a dial.
fn end(url: &str, query: usize, zone: &Zone) -> End {
    let policy = policy();
    let endpoint = match EndpointUrl::parse(url, &policy) {
        Ok(endpoint) => endpoint,
        Err(error) => return End::Text(error.code()),
    };
    assert_eq!(policy.recheck(&endpoint), Ok(()), "{url}");
    let Host::Name(name) = endpoint.host() else {
        return End::Dialled;
    };
    match zone.resolve(name, query) {
        Answer::Failure => End::Unresolved,
        Answer::Addresses(addresses) => match check_resolved(&addresses, &policy.address) {
            Ok(()) => End::Dialled,
            Err(error) => End::Address(error.code()),
        },
    }
}

fn host_name(url: &str) -> String {
    match EndpointUrl::parse(url, &policy()).unwrap().host() {
        Host::Name(name) => name.to_owned(),
        other => panic!("{url} has the host {other:?}"),
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counts are the result of a corpus run"
)]
fn every_reject_create_row_is_refused_before_a_dial_or_by_the_probe() {
    let zone = Zone::load();
    let (mut by_text, mut by_address, mut by_probe) = (0, 0, 0);
    for row in rows("reject-create") {
        let Row { url, reason, .. } = &row;
        let found = end(url, 1, &zone);
        if reason.starts_with("DNS:") {
            assert_eq!(
                found,
                End::Address("address_not_allowed"),
                "{url}: {reason}"
            );
            by_address += 1;
        } else if reason.starts_with("HTTP probe") {
            assert_eq!(found, End::Dialled, "{url}: {reason}");
            assert!(
                zone.redirects_at_creation(&host_name(url)),
                "{url}: {reason}"
            );
            by_probe += 1;
        } else {
            assert!(matches!(found, End::Text(_)), "{url}: {reason}: {found:?}");
            by_text += 1;
        }
    }
    println!("reject-create: {by_text} by text, {by_address} by address, {by_probe} by the probe");
    assert_eq!((by_text, by_address, by_probe), (234, 23, 4));
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counts are the result of a corpus run"
)]
fn every_reject_connect_row_passes_at_creation_and_fails_at_a_send() {
    let zone = Zone::load();
    let (mut by_address, mut unresolved, mut after_the_dial) = (0, 0, 0);
    for Row { url, reason, .. } in rows("reject-connect") {
        let at_creation = end(&url, 1, &zone);
        assert!(
            !matches!(at_creation, End::Text(_)),
            "{url}: {reason}: {at_creation:?}"
        );
        match end(&url, 2, &zone) {
            End::Address(_) => by_address += 1,
            End::Unresolved => unresolved += 1,
            End::Dialled if zone.fails_after_the_dial(&host_name(&url)) => after_the_dial += 1,
            other => panic!("{url}: {reason}: {other:?}"),
        }
    }
    println!(
        "reject-connect: {by_address} by address, {unresolved} unresolved, {after_the_dial} after \
         the dial"
    );
    assert_eq!((by_address, unresolved, after_the_dial), (9, 3, 7));
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counts are the result of a corpus run"
)]
fn every_accept_row_is_dialled() {
    let zone = Zone::load();
    let rows = rows("accept");
    for Row { url, reason, .. } in &rows {
        for query in 1..=3 {
            assert_eq!(end(url, query, &zone), End::Dialled, "{url}: {reason}");
        }
    }
    println!("accept: {}", rows.len());
    assert_eq!(rows.len(), 75);
}

#[test]
fn a_denied_address_has_one_code_in_every_spelling() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        let error = EndpointUrl::parse(url, &policy()).unwrap_err();
        assert!(
            matches!(error, UrlError::AddressNotAllowed(_)),
            "{url}: {error}"
        );
        assert_eq!(error.code(), "address_not_allowed");
    }
}
