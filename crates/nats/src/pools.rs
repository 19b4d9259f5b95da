//! Which pools there are, and who sends for them, as the broker knows it now.

use async_nats::jetstream::Context;
use futures_util::TryStreamExt as _;
use tidings_core::name::Pool;
use tidings_core::pools::Pools;

use crate::topology::{Layout, LayoutError, MEMBERS_BUCKET};

/// Reads the layout, and the signs of life of all senders.
///
/// # Errors
/// The installation is not provisioned, or the broker does not answer.
pub async fn read_pools(context: &Context) -> Result<Pools, LayoutError> {
    let layout = Layout::read(context).await?;
    let alive = alive(context).await;
    let alive = alive.map_err(|error| LayoutError::Unavailable {
        detail: format!("{MEMBERS_BUCKET}: {error}"),
    })?;
    Ok(Pools::new(layout.pools, alive))
}

/// For each sender that is alive, its pool.
async fn alive(context: &Context) -> Result<Vec<Pool>, async_nats::Error> {
    let bucket = context.get_key_value(MEMBERS_BUCKET).await?;
    let keys: Vec<String> = bucket.keys().await?.try_collect().await?;
    let pools = keys
        .iter()
        .filter_map(|key| key.split_once('.')?.0.parse().ok());
    Ok(pools.collect())
}
