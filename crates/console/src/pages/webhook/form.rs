//! The form of a webhook: what was typed, what of it is wrong, and the definition that it makes.
//!
//! Nothing that was typed is lost: whatever cannot be used stands in its field again, with the
//! reason beside it.

mod choice;
mod filter;
mod read;
mod write;

use serde_json::Value;
use tidings_core::webhook::FieldError;

use super::super::words::{Moment, sentence};
use choice::Op;
pub(super) use choice::format_text;
pub(super) use filter::{FilterRow, told};
pub(super) use read::definition;
pub(super) use write::secrets;

/// Fields that have a place for what is wrong with them.
const PLACES: [&str; 20] = [
    "/name",
    "/url",
    "/description",
    "/topics",
    "/contentTypes",
    "/filters",
    "/rawFilters",
    "/format",
    "/headers",
    "/basicAuth/username",
    "/basicAuth/password",
    "/transformation",
    "/signing/secrets/0/key",
    "/signing",
    "/delivery/maxRetries",
    "/delivery/timeout",
    "/delivery/maxAge",
    "/delivery/retrySchedule",
    "/delivery/maxInFlight",
    "/delivery/pool",
];
const RATE_PLACES: [&str; 3] = [
    "/delivery/rateLimit/requests",
    "/delivery/rateLimit/per",
    "/delivery/rateLimit/burst",
];

/// A header's row.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderRow {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) secret: bool,
    /// Whether there is a secret value that stays if none is typed.
    pub(crate) is_kept: bool,
}

/// A signing secret of the webhook.
#[derive(Debug, Clone)]
pub(crate) struct SecretRow {
    pub(crate) id: String,
    pub(crate) hint: String,
    pub(crate) expires: Moment,
}

/// What a filter would have done to past events.
#[derive(Debug, Clone)]
pub(crate) struct DryRun {
    pub(crate) tone: &'static str,
    pub(crate) text: String,
    pub(crate) examples: Vec<Example>,
}

/// An event that would have matched.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// A webhook's form as it is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    pub(crate) topics: Vec<String>,
    pub(crate) free_topics: String,
    pub(crate) content_types: String,
    pub(crate) filters: Vec<FilterRow>,
    pub(crate) raw_filters: String,
    pub(crate) format: String,
    pub(crate) headers: Vec<HeaderRow>,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) has_password: bool,
    pub(crate) transformation: String,
    pub(crate) secret: String,
    pub(crate) max_retries: String,
    pub(crate) timeout: String,
    pub(crate) max_age: String,
    pub(crate) retry_schedule: String,
    pub(crate) rate_requests: String,
    pub(crate) rate_per: String,
    pub(crate) rate_burst: String,
    pub(crate) max_in_flight: String,
    pub(crate) pool: String,
    pub(crate) all_pools: Vec<String>,
    pub(crate) kept_secrets: Vec<SecretRow>,
    pub(crate) dry_run: Option<DryRun>,
    pub(crate) faults: Vec<FieldError>,
    /// What is wrong with none of the fields.
    pub(crate) trouble: String,
}

/// A header's row as the template wants it.
#[derive(Debug)]
pub(crate) struct ShownHeader<'a> {
    pub(crate) index: usize,
    pub(crate) number: usize,
    pub(crate) pointer: String,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) secret: bool,
    pub(crate) is_kept: bool,
}

impl Form {
    /// Where a fault is shown; empty if above all fields.
    pub(crate) fn place(&self, pointer: &str) -> String {
        let mut parts = pointer.split('/').skip(1);
        let (field, index) = (parts.next().unwrap_or_default(), parts.next());
        if let (Some(index), "headers" | "filters") = (index, field) {
            let number: usize = index.parse().unwrap_or(usize::MAX);
            return match field {
                "headers" => format!("/headers/{index}"),
                _ if number < self.filters.len() => format!("/filters/{index}"),
                _ => String::from("/rawFilters"),
            };
        }
        let mut places = PLACES.iter().chain(&RATE_PLACES);
        let found = places.find(|place| pointer == **place || is_within(pointer, place));
        found.map_or_else(String::new, |place| (*place).to_owned())
    }

    /// What is wrong with a field, in whole sentences.
    pub(crate) fn fault(&self, place: &str) -> String {
        let own = self.faults.iter();
        let own = own.filter(|fault| self.place(&fault.pointer) == place);
        let mut sentences: Vec<String> = own.map(explain).collect();
        sentences.dedup();
        sentences.join(" ")
    }

    pub(crate) fn has_fault(&self, place: &str) -> bool {
        let mut faults = self.faults.iter();
        faults.any(|fault| self.place(&fault.pointer) == place)
    }

    fn has_fault_in(&self, prefixes: &[&str]) -> bool {
        self.faults.iter().any(|fault| {
            let place = self.place(&fault.pointer);
            prefixes.iter().any(|prefix| place.starts_with(prefix))
        })
    }

