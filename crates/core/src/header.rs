//! Custom headers of a webhook: what a tenant may set, and what only we or the connection may.
//!
//! The rule runs when a webhook is saved and again on what a transformation rendered. No text of an
//! error repeats a header's value, because it can be a secret. Source: RFC 9110 sections 5.1, 5.5
//! and 7.6.1; the limits are CONTRACT.md's.

/// The most custom headers a webhook may have.
pub const HEADERS_MAX: usize = 50;

/// The longest header name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// The longest header value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;

/// The most bytes that names and values of a webhook's headers may have together.
pub const TOTAL_BYTES_MAX: usize = 8192;

/// Names nobody may set, by the reason a tenant is told. In lower case.
const RESERVED_NAMES: [(&str, &[&str]); 6] = [
    (
        "it belongs to the connection, not to the message",
        &[
            "connection",
            "expect",
            "http2-settings",
            "keep-alive",
            "max-forwards",
            "proxy",
            "te",
            "trailer",
            "trailers",
            "transfer-encoding",
            "upgrade",
            "via",
        ],
    ),
    (
        "the sender sets it for every request",
        &[
            "accept-encoding",
            "date",
            "host",
            "traceparent",
            "tracestate",
            "user-agent",
        ],
    ),
    (
        "it describes the body, which the webhook's format decides",
        &[
            "content-digest",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-length",
            "content-location",
            "content-md5",
            "content-range",
            "content-type",
            "digest",
            "repr-digest",
        ],
    ),
    (
        "it tells a proxy where the request came from",
        &[
            "cf-connecting-ip",
            "cf-connecting-ipv6",
            "client-ip",
            "fastly-client-ip",
            "fly-client-ip",
            "forwarded",
            "forwarded-for",
            "front-end-https",
            "true-client-ip",
            "wl-proxy-client-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-forward-for",
            "x-forwarded",
            "x-original-forwarded-for",
            "x-originating-ip",
            "x-proxyuser-ip",
            "x-real-ip",
            "x-remote-addr",
            "x-remote-ip",
            "x-scheme",
            "x-url-scheme",
        ],
    ),
    (
        "it makes a proxy or a framework act on another request",
        &[
            "x-host",
            "x-http-host-override",
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
            "x-middleware-subrequest",
            "x-original-host",
            "x-original-method",
            "x-original-uri",
            "x-original-url",
            "x-override-url",
            "x-rewrite-uri",
            "x-rewrite-url",
        ],
    ),
    (
        "it unlocks the credentials of cloud machines",
        &[
            "metadata",
            "metadata-flavor",
            "metadata-token",
            "x-identity-header",
            "x-metadata-token",
        ],
    ),
];

/// Beginnings of names nobody may set. In lower case.
const RESERVED_PREFIXES: [(&str, &[&str]); 4] = [
    (
        "the sender sets it for every delivery",
        &["webhook-", "x-webhook-"],
    ),
    (
        "it belongs to the connection, not to the message",
        &["proxy-", "sec-"],
    ),
    (
        "it tells a proxy where the request came from",
        &["x-envoy-", "x-forwarded-"],
    ),
    (
        "cloud platforms trust it",
        &[
            "x-aliyun-ecs-metadata",
            "x-amz-",
            "x-amzn-",
            "x-appengine-",
            "x-aws-ec2-metadata",
            "x-azure-",
            "x-fd-",
            "x-gfe-",
            "x-goog-",
            "x-google-",
            "x-ms-client-",
        ],
    ),
];

/// Why a header may not be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no name.
    #[error("the header has no name")]
    NameEmpty,
    /// The name is longer than its bound.
    #[error("the header name has {bytes} bytes, the limit is {NAME_BYTES_MAX}")]
    NameTooLong {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// The name is no token (RFC 9110 section 5.6.2).
    #[error(
        "the header name has the character {character:?}; only letters, digits and \
         !#$%&'*+-.^_`|~ are allowed"
    )]
    NameCharacter {
        /// The first character that is not allowed.
        character: char,
    },
    /// The name is not the tenant's to set.
    #[error("the header `{name}` cannot be set: {reason}")]
    NameReserved {
        /// The name as given.
        name: String,
        /// Whose it is.
        reason: &'static str,
    },
    /// There is no value.
    #[error("the header `{name}` has no value; give one or remove the header")]
    ValueEmpty {
        /// The header's name.
        name: String,
    },
    /// The value is longer than its bound.
    #[error("the value of `{name}` has {bytes} bytes, the limit is {VALUE_BYTES_MAX}")]
    ValueTooLong {
        /// The header's name.
        name: String,
        /// Length found, in bytes.
        bytes: usize,
    },
    /// The value has a control character or one outside ASCII.
    #[error(
        "the value of `{name}` has the character {character:?}; only visible ASCII, spaces and \
         tabs are allowed"
    )]
    ValueCharacter {
        /// The header's name.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The value starts or ends with a space or a tab, which HTTP drops.
    #[error("the value of `{name}` starts or ends with a blank; remove it")]
    ValueBlank {
        /// The header's name.
        name: String,
    },
    /// The value has `{{`, as a template that nobody filled in has.
    #[error(
        "the value of `{name}` has `{{{{`, which looks like a template; header values are sent as they are"
    )]
    ValueTemplate {
        /// The header's name.
        name: String,
    },
    /// The value unlocks the credentials of cloud machines.
    #[error("the value of `{name}` cannot be set: it unlocks the credentials of cloud machines")]
    ValueReserved {
        /// The header's name.
        name: String,
    },
    /// More headers than a webhook may have.
    #[error("there are {headers} headers, the limit is {HEADERS_MAX}; remove some")]
    TooMany {
        /// How many there are.
        headers: usize,
    },
    /// Names and values together are longer than their bound.
    #[error(
        "the headers have {bytes} bytes together, the limit is {TOTAL_BYTES_MAX}; shorten some"
    )]
    TooLarge {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// A name that an earlier header has, in whatever case.
    #[error(
        "the header `{name}` is there twice; header names are the same in upper and lower case"
    )]
    Duplicate {
        /// The name as given the second time.
        name: String,
    },
}

