//! How operations reach the broker.

use std::sync::Arc;

use async_nats::Client;
use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::{Context, kv};
use tidings_core::pools::Pools;
use tidings_nats::connect;
use tidings_nats::pools::read_pools;
use tidings_nats::publish::{Bounds, Publisher};
use tidings_nats::topology::Layout;

use crate::{Error, Result};

/// How operations are done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Secrets are stored readable for who reads the bucket, if there is no key to seal them with.
    pub plain_secrets: bool,
}

/// The operations. Cheap to clone. Connects to nothing by itself and holds no state but its
/// connection, so any number of them work side by side.
#[derive(Debug, Clone)]
pub struct Manage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    nats: Client,
    context: Context,
    options: Options,
}

impl Manage {
    /// Operations through this connection.
    #[must_use]
    pub fn new(nats: Client, options: Options) -> Self {
        let context = connect::jetstream(&nats);
        let inner = Arc::new(Inner {
            nats,
            context,
            options,
        });
        Self { inner }
    }

    /// JetStream.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// Plain NATS.
    #[must_use]
    pub fn nats(&self) -> &Client {
        &self.inner.nats
    }

    pub(crate) fn options(&self) -> Options {
        self.inner.options
    }

    /// How the broker was provisioned.
    ///
    /// # Errors
    /// It was not, or it does not answer.
    pub async fn layout(&self) -> Result<Layout> {
        Ok(Layout::read(self.context()).await?)
    }

    /// Which pools there are, and who sends for them.
    ///
    /// # Errors
    /// The broker was not provisioned, or it does not answer.
    pub async fn pools(&self) -> Result<Pools> {
        Ok(read_pools(self.context()).await?)
    }

    /// Opens a bucket.
    ///
    /// # Errors
    /// It is not there, or the broker does not answer.
    pub async fn bucket(&self, name: &'static str) -> Result<kv::Store> {
        let opened = self.context().get_key_value(name).await;
        opened.map_err(|error| match error.kind() {
            KeyValueErrorKind::GetBucket => Error::Unavailable(format!(
                "{name}: the bucket is not there; run `tidings provision`"
            )),
            _ => Error::broker(name, error),
        })
    }

    /// What stores messages.
    pub(crate) async fn publisher(&self) -> Result<(Publisher, Layout)> {
        let layout = self.layout().await?;
        let publisher = Publisher::new(self.nats().clone(), layout.commit, Bounds::default());
        Ok((publisher, layout))
    }
}
