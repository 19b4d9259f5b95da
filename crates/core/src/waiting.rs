//! Why a delivery gets no attempt now and waits.

use std::fmt;
use std::str::FromStr;

/// What keeps a delivery from its attempt. It uses up no attempt (CONTRACT.md section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hindrance {
    /// The endpoint is paused.
    Paused,
    /// The webhook's `rateLimit`; a turn is reserved.
    Rate,
    /// As many requests of the webhook are under way as may be.
    Slots,
    /// As many requests to the host are under way as may be.
    Host,
    /// As many requests of the sender are under way as may be.
    Permits,
    /// No key opens the webhook's secrets.
    Locked,
    /// The sender has not heard of the webhook yet.
    NotKnown,
    /// The payload could not be fetched.
    Payload,
}

/// All of them, for tables and metrics.
pub const HINDRANCES: [Hindrance; 8] = [
    Hindrance::Paused,
    Hindrance::Rate,
    Hindrance::Slots,
    Hindrance::Host,
    Hindrance::Permits,
    Hindrance::Locked,
    Hindrance::NotKnown,
    Hindrance::Payload,
];

/// The text is no hindrance, or one of a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reason why a delivery waits")]
pub struct HindranceError;

impl Hindrance {
    /// Its name in records, answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Rate => "rate",
            Self::Slots => "slots",
            Self::Host => "host",
            Self::Permits => "permits",
            Self::Locked => "locked",
            Self::NotKnown => "not_known",
            Self::Payload => "payload",
        }
    }

    /// Whether it is usually over before anybody could look.
    #[must_use]
    pub fn is_brief(self) -> bool {
        match self {
            Self::Host | Self::Permits | Self::NotKnown | Self::Payload => true,
            Self::Paused | Self::Rate | Self::Slots | Self::Locked => false,
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Hindrance {
    type Err = HindranceError;

    fn from_str(text: &str) -> Result<Self, HindranceError> {
        HINDRANCES
            .into_iter()
            .find(|hindrance| hindrance.as_str() == text)
            .ok_or(HindranceError)
    }
}

/// What was told so far of a delivery that waits for its first attempt: what hindered it, in the
/// order of telling. Goes with the delivery, so that each is told once however often it is put off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(String);

impl Told {
    /// What goes with a delivery, as [`Self::as_str`] gave it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Told with `hindrance` too; `None` if that was told before.
    #[must_use]
    pub fn with(&self, hindrance: Hindrance) -> Option<Self> {
        let word = hindrance.as_str();
        let is_told = self.0.split(' ').any(|told| told == word);
        let all = format!("{} {word}", self.0);
        (!is_told).then(|| Self(all.trim_start().to_owned()))
    }

    /// The words, apart by spaces; empty if nothing was told.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What was told last.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.0.rsplit(' ').next().filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hindrance_has_a_word_of_its_own() {
        for hindrance in HINDRANCES {
            assert_eq!(hindrance.as_str().parse(), Ok(hindrance));
        }
        assert_eq!("full_moon".parse::<Hindrance>(), Err(HindranceError));
    }

    #[test]
    fn each_hindrance_is_told_once_however_often_it_comes_back() {
        let mut told = Told::default();
        let mut count = 0;
        for round in 0..100 {
            if let Some(more) = told.with(HINDRANCES[round % HINDRANCES.len()]) {
                told = Told::of(more.as_str());
                count += 1;
            }
        }
        assert_eq!(count, HINDRANCES.len());
        assert_eq!(told.last(), Some("payload"));
        assert_eq!(Told::default().last(), None);
    }
}
