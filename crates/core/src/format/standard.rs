//! The `standard` format: Standard Webhooks 1.0.0, `{"type", "timestamp", "data"}`.

use bytes::{BufMut as _, BytesMut};
use http::Method;

use super::{Content, Rendered, json_headers};

/// Writes the envelope around the payload's own bytes, which are never parsed.
pub(super) fn render(content: Content<'_>) -> Rendered {
    // A checked topic and a timestamp need no JSON escapes.
    let head = format!(
        "{{\"type\":\"{}\",\"timestamp\":\"{}\",\"data\":",
        content.topic, content.occurred_at
    );
    let mut body = BytesMut::with_capacity(head.len() + content.payload.len() + 1);
    body.put_slice(head.as_bytes());
    body.put_slice(content.payload);
    body.put_u8(b'}');
    Rendered {
        method: Method::POST,
        headers: json_headers(),
        body: body.freeze(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::format::Template;
    use crate::id::DeliveryId;
    use crate::webhook::{SCHEMA_VERSION, Webhook};

    fn template(definition: serde_json::Value) -> Template {
        Template::new(&Webhook {
            schema: SCHEMA_VERSION,
            id: "wh_1".parse().unwrap(),
            space: "acme".parse().unwrap(),
            definition: serde_json::from_value(definition).unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        })
        .unwrap()
    }

    fn render_with(definition: serde_json::Value, payload: &str) -> Rendered {
        let delivery: DeliveryId = "dlv_1".parse().unwrap();
        let content = Content {
            delivery: &delivery,
            topic: &"Entry.publish".parse().unwrap(),
            occurred_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            payload: payload.as_bytes(),
        };
        template(definition).render(content, Timestamp::from_second(1_614_265_330).unwrap())
    }

    #[test]
    fn the_payload_goes_through_byte_for_byte() {
        let payload = r#"{ "b":1e999,"a":123456789012345678901234567890, "a":"\u0000\/" }"#;
        let url = serde_json::json!({ "url": "https://a.example.com", "topics": ["*.*"] });
        let rendered = render_with(url, payload);
        let expected = format!(
            r#"{{"type":"Entry.publish","timestamp":"2026-11-22T10:00:00Z","data":{payload}}}"#
        );
        assert_eq!(rendered.body, expected.as_bytes());
    }

    #[test]
    fn each_valid_secret_signs_and_an_expired_one_does_not() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let definition = serde_json::json!({
            "url": "https://a.example.com", "topics": ["*.*"],
            "headers": [{ "key": "X-Source", "value": "cms" }],
            "basicAuth": { "username": "u", "password": "p" },
            "signing": { "secrets": [
                { "id": "1", "key": secret },
                { "id": "2", "key": secret, "expiresAt": "2100-01-01T00:00:00Z" },
                { "id": "3", "key": secret, "expiresAt": "2000-01-01T00:00:00Z" },
            ] },
        });
        let headers = render_with(definition, "{}").headers;
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(text("webhook-id"), "dlv_1");
        assert_eq!(text("webhook-timestamp"), "1614265330");
        assert_eq!(text("webhook-signature").split(' ').count(), 2);
        assert_eq!(text("x-source"), "cms");
        assert_eq!(text("authorization"), "Basic dTpw");
        assert!(text("user-agent").starts_with("Tidings/"));
        assert!(headers["authorization"].is_sensitive());
    }
}
