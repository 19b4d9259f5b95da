//! A webhook's definition while it is put together: from what is stored, a file, and options.

use serde_json::{Map, Value, json};
use tidings_core::secret::Secret;
use tidings_core::webhook::{Definition, FieldError};

use crate::{Error, Result};

/// Fields that an answer has and nobody sets.
pub const SERVER_FIELDS: [&str; 7] = [
    "id",
    "space",
    "state",
    "createdAt",
    "updatedAt",
    "version",
    "warnings",
];

/// A definition as JSON, not checked yet.
#[derive(Debug, Clone, Default)]
pub struct Draft(Map<String, Value>);

impl Draft {
    /// Begins with what is given and nothing else.
    #[must_use]
    pub fn from_fields(fields: Map<String, Value>) -> Self {
        let mut draft = Self::default();
        draft.merge(fields);
        draft
    }

    /// Begins with what is stored, secrets included.
    #[must_use]
    pub fn of(definition: &Definition) -> Self {
        let fields = serde_json::to_value(definition)
            .and_then(serde_json::from_value)
            .expect("a definition is an object with string keys");
        Self(fields)
    }

    /// Begins anew with what is given, in the place of `old`. Of what `old` has, only secrets stay
    /// that answers do not show: those of headers, users and signing keys that are still named.
    #[must_use]
    pub fn replacing(old: &Definition, mut fields: Map<String, Value>) -> Self {
        let old = Self::of(old);
        drop_server_fields(&mut fields);
        old.keep_header_values(&mut fields);
        old.keep_signing_keys(&mut fields);
        old.keep_password(&mut fields);
        if !fields.contains_key("signing") {
            // Whoever does not speak of signing does not mean to change the key.
            fields.extend(
                old.0
                    .get("signing")
                    .cloned()
                    .map(|own| (String::from("signing"), own)),
            );
        }
        fields.retain(|_, value| !value.is_null());
        Self(fields)
    }

    /// Writes what is given over what is there (RFC 7396). Secrets that it leaves out stay.
    pub fn merge(&mut self, mut fields: Map<String, Value>) {
        drop_server_fields(&mut fields);
        self.keep_header_values(&mut fields);
        self.keep_signing_keys(&mut fields);
        // A body template may hold nulls of its own.
        let transformation = fields.remove("transformation");
        for (field, value) in fields {
            merge(self.0.entry(field).or_insert(Value::Null), value);
        }
        self.set(&["transformation"], transformation);
        self.0.retain(|_, value| !value.is_null());
    }

    /// Sets the field at `path`, if there is something to set.
    pub fn set(&mut self, path: &[&str], value: Option<Value>) {
        let (Some(value), Some((last, parents))) = (value, path.split_last()) else {
            return;
        };
        let mut fields = &mut self.0;
        for parent in parents {
            let entry = fields.entry(*parent).or_insert_with(|| json!({}));
            let Value::Object(inner) = entry else {
                // It is of the wrong type, and stays so for `finish` to tell.
                return;
            };
            fields = inner;
        }
        match value {
            Value::Null => fields.remove(*last),
            value => fields.insert((*last).to_owned(), value),
        };
    }

    /// Sets a header, in the place of one of the same name.
    pub fn set_header(&mut self, key: &str, value: &Secret, secret: bool) {
        self.remove_header(key);
        let header = json!({ "key": key, "value": value, "secret": secret });
        let headers = self.0.entry("headers").or_insert_with(|| json!([]));
        if let Value::Array(headers) = headers {
            headers.push(header);
        }
    }

    /// Removes the header of this name.
    pub fn remove_header(&mut self, key: &str) {
        if let Some(Value::Array(headers)) = self.0.get_mut("headers") {
            headers.retain(|header| !has_key(header, key));
        }
    }

    /// Reads it as a definition.
    ///
    /// # Errors
    /// A field is missing or of the wrong type.
    pub fn finish(self) -> Result<Definition> {
        let missing: Vec<FieldError> = ["url", "topics"]
            .into_iter()
            .filter(|field| !self.0.contains_key(*field))
            .map(|field| FieldError {
                pointer: format!("/{field}"),
                code: "missing",
                detail: String::from("it is missing"),
            })
            .collect();
        if !missing.is_empty() {
            return Err(Error::Invalid(missing));
        }
        serde_path_to_error::deserialize(Value::Object(self.0)).map_err(|error| {
            let pointer = pointer(error.path());
            Error::field(&pointer, "bad_value", error.inner().to_string())
        })
    }

    fn keep_header_values(&self, fields: &mut Map<String, Value>) {
        let old = self.0.get("headers").and_then(Value::as_array);
        let Some(Value::Array(headers)) = fields.get_mut("headers") else {
            return;
        };
        for header in headers
            .iter_mut()
            .filter(|header| header.get("value").is_none())
        {
            let key = header
                .get("key")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let same = old.and_then(|old| old.iter().find(|header| has_key(header, key)));
            if let (Some(value), Value::Object(header)) =
                (same.and_then(|same| same.get("value")), header)
            {
                header.insert(String::from("value"), value.clone());
                // A secret stays one, unless it is given anew.
                if let Some(secret) = same.and_then(|same| same.get("secret")) {
                    header.insert(String::from("secret"), secret.clone());
                }
            }
        }
    }

