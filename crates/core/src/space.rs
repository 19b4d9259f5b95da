//! What is set for a space, as it lies as JSON in the bucket `tidings_spaces` under the space's
//! name. A space without an entry has the defaults.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::webhook::FieldError;

/// The longest name of a space, in characters.
pub const NAME_CHARS_MAX: usize = 256;
/// The highest rate that can be set, in events per second.
pub const EVENTS_PER_SECOND_MAX: u32 = 1_000_000;

/// Settings of a space. Fields that are not known are ignored, so that services of two versions
/// can read the same bucket; whoever takes settings from people refuses them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceSettings {
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// How many events it may publish; as `tidings-ingest --space-rate` says if `None`.
    #[serde(default)]
    pub ingest_rate: Option<EventRate>,
}

/// How many events a space may publish. Each ingest counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventRate {
    /// In events per second; 0 for any number.
    pub events_per_second: u32,
    /// How many at once before the rate holds; as many as in a second if `None`.
    #[serde(default)]
    pub burst: Option<NonZeroU32>,
}

impl SpaceSettings {
    /// Every field that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut fault = |pointer: &str, code, detail| {
            let pointer = pointer.to_owned();
            errors.push(FieldError {
                pointer,
                code,
                detail,
            });
        };
        let chars = self.name.chars().count();
        if chars > NAME_CHARS_MAX {
            let detail = format!("it has {chars} characters, the limit is {NAME_CHARS_MAX}");
            fault("/name", "too_long", detail);
        }
        if self.name.chars().any(char::is_control) {
            let detail = String::from("it has a control character");
            fault("/name", "bad_text", detail);
        }
        if let Some(rate) = self.ingest_rate {
            let burst = rate.burst.map_or(0, NonZeroU32::get);
            for (name, number) in [
                ("eventsPerSecond", rate.events_per_second),
                ("burst", burst),
            ] {
                if number > EVENTS_PER_SECOND_MAX {
                    let detail = format!("it is {number}, the limit is {EVENTS_PER_SECOND_MAX}");
                    fault(&format!("/ingestRate/{name}"), "out_of_range", detail);
                }
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_everything_left_out_and_with_fields_of_later_versions() {
        let read = |text: &str| serde_json::from_str::<SpaceSettings>(text).unwrap();
        assert_eq!(read("{}"), SpaceSettings::default());
        let settings = read(
            r#"{"name":"Acme","ingestRate":{"eventsPerSecond":100,"burst":500},"colour":"red"}"#,
        );
        assert_eq!(settings.name, "Acme");
        let expected = EventRate {
            events_per_second: 100,
            burst: NonZeroU32::new(500),
        };
        assert_eq!(settings.ingest_rate, Some(expected));
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(read(&text), settings);
    }

    #[test]
    fn each_bad_setting_is_named() {
        let settings = SpaceSettings {
            name: format!("{}\n", "x".repeat(256)),
            ingest_rate: Some(EventRate {
                events_per_second: 1_000_001,
                burst: NonZeroU32::new(u32::MAX),
            }),
        };
        let pointers: Vec<String> = settings.check().into_iter().map(|e| e.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/name",
                "/ingestRate/eventsPerSecond",
                "/ingestRate/burst"
            ]
        );
        assert!(SpaceSettings::default().check().is_empty());
    }
}
