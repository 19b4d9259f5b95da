//! The private keys that open the secrets of webhooks.

use std::convert::Infallible;
use std::path::PathBuf;

use anyhow::Context as _;
use tidings_core::secret::Secret;
use tidings_vault::KeyRing;

/// What opens the secrets of webhooks.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Secrets")]
pub struct SecretArgs {
    /// File of the private keys that open the secrets of webhooks, one a line, the newest last, as
    /// `tidings secrets generate` writes it.
    #[arg(long, env = "TIDINGS_SECRET_KEY_FILE", value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// The same keys themselves, with commas between them; they count as newer than those of the
    /// file. What stands on a command line can be read by others on this machine: use the variable.
    // Kept as text: clap would print a wrong one.
    #[arg(long, env = "TIDINGS_SECRET_KEYS", value_name = "KEYS", hide_env_values = true,
          value_parser = |text: &str| Ok::<_, Infallible>(Secret::new(text)))]
    pub secret_keys: Option<Secret>,
}

impl SecretArgs {
    /// Reads the keys; none if none are given.
    ///
    /// # Errors
    /// They cannot be read; the message names the option and no key.
    pub fn read(&self) -> anyhow::Result<KeyRing> {
        let mut keys = KeyRing::default();
        if let Some(path) = &self.secret_key_file {
            keys = tidings_vault::read(path).context("--secret-key-file")?;
        }
        let texts = self.secret_keys.as_ref().map(Secret::expose);
        if let Some(text) = texts.filter(|text| !text.trim().is_empty()) {
            keys = keys.with(KeyRing::parse(text).context("--secret-keys")?);
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_names_its_option_and_not_itself() {
        let args = SecretArgs {
            secret_keys: Some(Secret::new("tdgk_s3cret")),
            ..SecretArgs::default()
        };
        let error = format!("{:#}", args.read().unwrap_err());
        assert!(error.contains("--secret-keys"), "{error}");
        assert!(!error.contains("s3cret") && !format!("{args:?}").contains("s3cret"));
        let args = SecretArgs {
            secret_key_file: Some(PathBuf::from("/nowhere/at/all")),
            ..SecretArgs::default()
        };
        let error = format!("{:#}", args.read().unwrap_err());
        assert!(
            error.contains("--secret-key-file: /nowhere/at/all"),
            "{error}"
        );
    }

    #[test]
    fn no_key_is_given_by_an_empty_variable() {
        let args = SecretArgs {
            secret_keys: Some(Secret::new("")),
            ..SecretArgs::default()
        };
        assert!(args.read().unwrap().newest().is_none());
    }
}