    fn keep_password(&self, fields: &mut Map<String, Value>) {
        let Some(Value::Object(given)) = fields.get_mut("basicAuth") else {
            return;
        };
        let old = self.0.get("basicAuth");
        let is_same = old.and_then(|old| old.get("username")) == given.get("username");
        if let (true, Some(password)) = (is_same, old.and_then(|old| old.get("password"))) {
            given.entry("password").or_insert_with(|| password.clone());
        }
    }

    fn keep_signing_keys(&self, fields: &mut Map<String, Value>) {
        let of =
            |draft: &Map<String, Value>| draft.get("signing")?.get("secrets")?.as_array().cloned();
        let old = of(&self.0).unwrap_or_default();
        let secrets = fields
            .get_mut("signing")
            .and_then(|signing| signing.get_mut("secrets"));
        let Some(Value::Array(secrets)) = secrets else {
            return;
        };
        for secret in secrets.iter_mut().filter_map(Value::as_object_mut) {
            for shown in ["hint", "schemes", "publicKey"] {
                secret.remove(shown);
            }
            let same = old.iter().find(|old| old.get("id") == secret.get("id"));
            if secret.contains_key("key") {
                continue;
            }
            // What a sealed key can sign is known of the old one only.
            for field in ["key", "schemes", "publicKey"] {
                if let Some(value) = same.and_then(|same| same.get(field)) {
                    secret.insert(field.to_owned(), value.clone());
                }
            }
        }
    }
}

fn drop_server_fields(fields: &mut Map<String, Value>) {
    for field in SERVER_FIELDS {
        fields.remove(field);
    }
}

fn has_key(header: &Value, key: &str) -> bool {
    let own = header.get("key").and_then(Value::as_str);
    own.is_some_and(|own| own.eq_ignore_ascii_case(key))
}

/// JSON merge patch.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else {
        return;
    };
    for (field, value) in patch {
        match value {
            Value::Null => {
                target.remove(&field);
            }
            value => merge(target.entry(field).or_insert(Value::Null), value),
        }
    }
}

/// Where it went wrong, as a JSON pointer.
#[must_use]
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    fn draft(text: &str) -> Draft {
        let mut draft = Draft::default();
        draft.merge(fields(text));
        draft
    }

    const STORED: &str = r#"{
        "url": "https://a.example.com/", "topics": ["Entry.*"],
        "headers": [{"key": "X-Key", "value": "s3cret", "secret": true}],
        "basicAuth": {"username": "u", "password": "p4ss"},
        "signing": {"secrets": [{"id": "sec_1", "key": "whsec_x"}]},
        "delivery": {"timeout": "3s", "maxRetries": 2}
    }"#;

    #[test]
    fn an_answer_written_back_keeps_the_secrets_it_does_not_show() {
        let stored = draft(STORED).finish().unwrap();
        let answer = r#"{
            "id": "wh_1", "space": "acme", "version": 3, "state": {"status": "active"},
            "name": "new", "headers": [{"key": "x-key", "secret": true}],
            "basicAuth": {"username": "u"},
            "signing": {"secrets": [{"id": "sec_1", "hint": "…", "expiresAt": null}]},
            "url": "https://a.example.com/", "topics": ["Entry.*"],
            "delivery": {"maxRetries": 5}
        }"#;
        let mut changed = Draft::of(&stored);
        changed.merge(fields(answer));
        let changed = changed.finish().unwrap();
        let replaced = Draft::replacing(&stored, fields(answer)).finish().unwrap();
        for changed in [&changed, &replaced] {
            assert_eq!(changed.headers[0].value, stored.headers[0].value);
            assert!(changed.headers[0].secret);
            assert_eq!(changed.basic_auth, stored.basic_auth);
            assert_eq!(changed.signing, stored.signing);
        }
        assert_eq!(replaced.delivery.timeout.as_secs(), 15, "the default again");
        assert_eq!(
            (changed.name.as_str(), changed.delivery.max_retries),
            ("new", 5)
        );
        assert_eq!(changed.delivery.timeout, stored.delivery.timeout);
    }

    #[test]
    fn a_header_replaces_one_of_the_same_name() {
        let mut draft = draft(STORED);
        draft.set_header("x-KEY", &Secret::new("other"), false);
        draft.set_header("X-More", &Secret::new("more"), false);
        draft.remove_header("x-more");
        let headers = draft.finish().unwrap().headers;
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].value.as_ref().map(Secret::expose), Some("other"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_pointer() {
        for (text, pointer) in [
            (r#"{"url": 5, "topics": []}"#, "/url"),
            (r#"{"topics": ["Entry"], "url": ""}"#, "/topics/0"),
            (
                r#"{"topics": [], "url": "", "delivery": {"timeout": "soon"}}"#,
                "/delivery/timeout",
            ),
            (r#"{"topics": [], "url": "", "delivery": 3}"#, "/delivery"),
            (
                r#"{"topics": [], "url": "", "signing": {"secrets": [{}]}}"#,
                "/signing/secrets/0",
            ),
            (r#"{"topics": []}"#, "/url"),
            (r#"{"url": "", "topics": [], "tpoics": []}"#, "/tpoics"),
        ] {
            let Error::Invalid(errors) = draft(text).finish().unwrap_err() else {
                panic!("{text} is invalid");
            };
            assert_eq!(errors[0].pointer, pointer, "{text}");
        }
    }
}
