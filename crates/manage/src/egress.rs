//! The addresses that requests come from.

use tidings_core::egress::{Published, Source};
use tidings_core::name::Pool;
use tidings_nats::egress::{Registry, read_published};

use crate::audit::Change;
use crate::{Actor, Error, Manage, Result};

impl Manage {
    /// All pools with the addresses and blocks that they send from, for everybody to read.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn egress(&self) -> Result<Published> {
        Ok(read_published(self.context()).await?)
    }

    /// Every address and block with who said so.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn egress_sources(&self) -> Result<Vec<(Pool, Source)>> {
        let registry = Registry::open(self.context()).await?;
        let mut sources = registry.all().await?;
        sources.sort_unstable_by(|(a_pool, a), (b_pool, b)| {
            (a_pool, a.network).cmp(&(b_pool, b.network))
        });
        Ok(sources)
    }

    /// Publishes an address or a block ahead of its use.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn announce_egress(&self, actor: &Actor, pool: &Pool, source: &Source) -> Result<()> {
        let registry = Registry::open(self.context()).await?;
        registry.announce(pool, source).await?;
        self.record(Change {
            actor,
            space: None,
            action: "egress.announce",
            target: &format!("{pool} {}", source.network),
            old: serde_json::Value::Null,
            new: serde_json::json!(source),
        })
        .await;
        Ok(())
    }

    /// Publishes an address or a block no longer.
    ///
    /// # Errors
    /// It was not published, or the broker does not answer.
    pub async fn withdraw_egress(
        &self,
        actor: &Actor,
        pool: &Pool,
        network: &ipnet::IpNet,
    ) -> Result<()> {
        let registry = Registry::open(self.context()).await?;
        if !registry.withdraw(pool, network).await? {
            return Err(Error::not_found("published address", network));
        }
        self.record(Change {
            actor,
            space: None,
            action: "egress.withdraw",
            target: &format!("{pool} {network}"),
            old: serde_json::json!(network),
            new: serde_json::Value::Null,
        })
        .await;
        Ok(())
    }
}
