//! From what was typed to a definition.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tidings_core::webhook::FieldError;

use super::{FilterRow, Form, HeaderRow};
use crate::pages::fields::Fields;

/// Rows of one kind that a form may have.
const ROWS_MAX: usize = 200;

impl Form {
    /// What was typed, as it stands.
    pub(crate) fn typed(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).to_owned();
        Self {
            name: text("name"),
            url: text("url"),
            description: text("description"),
            enabled: fields.has("enabled"),
            topics: fields.all("topic").map(str::to_owned).collect(),
            free_topics: text("free_topics"),
            content_types: text("content_types"),
            filters: filters(fields),
            raw_filters: text("raw_filters"),
            format: text("format"),
            headers: headers(fields),
            username: text("username"),
            password: fields.get("password").to_owned(),
            has_password: false,
            transformation: text("transformation"),
            secret: text("secret"),
            max_retries: text("max_retries"),
            timeout: text("timeout"),
            max_age: text("max_age"),
            retry_schedule: text("retry_schedule"),
            rate_requests: text("rate_requests"),
            rate_per: text("rate_per"),
            rate_burst: text("rate_burst"),
            max_in_flight: text("max_in_flight"),
            pool: text("pool"),
            ..Self::default()
        }
    }
}

/// The numbers of the rows of a kind, in order.
fn indices(fields: &Fields, kind: &str) -> BTreeSet<usize> {
    let names = fields.0.iter().filter_map(|(name, _)| {
        let (own, rest) = name.split_once('.')?;
        (own == kind).then(|| rest.split('.').next()?.parse().ok())?
    });
    names.take(ROWS_MAX * 4).collect()
}

fn filters(fields: &Fields) -> Vec<FilterRow> {
    let row = |index: usize| FilterRow {
        doc: fields.text(&format!("filter.{index}.doc")).to_owned(),
        op: fields.text(&format!("filter.{index}.op")).to_owned(),
        value: fields.text(&format!("filter.{index}.value")).to_owned(),
    };
    let rows = indices(fields, "filter").into_iter().map(row);
    rows.take(ROWS_MAX).collect()
}

fn headers(fields: &Fields) -> Vec<HeaderRow> {
    let row = |index: usize| HeaderRow {
        key: fields.text(&format!("header.{index}.key")).to_owned(),
        value: fields.text(&format!("header.{index}.value")).to_owned(),
        secret: fields.has(&format!("header.{index}.secret")),
        is_kept: false,
    };
    let rows = indices(fields, "header").into_iter().map(row);
    rows.take(ROWS_MAX).collect()
}

/// The definition that a form stands for, as JSON, and what of it cannot be told at all. Empty
/// rows are taken out of the form, so that numbers in faults are those of its rows.
pub(crate) fn definition(form: &mut Form) -> (Map<String, Value>, Vec<FieldError>) {
    form.filters.retain(|row| !row.is_empty());
    form.headers
        .retain(|row| !(row.key.is_empty() && row.value.is_empty()));
    let mut faults = Vec::new();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("name", form.name.clone().into());
    set("description", form.description.clone().into());
    set("url", form.url.clone().into());
    set("enabled", form.enabled.into());
    set("topics", topics(form).into());
    set("contentTypes", list(&form.content_types).into());
    set("filters", all_filters(form, &mut faults).into());
    set("headers", form.headers.iter().map(header).collect());
    if !form.format.is_empty() {
        set("format", form.format.clone().into());
    }
    if !form.username.is_empty() || !form.password.is_empty() {
        let mut auth = json!({ "username": form.username });
        if !form.password.is_empty() {
            auth["password"] = form.password.clone().into();
        }
        set("basicAuth", auth);
    }
    if !form.transformation.is_empty() {
        match serde_json::from_str::<Value>(&form.transformation) {
            Ok(value) => {
                set("transformation", value);
            }
            Err(error) => faults.push(bad_json("/transformation", &error)),
        }
    }
    if !form.secret.is_empty() {
        set("signing", json!({ "secrets": [{ "key": form.secret }] }));
    }
    let delivery = delivery(form, &mut faults);
    set("delivery", delivery);
    (fields, faults)
}

