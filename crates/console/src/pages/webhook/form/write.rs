//! From a webhook, or from nothing, to a form.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::choice::has_box;
use super::{FilterRow, Form, HeaderRow, SecretRow};
use crate::pages::words::Moment;

impl Form {
    /// The form of a new webhook.
    pub(crate) fn fresh() -> Self {
        let plan = json!(tidings_core::webhook::DeliveryPlan::default());
        Self {
            enabled: true,
            format: String::from("standard"),
            ..Self::with_plan(&plan)
        }
    }

    /// The form of a webhook as answers show it.
    pub(crate) fn of(view: &Value, now: Timestamp) -> Self {
        let text = |pointer: &str| {
            let value = view.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let texts = |pointer: &str| -> Vec<String> {
            let list = view.pointer(pointer).and_then(Value::as_array);
            let list = list.into_iter().flatten().filter_map(Value::as_str);
            list.map(str::to_owned).collect()
        };
        let (topics, free): (Vec<_>, Vec<_>) = texts("/topics")
            .into_iter()
            .partition(|topic| has_box(topic));
        let filters = view["filters"].as_array().cloned().unwrap_or_default();
        let rows: Vec<_> = filters.iter().map(FilterRow::of).collect();
        let others = filters.iter().zip(&rows).filter(|(_, row)| row.is_none());
        let others: Vec<&Value> = others.map(|(filter, _)| filter).collect();
        Self {
            name: text("/name"),
            url: text("/url"),
            description: text("/description"),
            enabled: view["enabled"].as_bool().unwrap_or(true),
            topics,
            free_topics: free.join("\n"),
            content_types: texts("/contentTypes").join(", "),
            filters: rows.into_iter().flatten().collect(),
            raw_filters: match others.as_slice() {
                [] => String::new(),
                others => pretty(&json!(others)),
            },
            format: text("/format"),
            headers: headers(view),
            username: text("/basicAuth/username"),
            has_password: view.get("basicAuth").is_some(),
            transformation: match view.get("transformation") {
                None | Some(Value::Null) => String::new(),
                Some(transformation) => pretty(transformation),
            },
            kept_secrets: secrets(view, now),
            ..Self::with_plan(&view["delivery"])
        }
    }

    fn with_plan(plan: &Value) -> Self {
        let text = |pointer: &str| match plan.pointer(pointer) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let schedule = plan["retrySchedule"].as_array().cloned();
        let schedule = schedule.unwrap_or_default();
        let schedule: Vec<&str> = schedule.iter().filter_map(Value::as_str).collect();
        Self {
            max_retries: text("/maxRetries"),
            timeout: text("/timeout"),
            max_age: text("/maxAge"),
            retry_schedule: schedule.join(", "),
            rate_requests: text("/rateLimit/requests"),
            rate_per: text("/rateLimit/per"),
            rate_burst: text("/rateLimit/burst"),
            max_in_flight: text("/maxInFlight"),
            pool: text("/pool"),
            ..Self::default()
        }
    }
}

fn headers(view: &Value) -> Vec<HeaderRow> {
    let headers = view["headers"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    headers
        .map(|header| HeaderRow {
            key: text(&header["key"]),
            value: text(&header["value"]),
            secret: header["secret"] == true,
            is_kept: header["secret"] == true,
        })
        .collect()
}

/// The signing secrets of a webhook as answers show it.
pub(crate) fn secrets(view: &Value, now: Timestamp) -> Vec<SecretRow> {
    let secrets = view.pointer("/signing/secrets").and_then(Value::as_array);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let secrets = secrets.into_iter().flatten().map(|secret| {
        let end = secret["expiresAt"].as_str();
        SecretRow {
            id: text(&secret["id"]),
            hint: text(&secret["hint"]),
            expires: Moment::maybe(end.and_then(|end| end.parse().ok()), now),
        }
    });
    secrets.collect()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::*;

    #[test]
    fn a_webhook_survives_its_form() {
        let view = json!({
            "name": "Site", "url": "https://a.example/", "enabled": false,
            "topics": ["Entry.publish", "Custom.thing"], "contentTypes": ["a", "b"],
            "filters": [{"equals": [{"doc": "sys.id"}, "x"]}, {"any": []}],
            "headers": [{"key": "X", "value": "1"}, {"key": "Y", "secret": true}],
            "format": "standard", "basicAuth": {"username": "u"},
            "signing": {"secrets": [{"id": "sec_1", "hint": "…abcd", "expiresAt": null}]},
            "delivery": tidings_core::webhook::DeliveryPlan::default(),
        });
        let mut form = Form::of(&view, Timestamp::UNIX_EPOCH);
        let (fields, faults) = definition(&mut form);
        assert!(faults.is_empty(), "{faults:?}");
        for field in [
            "name",
            "url",
            "topics",
            "contentTypes",
            "filters",
            "headers",
            "format",
            "basicAuth",
            "delivery",
            "enabled",
        ] {
            assert_eq!(fields[field], view[field], "{field}");
        }
        assert!(!fields.contains_key("signing"), "secrets are not touched");
    }
}
