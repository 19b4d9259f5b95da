//! Where a request may go: a URL's host and port, and the addresses it stands for.
//!
//! The one rule is [`AddressPolicy::check`]. It is asked in two places, because a connector is not
//! asked to resolve a literal: here about literals, in [`vet`] about what a name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use tidings_core::address::AddressPolicy;

use crate::failure::{Failure, UrlFault};

/// The destination of a URL, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) secure: bool,
    pub(crate) host: Host<'a>,
    pub(crate) port: u16,
}

/// The host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    Literal(IpAddr),
    /// Letters, digits, `-`, `_` and dots; without a root dot.
    Name(&'a str),
}

impl<'a> Target<'a> {
    /// Reads scheme, host and port of `url`.
    pub(crate) fn of(url: &'a Uri, https_only: bool) -> Result<Self, Failure> {
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") if https_only => return Err(Failure::InvalidUrl(UrlFault::Insecure)),
            Some("http") => false,
            _ => return Err(Failure::InvalidUrl(UrlFault::Scheme)),
        };
        let Some(authority) = url.authority() else {
            return Err(Failure::InvalidUrl(UrlFault::Host));
        };
        if authority.as_str().contains('@') {
            return Err(Failure::InvalidUrl(UrlFault::UserInfo));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") if secure => 443,
            Some("") => 80,
            Some(rest) => read_port(rest)?,
            None => return Err(Failure::InvalidUrl(UrlFault::Host)),
        };
        Ok(Self {
            secure,
            host: Host::of(authority.host())?,
            port,
        })
    }
}

impl<'a> Host<'a> {
    pub(crate) fn of(host: &'a str) -> Result<Self, Failure> {
        const INVALID: Failure = Failure::InvalidUrl(UrlFault::Host);
        if let Some(inner) = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let address = inner.parse::<Ipv6Addr>().map_err(|_| INVALID)?;
            return Ok(Self::Literal(IpAddr::V6(address)));
        }
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return Ok(Self::Literal(IpAddr::V4(address)));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(INVALID);
        }
        // An address in another notation: some resolvers read `0x7f.1` as 127.0.0.1.
        if name.rsplit('.').next().is_some_and(is_number) {
            return Err(Failure::Blocked(None));
        }
        Ok(Self::Name(name))
    }
}

/// Passes if every address is allowed: one that is not forbids them all.
pub(crate) fn vet(policy: &AddressPolicy, addresses: &[IpAddr]) -> Result<(), Failure> {
    addresses
        .iter()
        .try_for_each(|&address| policy.check(address))
        .map_err(|denied| Failure::Blocked(Some(denied)))
}

fn read_port(after_host: &str) -> Result<u16, Failure> {
    after_host
        .strip_prefix(':')
        .and_then(|port| port.parse().ok())
        .filter(|&port| port != 0)
        .ok_or(Failure::InvalidUrl(UrlFault::Port))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether the URL standard would read a name ending in `label` as an IPv4 address.
fn is_number(label: &str) -> bool {
    let is_decimal = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal || label.starts_with("0x") || label.starts_with("0X")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<(bool, String, u16), String> {
        let uri = url.parse::<Uri>().map_err(|_| "unparsable".to_owned())?;
        let target = Target::of(&uri, false).map_err(|failure| failure.code().to_owned())?;
        let host = match target.host {
            Host::Literal(address) => format!("={address}"),
            Host::Name(name) => name.to_owned(),
        };
        Ok((target.secure, host, target.port))
    }

    #[test]
    fn a_target_is_read_as_written() {
        for (url, secure, host, port) in [
            ("http://example.com", false, "example.com", 80),
            ("https://example.com/a?b", true, "example.com", 443),
            ("https://example.com.:8443/", true, "example.com", 8443),
            ("http://_a-b.example.com/", false, "_a-b.example.com", 80),
            ("http://127.0.0.1:1/", false, "=127.0.0.1", 1),
            ("https://[::1]/", true, "=::1", 443),
            (
                "https://[::ffff:127.0.0.1]:9/",
                true,
                "=::ffff:127.0.0.1",
                9,
            ),
        ] {
            assert_eq!(target(url), Ok((secure, host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn an_address_in_another_notation_is_blocked() {
        for host in [
            "2130706433",
            "0x7f000001",
            "017700000001",
            "127.1",
            "0x7f.1",
            "127.0.0.01",
            "0177.0.0.1",
            "127.0.0.1.",
            "1.2.3.4.5",
            "256.256.256.256",
            "example.0x10",
            "999999999999",
        ] {
            assert_eq!(
                target(&format!("http://{host}/")),
                Err("blocked".to_owned()),
                "{host}"
            );
        }
    }

    #[test]
    fn what_is_no_plain_http_url_is_invalid() {
        for url in [
            "ftp://example.com/",
            "example.com",
            "/path",
            "http://user@example.com/",
            "http://user:pass@127.0.0.1/",
            "http://example.com:0/",
            "http://example.com:/",
            "http://exa%6dple.com/",
            "http://[::1%25eth0]/",
            "http://./",
            "http://a;b/",
        ] {
            let failure = target(url).expect_err(url);
            assert!(
                failure == "invalid_url" || failure == "unparsable",
                "{url}: {failure}"
            );
        }
    }

    #[test]
    fn plain_http_is_refused_when_only_https_is_allowed() {
        let url = Uri::from_static("http://example.com/");
        assert_eq!(
            Target::of(&url, true),
            Err(Failure::InvalidUrl(UrlFault::Insecure))
        );
        assert!(Target::of(&Uri::from_static("https://example.com/"), true).is_ok());
    }

    #[test]
    fn one_forbidden_address_forbids_them_all() {
        let policy = AddressPolicy::default();
        let public = IpAddr::from([93, 184, 216, 34]);
        assert_eq!(vet(&policy, &[public]), Ok(()));
        let private = IpAddr::from([10, 0, 0, 1]);
        assert!(matches!(
            vet(&policy, &[public, private]),
            Err(Failure::Blocked(Some(_)))
        ));
    }

    #[test]
    fn no_literal_of_the_corpus_gets_past_the_guard() {
        let policy = AddressPolicy::default();
        let corpus = include_str!("../../../tests/corpora/ssrf-corpus.tsv");
        let mut literals = (0, 0);
        for line in corpus.lines().skip(1) {
            let (url, verdict) = line.split_once('\t').unwrap();
            let Ok(uri) = url.parse::<Uri>() else {
                continue;
            };
            let target = Target::of(&uri, false);
            let is_called = match &target {
                Ok(Target {
                    host: Host::Literal(address),
                    ..
                }) => vet(&policy, &[*address]).is_ok(),
                Ok(Target {
                    host: Host::Name(_),
                    ..
                }) => continue,
                Err(_) => false,
            };
            assert_eq!(
                is_called,
                verdict.starts_with("accept"),
                "{url}: {target:?}"
            );
            if is_called {
                literals.0 += 1;
            } else {
                literals.1 += 1;
            }
        }
        assert!(literals.0 > 5 && literals.1 > 100, "{literals:?}");
    }
}
