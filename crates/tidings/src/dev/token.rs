//! The admin token of `tidings dev`.

use std::path::Path;

use anyhow::{Context as _, bail};
use async_nats::jetstream::Context;
use tidings_core::secret::Secret;
use tidings_core::token::{self, Scope, TOKEN_BYTES_MIN, TokenRecord};
use tidings_nats::topology::TOKENS_BUCKET;
use tidings_service::clock;

use super::data_dir::DataDir;

const RECORD_ID: &str = "dev-admin";

/// Takes the text of `--token`. Never fails, because clap would show the text: whether it is
/// usable is looked at in [`settle`].
pub(super) fn parse(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Reads the file of `--token-file`.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("--token-file {}", path.display()))?;
    Ok(Secret::new(text.trim()))
}

/// Decides on the admin token (the `given` one, or that of the last start, or a new one), keeps it
/// in `data`, and stores its hash where the services look. A token that it replaces is no longer
/// good for anything.
///
/// # Errors
/// The given token is unusable, or something cannot be stored.
pub(super) async fn settle(
    given: Option<Secret>,
    data: &DataDir,
    jetstream: &Context,
) -> anyhow::Result<Secret> {
    let kept = data.kept_token()?;
    let token = match (given, &kept) {
        (Some(given), _) => checked(given)?,
        (None, Some(kept)) => kept.clone(),
        (None, None) => token::from_bytes(&rand::random()),
    };
    let bucket = jetstream
        .get_key_value(TOKENS_BUCKET)
        .await
        .context(TOKENS_BUCKET)?;
    if let Some(old) = kept.filter(|kept| *kept != token) {
        bucket
            .delete(token::hash(old.expose()))
            .await
            .context(TOKENS_BUCKET)?;
    }
    let record = TokenRecord {
        id: RECORD_ID.to_owned(),
        name: String::from("admin token of `tidings dev`"),
        space: None,
        scopes: vec![Scope::Admin],
        created_at: clock::now(),
        expires_at: None,
    };
    let stored = serde_json::to_vec(&record)?;
    bucket
        .put(token::hash(token.expose()), stored.into())
        .await
        .context(TOKENS_BUCKET)?;
    data.keep_token(&token)?;
    Ok(token)
}

/// A bearer token goes into an HTTP header (RFC 6750: visible characters).
fn checked(token: Secret) -> anyhow::Result<Secret> {
    let text = token.expose();
    if text.len() < TOKEN_BYTES_MIN {
        bail!(
            "--token has {} characters; give it {TOKEN_BYTES_MIN} or more",
            text.len()
        );
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("--token has a space or a character that is not in ASCII; leave it out");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_token_is_refused_without_being_shown() {
        for bad in [
            "short",
            "with a space in the middle",
            "ümlaut-ümlaut-ümlaut",
        ] {
            let message = checked(Secret::new(bad)).unwrap_err().to_string();
            assert!(
                message.contains("--token") && !message.contains(bad),
                "{message}"
            );
        }
        assert!(checked(Secret::new("0123456789abcdef")).is_ok());
    }
}
