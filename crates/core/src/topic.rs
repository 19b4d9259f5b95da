//! Topics, `Entity.action`, and the patterns that choose them (CONTRACT.md section 1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{NAME_BYTES_MAX, NameError, check_word};

/// The topic of test events. Such an event goes to the webhook that it names as its entity and to
/// no other, whatever webhooks subscribe to.
pub const TEST_TOPIC: &str = "Webhook.test";

/// Why a text is no topic or no topic pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// There are not exactly two parts with a dot between them.
    #[error("{text:?} is not of the form `Entity.action`")]
    Form {
        /// The text as given, shortened.
        text: String,
    },
    /// One of the two parts is no name.
    #[error("the part {part:?} is not usable: {source}")]
    Part {
        /// The part, shortened.
        part: String,
        /// What is wrong with it.
        source: NameError,
    },
}

/// The type of an event, such as `Entry.publish`. Compared without regard to case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic {
    text: String,
    dot: usize,
}

impl Topic {
    /// The entity type, such as `Entry`, as the producer wrote it.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.text[..self.dot]
    }

    /// The action, such as `publish`, as the producer wrote it.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.text[self.dot + 1..]
    }

    /// The whole topic as the producer wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for Topic {}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let (entity, action) = split(text)?;
        check_part(entity)?;
        check_part(action)?;
        Ok(Self {
            text: text.to_owned(),
            dot: entity.len(),
        })
    }
}

/// A choice of topics: each part is a name or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern {
    text: String,
    dot: usize,
}

impl TopicPattern {
    /// The entity part, `None` for `*`.
    #[must_use]
    pub fn entity(&self) -> Option<&str> {
        part_or_any(&self.text[..self.dot])
    }

    /// The action part, `None` for `*`.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        part_or_any(&self.text[self.dot + 1..])
    }

    /// Whether `topic` is chosen by this pattern.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        self.entity()
            .is_none_or(|entity| entity.eq_ignore_ascii_case(topic.entity()))
            && self
                .action()
                .is_none_or(|action| action.eq_ignore_ascii_case(topic.action()))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for TopicPattern {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let (entity, action) = split(text)?;
        for part in [entity, action] {
            if part != "*" {
                check_part(part)?;
            }
        }
        Ok(Self {
            text: text.to_owned(),
            dot: entity.len(),
        })
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl TryFrom<String> for TopicPattern {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.text
    }
}

impl From<TopicPattern> for String {
    fn from(pattern: TopicPattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split(text: &str) -> Result<(&str, &str), TopicError> {
    let form = || TopicError::Form {
        text: shorten(text),
    };
    let (entity, action) = text.split_once('.').ok_or_else(form)?;
    if action.contains('.') {
        return Err(form());
    }
    Ok((entity, action))
}

fn check_part(part: &str) -> Result<(), TopicError> {
    check_word(part, NAME_BYTES_MAX).map_err(|source| TopicError::Part {
        part: shorten(part),
        source,
    })
}

fn part_or_any(part: &str) -> Option<&str> {
    (part != "*").then_some(part)
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_part_and_case_does_not_matter() {
        let topic: Topic = "Entry.auto_save".parse().unwrap();
        for (pattern, expected) in [
            ("Entry.auto_save", true),
            ("entry.AUTO_SAVE", true),
            ("*.auto_save", true),
            ("Entry.*", true),
            ("*.*", true),
            ("Entry.save", false),
            ("Asset.*", false),
            ("*.publish", false),
        ] {
            let pattern: TopicPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&topic), expected, "{pattern}");
        }
    }

    #[test]
    fn only_two_checked_parts_make_a_topic() {
        for bad in [
            "", "Entry", "Entry.", ".publish", "a.b.c", "a..b", "t.>", "t.*", "t x.y", "$JS.API",
        ] {
            assert!(bad.parse::<Topic>().is_err(), "{bad:?}");
        }
        for bad in ["*", "*.*.*", "**.a", "a*.b", ">.a", "Entry.>"] {
            assert!(bad.parse::<TopicPattern>().is_err(), "{bad:?}");
        }
    }
}
