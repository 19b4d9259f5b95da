//! Whether a definition can be used, field by field.

use std::time::Duration;

use serde::Serialize;

use super::{Definition, Scheme, SigningSecret};
use crate::endpoint_url::UrlPolicy;
use crate::filter;
use crate::header;
use crate::signature::SigningKey;
use crate::transformation::{self, Address, Text};

const NAME_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 4_096;
const LIST_LENGTH_MAX: usize = 100;
const RETRIES_MAX: u32 = 100;
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const IN_FLIGHT_MAX: u32 = 1_000;
const SECRETS_MAX: usize = 8;

/// A field of a definition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("`{pointer}`: {detail}")]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    /// A stable word for the kind of fault.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: String,
}

/// Checks everything about a definition that needs no network.
#[must_use]
pub fn check(definition: &Definition, policy: &UrlPolicy) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_url(definition, policy, &mut errors);
    check_texts(definition, &mut errors);
    check_choice(definition, &mut errors);
    check_headers(definition, &mut errors);
    check_signing(definition, &mut errors);
    check_plan(definition, &mut errors);
    errors
}

fn fault(
    errors: &mut Vec<FieldError>,
    pointer: &str,
    code: &'static str,
    detail: impl Into<String>,
) {
    errors.push(FieldError {
        pointer: pointer.to_owned(),
        code,
        detail: detail.into(),
    });
}

fn check_url(definition: &Definition, policy: &UrlPolicy, errors: &mut Vec<FieldError>) {
    if let Err(error) = Address::parse(&definition.url, policy) {
        fault(errors, "/url", error.code(), error.to_string());
    }
}

fn check_texts(definition: &Definition, errors: &mut Vec<FieldError>) {
    for (pointer, text, chars_max) in [
        ("/name", &definition.name, NAME_CHARS_MAX),
        (
            "/description",
            &definition.description,
            DESCRIPTION_CHARS_MAX,
        ),
    ] {
        if text.chars().count() > chars_max {
            fault(
                errors,
                pointer,
                "too_long",
                format!("the limit is {chars_max} characters"),
            );
        }
    }
    if definition.name.chars().any(char::is_control) {
        fault(errors, "/name", "bad_text", "it has a control character");
    }
}

fn check_choice(definition: &Definition, errors: &mut Vec<FieldError>) {
    if definition.topics.is_empty() {
        fault(
            errors,
            "/topics",
            "missing",
            "name at least one topic, such as `Entry.publish`",
        );
    }
    for (pointer, length) in [
        ("/topics", definition.topics.len()),
        ("/contentTypes", definition.content_types.len()),
    ] {
        if length > LIST_LENGTH_MAX {
            fault(
                errors,
                pointer,
                "too_many",
                format!("the limit is {LIST_LENGTH_MAX}"),
            );
        }
    }
    if definition.content_types.iter().any(String::is_empty) {
        fault(
            errors,
            "/contentTypes",
            "bad_text",
            "a content type is empty",
        );
    }
    errors.extend(filter::check(&definition.filters));
    errors.extend(transformation::check(definition));
}

fn check_headers(definition: &Definition, errors: &mut Vec<FieldError>) {
    // Stands for values that are sealed, so that their length counts.
    let filler = "x".repeat(header::VALUE_BYTES_MAX);
    let mut pairs = Vec::with_capacity(definition.headers.len());
    for (index, item) in definition.headers.iter().enumerate() {
        let Some(value) = &item.value else {
            let pointer = format!("/headers/{index}/value");
            fault(errors, &pointer, "missing", "give the header a value");
            continue;
        };
        if let Some(sealed) = value.sealed() {
            // It was checked before it was sealed.
            if !item.secret {
                let detail = "its value is secret; mark it so, or give it another value";
                fault(errors, &format!("/headers/{index}"), "bad_secret", detail);
            }
            let length = sealed.plain_bytes().min(filler.len());
            pairs.push((item.key.as_str(), &filler[..length]));
            continue;
        }
        let place = format!("/headers/{index}");
        match Text::parse(value.expose()) {
            // What pointers find is checked when it is known.
            Ok(text) => {
                if let Err(error) = header::check_header(&item.key, &text.filled("x")) {
                    fault(errors, &place, error.code(), error.to_string());
                }
            }
            Err(error) => fault(errors, &place, "bad_pointer", error.to_string()),
        }
        pairs.push((item.key.as_str(), value.expose()));
    }
    if let Err(error) = header::check_headers(&pairs) {
        fault(errors, "/headers", error.code(), error.to_string());
    }
    let Some(auth) = &definition.basic_auth else {
        return;
    };
    if auth.username.contains(':') || auth.username.chars().any(char::is_control) {
        let detail = "it has a colon or a control character (RFC 7617)";
        fault(errors, "/basicAuth/username", "bad_text", detail);
    }
    if auth.password.is_none() {
        fault(errors, "/basicAuth/password", "missing", "give a password");
    }
    if pairs
        .iter()
        .any(|(key, _)| key.eq_ignore_ascii_case("authorization"))
    {
        let detail = "there is an Authorization header as well; keep one of the two";
        fault(errors, "/basicAuth", "conflict", detail);
    }
}