impl HeaderError {
    /// A stable word for problem details.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameEmpty => "header_name_empty",
            Self::NameTooLong { .. } => "header_name_too_long",
            Self::NameCharacter { .. } => "header_name_character",
            Self::NameReserved { .. } => "header_name_reserved",
            Self::ValueEmpty { .. } => "header_value_empty",
            Self::ValueTooLong { .. } => "header_value_too_long",
            Self::ValueCharacter { .. } => "header_value_character",
            Self::ValueBlank { .. } => "header_value_blank",
            Self::ValueTemplate { .. } => "header_value_template",
            Self::ValueReserved { .. } => "header_value_reserved",
            Self::TooMany { .. } => "headers_too_many",
            Self::TooLarge { .. } => "headers_too_large",
            Self::Duplicate { .. } => "header_duplicate",
        }
    }
}

/// Says whether a tenant may set the header `name` to `value`.
///
/// # Errors
/// The first rule it breaks.
pub fn check_header(name: &str, value: &str) -> Result<(), HeaderError> {
    check_name(name)?;
    check_value(name, value)
}

/// Says whether headers, given as names and values, may stand in one webhook: their number, their
/// size together, and that no name is there twice. Each of them also has to pass [`check_header`].
///
/// # Errors
/// The first rule they break.
pub fn check_headers(headers: &[(&str, &str)]) -> Result<(), HeaderError> {
    if headers.len() > HEADERS_MAX {
        return Err(HeaderError::TooMany {
            headers: headers.len(),
        });
    }
    let bytes = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > TOTAL_BYTES_MAX {
        return Err(HeaderError::TooLarge { bytes });
    }
    for (index, (name, _)) in headers.iter().enumerate() {
        if headers[..index]
            .iter()
            .any(|(earlier, _)| earlier.eq_ignore_ascii_case(name))
        {
            return Err(HeaderError::Duplicate {
                name: (*name).to_owned(),
            });
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    if name.is_empty() {
        return Err(HeaderError::NameEmpty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(HeaderError::NameTooLong { bytes: name.len() });
    }
    if let Some(character) = name.chars().find(|c| !is_token_character(*c)) {
        return Err(HeaderError::NameCharacter { character });
    }
    match reserved_reason(name) {
        Some(reason) => Err(HeaderError::NameReserved {
            name: name.to_owned(),
            reason,
        }),
        None => Ok(()),
    }
}

fn check_value(name: &str, value: &str) -> Result<(), HeaderError> {
    let name = || name.to_owned();
    if value.is_empty() {
        return Err(HeaderError::ValueEmpty { name: name() });
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(HeaderError::ValueTooLong {
            name: name(),
            bytes: value.len(),
        });
    }
    let allowed = |c: char| matches!(c, ' '..='~' | '\t');
    if let Some(character) = value.chars().find(|c| !allowed(*c)) {
        return Err(HeaderError::ValueCharacter {
            name: name(),
            character,
        });
    }
    if value.trim_matches([' ', '\t']) != value {
        return Err(HeaderError::ValueBlank { name: name() });
    }
    if value.contains("{{") {
        return Err(HeaderError::ValueTemplate { name: name() });
    }
    // Oracle's metadata service asks for no other header than this one.
    if name().eq_ignore_ascii_case("authorization") && value.eq_ignore_ascii_case("bearer oracle") {
        return Err(HeaderError::ValueReserved { name: name() });
    }
    Ok(())
}

/// RFC 9110 section 5.6.2, `tchar`.
fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// Compares `_` like `-`, because CGI and its heirs (PHP, WSGI, Rack) cannot tell them apart.
fn reserved_reason(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let by_name = RESERVED_NAMES
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()));
    let by_prefix = || {
        RESERVED_PREFIXES
            .iter()
            .find(|(_, list)| list.iter().any(|prefix| name.starts_with(prefix)))
    };
    by_name.or_else(by_prefix).map(|(reason, _)| *reason)
}
