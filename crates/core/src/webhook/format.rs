//! The shapes of requests, by name; [`mod@crate::format`] makes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The shape of what the receiver sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Standard Webhooks 1.0.0: `{"type", "timestamp", "data"}`.
    #[default]
    Standard,
    /// As Contentful sends it: the payload as body, `X-Contentful-…` headers.
    Contentful,
    /// As Umbraco CMS sends it: the payload as body, `Umb-Webhook-…` headers.
    Umbraco,
    /// As Umbraco Heartcore sends it: the payload as body, `Umb-Headless-Event`.
    Heartcore,
    /// `CloudEvents` 1.0, binary mode: the payload as body, attributes in `ce-…` headers.
    CloudeventsBinary,
    /// `CloudEvents` 1.0, structured mode: one JSON object with the payload as its `data`.
    CloudeventsStructured,
}

/// The text names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no format; take one of {}", Format::ALL.map(Format::as_str).join(", "))]
pub struct FormatError {
    text: String,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [
        Self::Standard,
        Self::Contentful,
        Self::Umbraco,
        Self::Heartcore,
        Self::CloudeventsBinary,
        Self::CloudeventsStructured,
    ];

    /// Its name in definitions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Contentful => "contentful",
            Self::Umbraco => "umbraco",
            Self::Heartcore => "heartcore",
            Self::CloudeventsBinary => "cloudevents-binary",
            Self::CloudeventsStructured => "cloudevents-structured",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| FormatError {
                text: text.chars().take(40).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_everywhere() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            let json = serde_json::to_value(format).unwrap();
            assert_eq!(json, format.as_str());
        }
        let error = "xml".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("cloudevents-structured"), "{error}");
    }
}