fn check_signing(definition: &Definition, errors: &mut Vec<FieldError>) {
    let signing = &definition.signing;
    if signing.secrets.len() > SECRETS_MAX {
        fault(
            errors,
            "/signing/secrets",
            "too_many",
            format!("the limit is {SECRETS_MAX}"),
        );
    }
    for (index, secret) in signing.secrets.iter().enumerate() {
        check_secret(secret, index, &signing.schemes, errors);
    }
    for (index, scheme) in signing.schemes.iter().enumerate() {
        let place = format!("/signing/schemes/{index}");
        if signing.schemes[..index].contains(scheme) {
            fault(errors, &place, "duplicate", "it is there twice");
        }
        // Where there is no secret yet, one is made for each scheme.
        let has_key = signing.secrets.iter().any(|secret| secret.fits(*scheme));
        if !signing.secrets.is_empty() && !has_key {
            let detail = format!("no secret is for it: {}", key_of(*scheme));
            fault(errors, &place, "key_missing", detail);
        }
    }
}

fn check_secret(
    secret: &SigningSecret,
    index: usize,
    schemes: &[Scheme],
    errors: &mut Vec<FieldError>,
) {
    let place = format!("/signing/secrets/{index}/key");
    if secret.key.sealed().is_none()
        && let Err(error) = SigningKey::parse(&secret.key)
    {
        return fault(errors, &place, "bad_secret", error.to_string());
    }
    if !schemes.is_empty() && !schemes.iter().any(|scheme| secret.fits(*scheme)) {
        let wanted: Vec<&str> = schemes.iter().map(|scheme| key_of(*scheme)).collect();
        let detail = format!("it is for none of the schemes: {}", wanted.join("; "));
        fault(errors, &place, "key_unfit", detail);
    }
}

fn key_of(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::StandardV1 => "standard-v1 takes `whsec_` and base64 of 24 to 64 bytes",
        Scheme::StandardV1a => "standard-v1a takes an ed25519 key, `whsk_` and base64",
        Scheme::ContentfulV1 => "contentful-v1 takes 64 characters of A-Za-z0-9+/=_-",
    }
}

fn check_plan(definition: &Definition, errors: &mut Vec<FieldError>) {
    let plan = &definition.delivery;
    if plan.max_retries > RETRIES_MAX {
        fault(
            errors,
            "/delivery/maxRetries",
            "too_many",
            format!("the limit is {RETRIES_MAX}"),
        );
    }
    if let Err(error) = plan.retry_schedule.check() {
        fault(
            errors,
            "/delivery/retrySchedule",
            "bad_schedule",
            error.to_string(),
        );
    }
    if !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(&plan.timeout) {
        fault(
            errors,
            "/delivery/timeout",
            "out_of_range",
            "it must be from 100ms to 60s",
        );
    }
    if plan.max_age.is_zero() || plan.max_age > AGE_MAX {
        fault(
            errors,
            "/delivery/maxAge",
            "out_of_range",
            "it must be above 0 and at most 720h",
        );
    }
    if plan.rate_limit.per.is_zero() {
        fault(
            errors,
            "/delivery/rateLimit/per",
            "out_of_range",
            "it must be above 0",
        );
    }
    if plan.max_in_flight.get() > IN_FLIGHT_MAX {
        let detail = format!("the limit is {IN_FLIGHT_MAX}");
        fault(errors, "/delivery/maxInFlight", "out_of_range", detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::tests::minimal;

    #[test]
    fn a_filter_that_is_not_understood_is_refused_with_its_place() {
        let mut definition = minimal();
        let environment = serde_json::json!({"doc": "sys.environment.sys.id"});
        definition.filters = vec![
            serde_json::json!({"equals": [environment, "master"]}),
            serde_json::json!({"not": {"equals": [environment]}}),
        ];
        let errors = check(&definition, &UrlPolicy::default());
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/filters/1/not/equals"]);
    }
}