fn topics(form: &Form) -> Vec<String> {
    let free = form.free_topics.split(['\n', ',']);
    let free = free.map(str::trim).filter(|topic| !topic.is_empty());
    let mut topics: Vec<String> = Vec::new();
    for topic in form.topics.iter().map(String::as_str).chain(free) {
        if !topics.iter().any(|own| own == topic) {
            topics.push(topic.to_owned());
        }
    }
    topics
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', '\n']).map(str::trim);
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn all_filters(form: &Form, faults: &mut Vec<FieldError>) -> Vec<Value> {
    for (index, row) in form.filters.iter().enumerate() {
        if row.doc.is_empty() {
            let detail = "name the property, such as sys.environment.sys.id";
            faults.push(fault(&format!("/filters/{index}"), detail));
        }
    }
    let mut filters: Vec<Value> = form.filters.iter().map(FilterRow::filter).collect();
    if form.raw_filters.is_empty() {
        return filters;
    }
    match serde_json::from_str(&form.raw_filters) {
        Ok(Value::Array(more)) => filters.extend(more),
        Ok(one @ Value::Object(_)) => filters.push(one),
        Ok(_) => faults.push(fault("/rawFilters", "it has to be an array of filters")),
        Err(error) => faults.push(bad_json("/rawFilters", &error)),
    }
    filters
}

fn header(row: &HeaderRow) -> Value {
    let mut header = json!({ "key": row.key });
    if row.secret {
        header["secret"] = true.into();
    }
    // A secret that is not typed again stays as it is.
    if !(row.secret && row.value.is_empty()) {
        header["value"] = row.value.clone().into();
    }
    header
}

fn delivery(form: &Form, faults: &mut Vec<FieldError>) -> Value {
    let mut plan = Map::new();
    let mut whole = |pointer: &str, text: &str| -> Option<Value> {
        if text.is_empty() {
            return None;
        }
        let number = text.parse::<u32>();
        if number.is_err() {
            let detail = "write a whole number, such as 10";
            faults.push(fault(&format!("/delivery/{pointer}"), detail));
        }
        number.ok().map(Value::from)
    };
    for (field, text) in [
        ("maxRetries", &form.max_retries),
        ("maxInFlight", &form.max_in_flight),
    ] {
        plan.extend(whole(field, text).map(|value| (field.to_owned(), value)));
    }
    let mut rate = Map::new();
    for (field, text) in [
        ("requests", &form.rate_requests),
        ("burst", &form.rate_burst),
    ] {
        let value = whole(&format!("rateLimit/{field}"), text);
        rate.extend(value.map(|value| (field.to_owned(), value)));
    }
    if !form.rate_per.is_empty() {
        rate.insert(String::from("per"), form.rate_per.clone().into());
    }
    if rate.contains_key("requests") {
        rate.entry("per").or_insert_with(|| "1s".into());
        plan.insert(String::from("rateLimit"), rate.into());
    } else if !rate.is_empty() && form.rate_requests.is_empty() {
        faults.push(fault(
            "/delivery/rateLimit/requests",
            "say how many requests",
        ));
    }
    for (field, text) in [
        ("timeout", &form.timeout),
        ("maxAge", &form.max_age),
        ("pool", &form.pool),
    ] {
        if !text.is_empty() {
            plan.insert(field.to_owned(), text.as_str().into());
        }
    }
    let schedule = list(&form.retry_schedule);
    if !schedule.is_empty() {
        plan.insert(String::from("retrySchedule"), schedule.into());
    }
    plan.into()
}

fn fault(pointer: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: pointer.to_owned(),
        code: "bad_value",
        detail: detail.to_owned(),
    }
}

fn bad_json(pointer: &str, error: &serde_json::Error) -> FieldError {
    let (line, column) = (error.line(), error.column());
    let detail = format!("it is not JSON: look at line {line}, column {column}");
    fault(pointer, &detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Map<String, Value>, Vec<String>) {
        let mut form = Form::typed(&Fields::read(text.as_bytes()));
        let (fields, faults) = definition(&mut form);
        (
            fields,
            faults.into_iter().map(|fault| fault.pointer).collect(),
        )
    }

    #[test]
    fn a_short_form_makes_a_short_definition() {
        let (fields, faults) = read("url=https://a.example/&topic=Entry.publish&enabled=true");
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(fields["topics"], json!(["Entry.publish"]));
        assert_eq!(fields["enabled"], true);
        assert_eq!(fields["delivery"], json!({}));
        assert!(!fields.contains_key("basicAuth") && !fields.contains_key("signing"));
    }

    #[test]
    fn topics_of_the_grid_and_free_ones_come_together_once() {
        let (fields, _) =
            read("topic=Entry.publish&topic=Entry.*&free_topics=Entry.*%0ARelease.execute");
        assert_eq!(
            fields["topics"],
            json!(["Entry.publish", "Entry.*", "Release.execute"])
        );
    }

    #[test]
    fn a_secret_header_that_is_not_typed_again_stays() {
        let text =
            "header.0.key=A&header.0.secret=true&header.3.key=B&header.3.value=v&header.9.key=";
        let (fields, _) = read(text);
        let expected = json!([{"key": "A", "secret": true}, {"key": "B", "value": "v"}]);
        assert_eq!(fields["headers"], expected);
    }

    #[test]
    fn what_is_no_number_or_json_is_told_beside_its_field() {
        let text =
            "max_retries=many&rate_burst=5&transformation=%7B&raw_filters=7&filter.0.value=x";
        let (_, faults) = read(text);
        let expected = [
            "/filters/0",
            "/rawFilters",
            "/transformation",
            "/delivery/maxRetries",
            "/delivery/rateLimit/requests",
        ];
        assert_eq!(faults, expected);
    }
}
