//! A webhook in a file, as `webhook get --json` answers one.

use anyhow::Context as _;
use serde_json::{Map, Value};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;

/// What a file says about a webhook.
#[derive(Debug)]
pub(super) struct File {
    fields: Map<String, Value>,
}

impl File {
    /// Reads a webhook in JSON: CONTRACT.md section 4.
    pub(super) fn parse(text: &[u8], space: &Space) -> anyhow::Result<Self> {
        let read: Value = serde_json::from_slice(text).context("--file: it is no JSON")?;
        let Value::Object(fields) = read else {
            anyhow::bail!("--file: it is no JSON object");
        };
        if let Some(other) = fields.get("space").filter(|own| *own != space.as_str()) {
            anyhow::bail!("--file: it is a webhook of the space {other}, not of {space}");
        }
        Ok(Self { fields })
    }

    /// Refuses a file that shows another webhook, or a version that was changed meanwhile.
    pub(super) fn of_version(self, id: &WebhookId, version: u64) -> anyhow::Result<Self> {
        let own = |field| self.fields.get(field);
        if let Some(other) = own("id").filter(|own| *own != id.as_str()) {
            anyhow::bail!("--file: it is the webhook {other}, not {id}");
        }
        if let Some(other) = own("version").filter(|own| *own != version) {
            anyhow::bail!(
                "--file: it is version {other}, and {id} is at version {version} by now; get it \
                 again, or leave `version` out to overwrite"
            );
        }
        Ok(self)
    }

    /// Its fields.
    pub(super) fn into_fields(self) -> Map<String, Value> {
        self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_webhook_or_version_is_refused() {
        let parse = |text: &str| File::parse(text.as_bytes(), &"acme".parse().unwrap());
        assert!(parse(r#"{"space": "other"}"#).is_err());
        assert!(parse("[]").is_err() && parse("{").is_err());
        let of_version = |text| parse(text).unwrap().of_version(&"wh_1".parse().unwrap(), 3);
        assert!(of_version(r#"{"id": "wh_2"}"#).is_err());
        assert!(of_version(r#"{"version": 2}"#).is_err());
        assert!(of_version(r#"{"id": "wh_1", "version": 3}"#).is_ok());
    }
}