    /// What stands above all fields.
    pub(crate) fn problem(&self) -> String {
        let homeless = self.faults.iter();
        let homeless = homeless.filter(|fault| self.place(&fault.pointer).is_empty());
        let mut lines: Vec<String> = homeless
            .map(|fault| format!("{}: {}", fault.pointer, explain(fault)))
            .collect();
        if !self.trouble.is_empty() {
            lines.insert(0, self.trouble.clone());
        }
        let count = self.faults.len();
        if lines.is_empty() && count > 0 {
            let fields = if count == 1 {
                "One field needs"
            } else {
                "Some fields need"
            };
            return format!("{fields} your attention. Nothing was stored yet.");
        }
        lines.join(" ")
    }

    /// Every fault by its place, for a script.
    pub(crate) fn faults_by_place(&self) -> Value {
        let places = self.faults.iter().map(|fault| self.place(&fault.pointer));
        let pairs = places.map(|place| {
            let text = self.fault(&place);
            (place, Value::from(text))
        });
        Value::Object(pairs.collect())
    }

    pub(crate) fn shown_name(&self) -> String {
        super::super::desk::shown_name(&self.name, &self.url)
    }

    pub(crate) fn header_rows(&self) -> Vec<ShownHeader<'_>> {
        let rows = self.headers.iter().enumerate();
        rows.map(|(index, row)| ShownHeader {
            index,
            number: index + 1,
            pointer: format!("/headers/{index}"),
            key: &row.key,
            // A secret that was typed and cannot be stored yet is typed again.
            value: if row.secret { "" } else { &row.value },
            secret: row.secret,
            is_kept: row.is_kept,
        })
        .collect()
    }

    pub(crate) fn secrets(&self) -> &[SecretRow] {
        &self.kept_secrets
    }

    pub(crate) fn opens_filters(&self) -> bool {
        let has_some = !self.filters.is_empty() || !self.raw_filters.is_empty();
        has_some || self.dry_run.is_some() || self.has_fault_in(&["/filters", "/rawFilters"])
    }

    pub(crate) fn opens_request(&self) -> bool {
        self.has_fault_in(&["/format", "/headers", "/basicAuth", "/transformation"])
            || !self.headers.is_empty()
    }

    pub(crate) fn opens_signing(&self) -> bool {
        self.has_fault_in(&["/signing"])
    }

    pub(crate) fn opens_delivery(&self) -> bool {
        self.has_fault_in(&["/delivery"])
    }
}

fn is_within(pointer: &str, place: &str) -> bool {
    let rest = pointer.strip_prefix(place);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// What is wrong, as whoever filled the form in understands it.
fn explain(fault: &FieldError) -> String {
    match (fault.code, fault.pointer.as_str()) {
        ("missing", "/url") => String::from("Give the URL that events go to."),
        ("missing" | "too_few" | "empty", "/topics") => String::from("Tick at least one event."),
        _ => sentence(&fault.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::fields::Fields;

    fn fault(pointer: &str) -> FieldError {
        FieldError {
            pointer: pointer.to_owned(),
            code: "bad",
            detail: String::from("it is wrong"),
        }
    }

    #[test]
    fn every_fault_stands_beside_its_field() {
        let typed = Fields::read(b"filter.0.doc=sys.id&filter.0.op=equals&filter.0.value=1");
        let form = Form::typed(&typed);
        for (pointer, place) in [
            ("/url", "/url"),
            ("/topics/3", "/topics"),
            ("/headers/2/value", "/headers/2"),
            ("/filters/0/equals/0", "/filters/0"),
            ("/filters/1/regexp", "/rawFilters"),
            ("/delivery/rateLimit/per", "/delivery/rateLimit/per"),
            ("/signing/secrets/0/key", "/signing/secrets/0/key"),
            ("/signing/schemes", "/signing"),
            ("/unheard/of", ""),
        ] {
            assert_eq!(form.place(pointer), place, "{pointer}");
        }
    }

    #[test]
    fn what_has_no_field_stands_above_them_all() {
        let form = Form {
            faults: vec![fault("/unheard/of"), fault("/url")],
            ..Form::default()
        };
        assert_eq!(form.problem(), "/unheard/of: It is wrong.");
        assert_eq!(form.fault("/url"), "It is wrong.");
        assert!(form.has_fault("/url") && !form.has_fault("/name"));
    }

    #[test]
    fn a_secret_that_was_typed_is_not_written_back() {
        let typed = b"header.0.key=X-Key&header.0.value=s3cret&header.0.secret=true&password=p4ss";
        let form = Form::typed(&Fields::read(typed));
        assert_eq!(form.header_rows()[0].value, "");
        assert_eq!(form.headers[0].value, "s3cret");
    }
}
