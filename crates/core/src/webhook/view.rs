//! A webhook as answers show it: without any secret.

use serde_json::{Value, json};

use super::{EndpointState, SigningSecret, Webhook};

/// The webhook as CONTRACT.md section 4 shows it, secrets left out.
#[must_use]
pub fn view(webhook: &Webhook, recorded: Option<&EndpointState>) -> Value {
    let definition = &webhook.definition;
    let state = EndpointState::effective(webhook, recorded);
    let headers: Vec<Value> = definition.headers.iter().map(header).collect();
    let secrets: Vec<Value> = definition
        .signing
        .secrets
        .iter()
        .map(signing_secret)
        .collect();
    let mut shown = json!({
        "id": webhook.id,
        "space": webhook.space,
        "name": definition.name,
        "description": definition.description,
        "url": definition.url,
        "enabled": definition.enabled,
        "topics": definition.topics,
        "contentTypes": definition.content_types,
        "filters": definition.filters,
        "headers": headers,
        "format": definition.format,
        "signing": {
            "schemes": definition.signing.effective_schemes(definition.format),
            "secrets": secrets,
            "standardHeaders": definition.signing.standard_headers,
        },
        "delivery": definition.delivery,
        "state": { "status": state.status, "reason": state.reason, "until": state.until },
        "createdAt": webhook.created_at,
        "updatedAt": webhook.updated_at,
        "version": webhook.version,
    });
    if let Some(auth) = &definition.basic_auth {
        shown["basicAuth"] = json!({ "username": auth.username });
    }
    if let Some(transformation) = &definition.transformation {
        shown["transformation"] = json!(transformation);
    }
    shown
}

fn header(header: &super::Header) -> Value {
    match (&header.value, header.secret) {
        (Some(value), false) if value.sealed().is_none() => {
            json!({ "key": header.key, "value": value.expose() })
        }
        _ => json!({ "key": header.key, "secret": true }),
    }
}

fn signing_secret(secret: &SigningSecret) -> Value {
    let mut shown = json!({
        "id": secret.id,
        "hint": secret.key.hint(),
        "expiresAt": secret.expires_at,
    });
    if !secret.schemes.is_empty() {
        shown["schemes"] = json!(secret.schemes);
    }
    if let Some(public_key) = &secret.public_key {
        shown["publicKey"] = json!(public_key);
    }
    shown
}
