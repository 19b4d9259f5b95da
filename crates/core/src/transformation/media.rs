//! Content types that bodies are rendered as.

use std::str::FromStr;

/// How a body is written, with the content type to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// JSON: `application/json` or anything `+json`.
    Json {
        /// The content type, in a plain spelling.
        text: String,
    },
    /// A form: `application/x-www-form-urlencoded`.
    Form {
        /// The content type, in a plain spelling.
        text: String,
    },
}

/// The content type is none that bodies are rendered as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// It is neither JSON nor a form.
    #[error(
        "it is none that is rendered; take application/json, another type that ends in +json, or \
         application/x-www-form-urlencoded, each with or without `; charset=utf-8`"
    )]
    Kind,
    /// It has a parameter other than `charset=utf-8`.
    #[error("its only parameter may be `charset=utf-8`, in which bodies are written")]
    Parameter,
}

impl Media {
    /// The content type to send.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Json { text } | Self::Form { text } => text,
        }
    }
}

impl FromStr for Media {
    type Err = MediaError;

    fn from_str(text: &str) -> Result<Self, MediaError> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (media, subtype) = kind.split_once('/').ok_or(MediaError::Kind)?;
        if ![media, subtype].into_iter().all(is_token) {
            return Err(MediaError::Kind);
        }
        let charset = match (parts.next(), parts.next()) {
            (None, _) => "",
            (Some(parameter), None) if is_utf8(parameter) => "; charset=utf-8",
            _ => return Err(MediaError::Parameter),
        };
        let text = format!("{kind}{charset}");
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Ok(Self::Form { text }),
            "application/json" | "text/json" => Ok(Self::Json { text }),
            _ if subtype.len() > "+json".len() && subtype.ends_with("+json") => {
                Ok(Self::Json { text })
            }
            _ => Err(MediaError::Kind),
        }
    }
}

fn is_token(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
    !text.is_empty() && text.len() <= 127 && text.chars().all(allowed)
}

fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    let value = value.trim().trim_matches('"');
    let names = ["utf-8", "utf8"];
    name.trim().eq_ignore_ascii_case("charset")
        && names.iter().any(|utf8| value.eq_ignore_ascii_case(utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_forms_are_taken_in_any_spelling() {
        let contentful = "application/vnd.contentful.management.v1+json";
        for (text, sent) in [
            ("application/json", "application/json"),
            (
                "Application/JSON;charset=UTF-8",
                "application/json; charset=utf-8",
            ),
            (
                "application/json; charset=\"utf-8\"",
                "application/json; charset=utf-8",
            ),
            (contentful, contentful),
            ("application/ld+json", "application/ld+json"),
        ] {
            let sent = sent.to_owned();
            assert_eq!(text.parse(), Ok(Media::Json { text: sent }), "{text}");
        }
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        assert!(matches!(form.parse(), Ok(Media::Form { text }) if text == form));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "json",
            "text/plain",
            "application/+json",
            "application/xml",
            "a b/c+json",
        ] {
            assert_eq!(text.parse::<Media>(), Err(MediaError::Kind), "{text}");
        }
        for text in [
            "application/json; charset=iso-8859-1",
            "application/json; q=1",
            "application/json; charset=utf-8; a=b",
            "application/json;",
        ] {
            assert_eq!(text.parse::<Media>(), Err(MediaError::Parameter), "{text}");
        }
    }
}
