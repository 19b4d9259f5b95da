//! The URL of an endpoint: parsed once at the door, by rules that leave no two readings of it.
//!
//! [`EndpointUrl::parse`] does everything that needs no DNS; [`check_resolved`] is the rule for the
//! addresses a name resolved to, at creation and again in the connector for every connection. What
//! is not here: resolving, the creation probe for redirects, the dial. Source: CONTRACT.md section
//! 6, last paragraph.
//!
//! Rules, the first that is broken is told:
//! 1. 1 to 2,048 bytes; no control character, space, DEL or backslash;
//! 2. `http://` or `https://` written out, then a host; no fragment, no `@` and no `%` before the
//!    path;
//! 3. it parses (WHATWG); the port is written plainly and is 80, 443 or 1024 and above, without the
//!    ports that the Fetch standard blocks;
//! 4. an address literal passes the [`AddressPolicy`], and an IPv4 one is a plain dotted quad;
//! 5. a name has two labels or more, each of 1 to 63 letters, digits, `-` and `_`, does not end in
//!    a suffix that is not public, and is written as it will be asked for;
//! 6. `http::Uri`, which the HTTP client reads, finds the same scheme, host, port and path.

mod error;
mod host_name;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use serde::{Serialize, Serializer};
use url::{Position, Url};

use crate::address::AddressPolicy;

pub use error::{ResolvedError, UrlError};

/// The longest URL, in bytes, as typed and as sent.
pub const URL_BYTES_MAX: usize = 2048;

/// The most addresses a name may resolve to.
pub const RESOLVED_ADDRESSES_MAX: usize = 64;

/// Ports from 1024 that the Fetch standard blocks, because another protocol listens there that can
/// be made to act on an HTTP request. <https://fetch.spec.whatwg.org/#port-blocking>
const BLOCKED_PORTS: [u16; 19] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669,
    6679, 6697, 10080,
];

/// What the operator lets tenants call. The default is a public service: http and https, public
/// names, public addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Which addresses may be called.
    pub address: AddressPolicy,
    /// Refuses `http://`.
    pub https_only: bool,
    /// Accepts `localhost`, names without a dot and names with a private suffix. For `tidings dev`
    /// and closed networks; the addresses behind them still have to pass `address`.
    pub allow_local_names: bool,
}

impl UrlPolicy {
    /// Checks again a URL that an earlier policy let through: everything in the rules that depends
    /// on the policy. For one whose text comes from storage, [`EndpointUrl::parse`] is the check.
    ///
    /// # Errors
    /// The first rule that the URL breaks under this policy.
    pub fn recheck(&self, url: &EndpointUrl) -> Result<(), UrlError> {
        self.check_scheme(url.scheme())?;
        match url.host() {
            Host::V4(ip) => self.check_address(IpAddr::V4(ip)),
            Host::V6(ip) => self.check_address(IpAddr::V6(ip)),
            Host::Name(name) => self.check_name(name),
        }
    }

    fn check_scheme(&self, scheme: Scheme) -> Result<(), UrlError> {
        match scheme {
            Scheme::Http if self.https_only => Err(UrlError::HttpsRequired),
            _ => Ok(()),
        }
    }

    fn check_address(&self, ip: IpAddr) -> Result<(), UrlError> {
        self.address.check(ip).map_err(UrlError::AddressNotAllowed)
    }

    fn check_name(&self, name: &str) -> Result<(), UrlError> {
        if self.allow_local_names {
            Ok(())
        } else {
            host_name::check_public(name)
        }
    }
}

/// How an endpoint is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// Where an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// A name to resolve: lower case, punycode, no root dot. Also the SNI and certificate name.
    Name(&'a str),
    /// An IPv4 literal.
    V4(Ipv4Addr),
    /// An IPv6 literal.
    V6(Ipv6Addr),
}

/// A URL that passed the rules of this module under some [`UrlPolicy`].
///
/// Serialises as the text that was typed. It does not deserialise, because storage holds no proof:
/// a text from storage goes through [`EndpointUrl::parse`] before every attempt, which costs
/// microseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    text: String,
    url: Url,
    host: url::Host,
    uri: Uri,
}

impl EndpointUrl {
    /// Reads an endpoint's URL as a tenant typed it.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlError> {
        check_text(text)?;
        let typed = TypedAuthority::of(text)?;
        let mut url = Url::parse(text)?;
        policy.check_scheme(scheme_of(&url))?;
        check_port(typed.port, &url)?;
        let host = check_host(&typed, &url, policy)?;
        // Drops the root dot, which must be neither in `Host` nor in the certificate's name.
        url.set_host(Some(&host.to_string()))?;
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong {
                bytes: url.as_str().len(),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            host,
            uri: same_uri(&url)?,
            url,
        })
    }

    /// The URL as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL as it is called: host in lower case and punycode without a root dot, path without
    /// dot segments and percent-encoded, default port left out.
    #[must_use]
    pub fn canonical(&self) -> &str {
        self.url.as_str()
    }

    /// Plain or TLS.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        scheme_of(&self.url)
    }

    /// The host to resolve or dial.
    #[must_use]
    pub fn host(&self) -> Host<'_> {
        match &self.host {
            url::Host::Ipv4(ip) => Host::V4(*ip),
            url::Host::Ipv6(ip) => Host::V6(*ip),
            url::Host::Domain(name) => Host::Name(name),
        }
    }

    /// The port to dial: as typed, or 80 or 443 by the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        let by_scheme = if self.scheme() == Scheme::Https {
            443
        } else {
            80
        };
        self.url.port().unwrap_or(by_scheme)
    }

    /// The same URL for the HTTP client.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Scheme, host and port, such as `https://example.com:8443`: what may be logged, since path
    /// and query can hold a secret.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.url[..Position::BeforePath]
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EndpointUrl").field(&self.origin()).finish()
    }
}

impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl From<&EndpointUrl> for Uri {
    fn from(url: &EndpointUrl) -> Self {
        url.uri.clone()
    }
}

/// Says whether a name that resolved to `addresses` may be called: one denied address denies the
/// name, because nobody knows which one the dial will take.
///
/// # Errors
/// No address, too many, or the first one that `policy` denies.
pub fn check_resolved(addresses: &[IpAddr], policy: &AddressPolicy) -> Result<(), ResolvedError> {
    if addresses.is_empty() {
        return Err(ResolvedError::NoAddress);
    }
    if addresses.len() > RESOLVED_ADDRESSES_MAX {
        return Err(ResolvedError::TooMany {
            addresses: addresses.len(),
        });
    }
    for address in addresses {
        policy
            .check(*address)
            .map_err(ResolvedError::AddressNotAllowed)?;
    }
    Ok(())
}

/// Host and port exactly as typed, before any parser normalised them.
struct TypedAuthority<'a> {
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> TypedAuthority<'a> {
    /// Rule 2.
    fn of(text: &'a str) -> Result<Self, UrlError> {
        let rest = after_scheme(text).ok_or(UrlError::SchemeNotAllowed)?;
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err(UrlError::HostMissing);
        }
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        if authority.contains('%') {
            return Err(UrlError::PercentInHost);
        }
        // The colons of an IPv6 literal are inside its brackets.
        let host_end = authority.find(']').map_or(0, |bracket| bracket + 1);
        Ok(match authority[host_end..].find(':') {
            Some(colon) => Self {
                host: &authority[..host_end + colon],
                port: Some(&authority[host_end + colon + 1..]),
            },
            None => Self {
                host: authority,
                port: None,
            },
        })
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    ["https://", "http://"].into_iter().find_map(|prefix| {
        let (start, rest) = text.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    })
}

/// Rule 1. WHATWG parsers strip or rewrite these characters, so that what is stored would not be
/// what is called.
fn check_text(text: &str) -> Result<(), UrlError> {
    if text.is_empty() {
        return Err(UrlError::Empty);
    }
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong { bytes: text.len() });
    }
    let refused = |c: char| c.is_control() || c == ' ' || c == '\\';
    match text.chars().find(|c| refused(*c)) {
        Some(character) => Err(UrlError::Character { character }),
        None => Ok(()),
    }
}

/// The second half of rule 3. `url` drops a default port, so the typed text is compared with the
/// number it stands for.
fn check_port(typed: Option<&str>, url: &Url) -> Result<(), UrlError> {
    let Some(typed) = typed else {
        return Ok(());
    };
    let port = typed
        .parse::<u16>()
        .ok()
        .filter(|port| port.to_string() == typed);
    let Some(port) = port.filter(|port| url.port_or_known_default() == Some(*port)) else {
        return Err(UrlError::PortNotCanonical);
    };
    let usual = port == 80 || port == 443 || port >= 1024;
    if usual && !BLOCKED_PORTS.contains(&port) {
        Ok(())
    } else {
        Err(UrlError::PortNotAllowed { port })
    }
}

/// Rules 4 and 5. Answers the host without a root dot.
fn check_host(
    typed: &TypedAuthority<'_>,
    url: &Url,
    policy: &UrlPolicy,
) -> Result<url::Host, UrlError> {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => {
            policy.check_address(IpAddr::V4(ip))?;
            if typed.host != ip.to_string() {
                return Err(UrlError::AddressNotCanonical { canonical: ip });
            }
            Ok(url::Host::Ipv4(ip))
        }
        Some(url::Host::Ipv6(ip)) => {
            policy.check_address(IpAddr::V6(ip))?;
            Ok(url::Host::Ipv6(ip))
        }
        Some(url::Host::Domain(domain)) => {
            let name = without_root_dot(domain);
            host_name::check_syntax(name)?;
            policy.check_name(name)?;
            host_name::check_spelling(without_root_dot(typed.host), name)?;
            Ok(url::Host::Domain(name.to_owned()))
        }
        None => Err(UrlError::HostMissing),
    }
}

fn scheme_of(url: &Url) -> Scheme {
    if url.scheme() == "https" {
        Scheme::Https
    } else {
        Scheme::Http
    }
}

fn without_root_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Rule 6: two parsers, one reading. Otherwise the address that was checked might not be the one
/// that is called.
fn same_uri(url: &Url) -> Result<Uri, UrlError> {
    let uri = Uri::try_from(url.as_str()).map_err(|_| UrlError::Ambiguous)?;
    let same = uri.scheme_str() == Some(url.scheme())
        && uri.host() == url.host_str()
        && uri.port_u16() == url.port()
        && uri.path_and_query().map(|path| path.as_str())
            == Some(&url[Position::BeforePath..Position::AfterQuery]);
    if same {
        Ok(uri)
    } else {
        Err(UrlError::Ambiguous)
    }
}
