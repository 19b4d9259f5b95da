//! Why a URL or what it resolved to is refused. The texts never repeat path or query, which can
//! hold secrets.

use std::net::Ipv4Addr;

use url::ParseError;

use crate::address::AddressError;

use super::{RESOLVED_ADDRESSES_MAX, URL_BYTES_MAX};

/// Why a text is no endpoint URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no text.
    #[error("the URL is empty; give an address such as https://example.com/hook")]
    Empty,
    /// The URL is longer than its bound, as typed or as it would be sent.
    #[error("the URL has {bytes} bytes, the limit is {URL_BYTES_MAX}; shorten its path or query")]
    TooLong {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// A control character, a space or a backslash, which parsers drop or rewrite.
    #[error("the URL has the character {character:?}; remove it or percent-encode it")]
    Character {
        /// The first such character.
        character: char,
    },
    /// The text does not start with `http://` or `https://`.
    #[error("the URL does not start with `https://` or `http://`; other schemes are not called")]
    SchemeNotAllowed,
    /// The policy wants TLS.
    #[error("the URL starts with `http://` and this installation calls only `https://`")]
    HttpsRequired,
    /// Nothing stands between `://` and the path.
    #[error("the URL has no host after `://`; write exactly two slashes and then the host")]
    HostMissing,
    /// A fragment is never sent.
    #[error("the URL has a fragment (`#…`), which is never sent; remove it")]
    Fragment,
    /// A user name or password before the host.
    #[error("the URL has an `@` before its path; give user and password as `basicAuth` instead")]
    UserInfo,
    /// A percent-encoded host or a zone id.
    #[error("the URL has a `%` in its host; write the host plainly")]
    PercentInHost,
    /// No parser accepts it.
    #[error("the URL does not parse: {0}; correct its host or port")]
    Malformed(ParseError),
    /// A port such as `08443` or an empty one.
    #[error(
        "the port is not written plainly; use digits without leading zeros or leave out the `:`"
    )]
    PortNotCanonical,
    /// A port of another protocol.
    #[error("port {port} is not called; use 80, 443 or one from 1024 that no other protocol owns")]
    PortNotAllowed {
        /// The port as typed.
        port: u16,
    },
    /// The host is an address that may not be called.
    #[error("the host {0}; use a public host, or the operator allows its network (--egress-allow)")]
    AddressNotAllowed(AddressError),
    /// The host ends in a number, as only addresses do, and is none.
    #[error("the host ends in a number and is no IPv4 address; write four numbers from 0 to 255")]
    AddressMalformed,
    /// An IPv4 address in octal, hexadecimal or with parts missing.
    #[error("the host is another spelling of {canonical}; write it that way")]
    AddressNotCanonical {
        /// The address that is meant.
        canonical: Ipv4Addr,
    },
    /// The name is longer than DNS allows.
    #[error("the host name has {bytes} bytes, the limit is 253")]
    NameTooLong {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// A label that cannot be in a public name.
    #[error(
        "the host name has the part {label:?}; each part has 1 to 63 letters, digits, `-` or `_` \
         and neither starts nor ends with `-`"
    )]
    NameLabel {
        /// The label, shortened.
        label: String,
    },
    /// The name has a suffix that only local resolvers answer.
    #[error("host names that end in `{suffix}` are not public; use a public host name")]
    NameReserved {
        /// The last label.
        suffix: String,
    },
    /// The name has no dot.
    #[error("the host name {name:?} has no dot, so it is not public; use a full host name")]
    NameSingleLabel {
        /// The name.
        name: String,
    },
    /// The name has characters that are mapped to others before it is asked for.
    #[error("the host name is another spelling of {canonical:?}; write it that way")]
    NameNotCanonical {
        /// The name that would be asked for.
        canonical: String,
    },
    /// Two parsers read it differently.
    #[error("the URL can be read in more than one way; percent-encode its unusual characters")]
    Ambiguous,
}

impl UrlError {
    /// A stable word for problem details, metrics and attempt records.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "url_empty",
            Self::TooLong { .. } => "url_too_long",
            Self::Character { .. } => "url_character",
            Self::SchemeNotAllowed => "scheme_not_allowed",
            Self::HttpsRequired => "https_required",
            Self::HostMissing => "host_missing",
            Self::Fragment => "fragment_not_allowed",
            Self::UserInfo => "userinfo_not_allowed",
            Self::PercentInHost => "host_percent_encoded",
            Self::Malformed(_) => "url_malformed",
            Self::PortNotCanonical => "port_not_canonical",
            Self::PortNotAllowed { .. } => "port_not_allowed",
            Self::AddressNotAllowed(_) => "address_not_allowed",
            Self::AddressMalformed => "address_malformed",
            Self::AddressNotCanonical { .. } => "address_not_canonical",
            Self::NameTooLong { .. } => "host_name_too_long",
            Self::NameLabel { .. } => "host_name_label",
            Self::NameReserved { .. } => "host_name_reserved",
            Self::NameSingleLabel { .. } => "host_name_single_label",
            Self::NameNotCanonical { .. } => "host_name_not_canonical",
            Self::Ambiguous => "url_ambiguous",
        }
    }
}

impl From<ParseError> for UrlError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::EmptyHost => Self::HostMissing,
            ParseError::InvalidIpv4Address => Self::AddressMalformed,
            other => Self::Malformed(other),
        }
    }
}

/// Why a name may not be called after it was resolved.
///
/// [`ResolvedError::code`] is what a tenant may see. The text names the address, which only an
/// operator should read: it tells what a resolver inside the network answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolvedError {
    /// The name exists without an address.
    #[error("the host name has no address")]
    NoAddress,
    /// More addresses than anybody needs.
    #[error("the host name has {addresses} addresses, the limit is {RESOLVED_ADDRESSES_MAX}")]
    TooMany {
        /// How many there are.
        addresses: usize,
    },
    /// One of the addresses may not be called.
    #[error("the host name has an address that may not be called: {0}")]
    AddressNotAllowed(AddressError),
}

impl ResolvedError {
    /// A stable word for problem details, metrics and attempt records.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAddress => "dns_no_address",
            Self::TooMany { .. } => "dns_too_many",
            Self::AddressNotAllowed(_) => "address_not_allowed",
        }
    }
}
