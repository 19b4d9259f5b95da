//! A webhook's record without what goes without saying, for those who keep very many.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Definition, Webhook};

/// What every definition has, written out, but for the fields that have no default.
static DEFAULTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let least = json!({ "url": "", "topics": [] });
    let least: Definition = serde_json::from_value(least).expect("no other field is required");
    let mut all = object(serde_json::to_value(least));
    all.retain(|name, _| !["url", "topics"].contains(&name.as_str()));
    all
});

impl Webhook {
    /// Writes the record as [`Webhook::to_stored`] does, secrets included, without the fields of its
    /// definition and of its delivery plan that have their defaults: about half of it. This version's
    /// [`Webhook::from_stored`] makes the same webhook of it. Another's may not, because its defaults
    /// may differ, so the bytes are for this process only.
    #[must_use]
    pub fn to_compact(&self) -> Vec<u8> {
        let mut record = object(serde_json::to_value(self));
        if let Some(Value::Object(definition)) = record.get_mut("definition") {
            definition.retain(|name, value| DEFAULTS.get(name) != Some(value));
            let plans = (definition.get_mut("delivery"), DEFAULTS.get("delivery"));
            if let (Some(Value::Object(plan)), Some(Value::Object(defaults))) = plans {
                plan.retain(|name, value| defaults.get(name) != Some(value));
            }
        }
        Value::Object(record).to_string().into_bytes()
    }
}

fn object(value: serde_json::Result<Value>) -> Map<String, Value> {
    match value {
        Ok(Value::Object(object)) => object,
        _ => unreachable!("a struct with only string keys and serialisable values is an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(definition: &Value) -> Webhook {
        let record = json!({
            "schema": 1, "id": "wh_1", "space": "acme", "version": 3, "definition": definition,
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-02T00:00:00Z",
        });
        Webhook::from_stored(record.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_left_out_is_read_as_it_was() {
        let url = "https://build.example.com/1";
        let topics = json!(["Entry.publish"]);
        for definition in [
            json!({ "url": url, "topics": topics }),
            json!({ "url": url, "topics": [], "enabled": false, "name": "x", "description": "y" }),
            json!({ "url": url, "topics": topics, "format": "contentful", "contentTypes": ["a"] }),
            json!({
                "url": url, "topics": topics,
                "filters": [{ "equals": [{ "doc": "sys.id" }, 9.5] }],
                "headers": [{ "key": "X-A", "value": "b", "secret": true }],
                "basicAuth": { "username": "u", "password": "p" },
                "transformation": { "method": "PUT", "body": { "id": "{ /payload/id }" } },
                "signing": { "schemes": [], "secrets": [{ "id": "1", "key": "whsec_x" }] },
            }),
            json!({
                "url": url, "topics": topics,
                "delivery": {
                    "maxRetries": 2, "timeout": "3s", "pool": "eu", "maxInFlight": 1,
                    "rateLimit": { "requests": 50, "per": "1s" },
                },
            }),
            json!({
                "url": url, "topics": topics,
                "delivery": { "rateLimit": { "requests": 7, "per": "1m", "burst": 2 } },
                "signing": { "schemes": ["standard-v1", "contentful-v1"] },
            }),
        ] {
            let webhook = webhook(&definition);
            let compact = webhook.to_compact();
            assert_eq!(Webhook::from_stored(&compact).unwrap(), webhook);
            assert!(compact.len() < webhook.to_stored().len());
        }
    }

    #[test]
    fn a_usual_webhook_takes_less_than_half() {
        let webhook = webhook(&json!({ "url": "https://a.example.com", "topics": ["*.*"] }));
        let (compact, whole) = (webhook.to_compact().len(), webhook.to_stored().len());
        assert!(compact * 2 < whole, "{compact} of {whole} bytes");
    }
}
