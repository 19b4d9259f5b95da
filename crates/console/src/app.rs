//! What the management API and the dashboard have in common.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use async_nats::Client;
use tidings_manage::webhook::Reach;
use tidings_manage::{Manage, Options};
use tidings_service::lifecycle::Lifecycle;

use crate::args::ConsoleArgs;
use crate::auth::{Limits, Tokens};
use crate::log::{Log, LogOptions};

/// What the management API and the dashboard have in common.
#[derive(Debug)]
pub struct App {
    /// Changes things, and reads how they stand.
    pub manage: Manage,
    /// What became of events and deliveries.
    pub log: Log,
    /// Who may do what.
    pub tokens: Arc<Tokens>,
    /// How much each of them may ask for.
    pub limits: Limits,
    /// Which endpoints webhooks may have.
    pub reach: Reach,
    /// How the process ends, and who waits for its tasks.
    pub lifecycle: Lifecycle,
    /// What was set.
    pub args: ConsoleArgs,
}

impl App {
    /// Opens the delivery log. Nothing is asked of the broker yet.
    ///
    /// # Errors
    /// A setting cannot be used, or the log cannot be opened.
    pub async fn open(
        args: ConsoleArgs,
        nats: Client,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Self> {
        let reach = args.reach.reach()?;
        make_folder(&args.data_dir)
            .with_context(|| format!("--data-dir {}", args.data_dir.display()))?;
        let log = Log::open(LogOptions {
            path: args.data_dir.join("delivery-log.db"),
            max_age: args.log_max_age,
            max_bytes: args.log_max_mb << 20,
        });
        let options = Options {
            plain_secrets: args.plain_secrets,
        };
        Ok(Self {
            manage: Manage::new(nats, options),
            log: log.await.context("--data-dir")?,
            tokens: Arc::default(),
            limits: Limits::new(args.api_rate, args.api_burst),
            reach,
            lifecycle: lifecycle.clone(),
            args,
        })
    }

    /// Whether browsers may send the session's cookie over TLS only.
    #[must_use]
    pub fn is_cookie_secure(&self) -> bool {
        let is_https = || {
            let url = self.args.public_url.as_ref();
            url.is_some_and(|url| url.scheme() == "https")
        };
        self.args.cookie_secure.unwrap_or_else(is_https)
    }
}

/// For its owner alone: the log shows what receivers answered.
fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(path)
}
