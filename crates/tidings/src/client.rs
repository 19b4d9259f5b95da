//! How commands reach the broker.

use std::time::Duration;

use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::{Context, kv};
use rustix::process::getuid;
use tidings_manage::{Actor, Manage, Options};
use tidings_nats::connect::{self, NatsArgs};
use tidings_nats::topology::Layout;

/// How long a person waits for the broker.
const PATIENCE: Duration = Duration::from_secs(5);
const NAME: &str = "tidings";

/// A connection to the broker.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Plain NATS.
    pub(crate) nats: async_nats::Client,
    /// JetStream.
    pub(crate) jetstream: Context,
    /// Who makes changes, as their records say.
    pub(crate) actor: Actor,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers, or the settings cannot be used.
    pub(crate) async fn connect(args: &NatsArgs) -> anyhow::Result<Self> {
        Self::connect_as(args, NAME).await
    }

    /// Connects as a user that has a name of its own.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) async fn connect_as(args: &NatsArgs, name: &str) -> anyhow::Result<Self> {
        let nats = connect::connect_within(args, name, PATIENCE).await?;
        let jetstream = connect::jetstream(&nats);
        Ok(Self {
            nats,
            jetstream,
            actor: Actor::at_command_line(&format!("user {}", getuid().as_raw())),
        })
    }

    /// The same, with changes made by `actor`, if one is named.
    pub(crate) fn made_by(mut self, actor: Option<&str>) -> Self {
        self.actor = actor.map_or(self.actor, Actor::at_command_line);
        self
    }

    /// The operations that this program has in common with the console.
    pub(crate) fn manage(&self) -> Manage {
        self.manage_with(Options::default())
    }

    /// The same, done otherwise.
    pub(crate) fn manage_with(&self, options: Options) -> Manage {
        Manage::new(self.nats.clone(), options)
    }

    /// How the broker was provisioned.
    ///
    /// # Errors
    /// It was not, or it does not answer.
    pub(crate) async fn layout(&self) -> anyhow::Result<Layout> {
        Ok(Layout::read(&self.jetstream).await?)
    }

    /// Opens a bucket.
    ///
    /// # Errors
    /// It is not there, or the broker does not answer.
    pub(crate) async fn bucket(&self, name: &'static str) -> anyhow::Result<kv::Store> {
        let remedy = |kind| match kind {
            KeyValueErrorKind::GetBucket => "the bucket is not there; run `tidings provision`",
            _ => "the bucket cannot be used",
        };
        let opened = self.jetstream.get_key_value(name).await;
        opened.map_err(|error| {
            let kind = error.kind();
            anyhow::Error::new(error).context(format!("{name}: {}", remedy(kind)))
        })
    }
}
