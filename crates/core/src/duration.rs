//! Durations as people write them: `5s`, `30m`, `2h`, `1h30m`, `250ms`.

use std::time::Duration;

use jiff::SignedDuration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no duration; write it like `5s`, `30m`, `2h` or `1h30m`")]
pub struct DurationError {
    text: String,
}

/// Reads a duration.
///
/// # Errors
/// The text is of another form, or negative.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError {
        text: text.chars().take(40).collect(),
    };
    let signed: SignedDuration = text.trim().parse().map_err(|_| error())?;
    Duration::try_from(signed).map_err(|_| error())
}

/// Writes a duration in the largest units that hold it: `90s` is `1m 30s` without the space.
#[must_use]
pub fn print(duration: Duration) -> String {
    match SignedDuration::try_from(duration) {
        Ok(signed) => format!("{signed:#}").replace(' ', ""),
        Err(_) => format!("{}s", duration.as_secs()),
    }
}

/// For `#[serde(with = "tidings_core::duration::text")]`.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::print(*duration))
    }

    /// Reads the duration from text.
    ///
    /// # Errors
    /// The value is no string, or no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        super::parse(&text).map_err(D::Error::custom)
    }
}

/// For `#[serde(with = "tidings_core::duration::texts")]` on a list.
pub mod texts {
    use std::time::Duration;

    use serde::{
        Deserialize as _, Deserializer, Serializer, de::Error as _, ser::SerializeSeq as _,
    };

    /// Writes the durations as a list of texts.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(durations: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(durations.len()))?;
        for duration in durations {
            list.serialize_element(&super::print(*duration))?;
        }
        list.end()
    }

    /// Reads the durations from a list of texts.
    ///
    /// # Errors
    /// An item is no string, or no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| super::parse(text).map_err(D::Error::custom))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for (text, seconds) in [("5s", 5), ("30m", 1800), ("27h", 97_200), ("96h", 345_600)] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds));
            assert_eq!(print(Duration::from_secs(seconds)), text);
        }
        assert_eq!(parse("10ms").unwrap(), Duration::from_millis(10));
        assert_eq!(
            parse(&print(Duration::from_millis(90_500)))
                .unwrap()
                .as_millis(),
            90_500
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "5", "-5s", "soon", "5 parsecs"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
