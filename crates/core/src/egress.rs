//! Which addresses requests come from, so that receivers can let them in (CONTRACT.md section 6,
//! `GET /egress`).
//!
//! Senders register the addresses that they send from; operators announce addresses and blocks
//! ahead of their use. [`published`] is what everybody may read of both.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::Pool;

/// A network that requests of a pool may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// A block, or an address as a block of one.
    pub network: IpNet,
    /// From when on requests may come from it.
    pub valid_from: Timestamp,
    /// Who said so.
    pub origin: Origin,
}

/// Who said that requests come from a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A sender that sends from it.
    Sender,
    /// An operator, ahead of time or for a proxy.
    Operator,
}

/// A network as people write it: `203.0.113.7` or `203.0.113.0/28`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceNetwork(pub IpNet);

/// Text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceNetworkError {
    /// It is neither an address nor a block.
    #[error("{0:?} is no address and no block such as 203.0.113.0/28")]
    Form(String),
    /// The address has bits beyond the prefix: a slip of the pen, in one or the other.
    #[error("{given} is an address within a block; the block is {block}")]
    HostBits {
        /// What was written.
        given: IpNet,
        /// The block that contains it.
        block: IpNet,
    },
}

impl FromStr for SourceNetwork {
    type Err = SourceNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address)));
        }
        let given: IpNet = text
            .parse()
            .map_err(|_| SourceNetworkError::Form(text.to_owned()))?;
        let block = given.trunc();
        match given == block {
            true => Ok(Self(given)),
            false => Err(SourceNetworkError::HostBits { given, block }),
        }
    }
}

/// What a sender has to register that sends from `address`, where `known` is registered of it;
/// `None` if that is right already. A word of an operator stays, unless its time has yet to come:
/// requests come from there already.
#[must_use]
pub fn register(known: Option<&Source>, address: IpAddr, now: Timestamp) -> Option<Source> {
    match known {
        Some(source) if source.valid_from <= now => None,
        Some(source) => Some(Source {
            valid_from: now,
            ..source.clone()
        }),
        None => Some(Source {
            network: IpNet::from(address),
            valid_from: now,
            origin: Origin::Sender,
        }),
    }
}

/// What everybody may read: pools with their addresses and blocks, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// All pools, those without static addresses too.
    pub pools: Vec<PublishedPool>,
}

/// A pool; one with neither addresses nor blocks sends from wherever its machines are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPool {
    /// Its name.
    pub pool: Pool,
    /// Single addresses.
    pub addresses: Vec<PublishedAddress>,
    /// Blocks.
    pub cidrs: Vec<PublishedCidr>,
}

/// A single address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedAddress {
    /// The address.
    pub address: IpAddr,
    /// From when on requests may come from it.
    pub valid_from: Timestamp,
}

/// A block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedCidr {
    /// The block.
    pub cidr: IpNet,
    /// From when on requests may come from it.
    pub valid_from: Timestamp,
}

/// Merges what was registered and announced with the `pools` there are. A pool that was only
/// announced is shown too: its addresses may be known before its first sender.
#[must_use]
pub fn published(
    pools: &BTreeSet<Pool>,
    sources: impl IntoIterator<Item = (Pool, Source)>,
) -> Published {
    let mut of_pool: BTreeMap<Pool, Vec<Source>> = pools
        .iter()
        .map(|pool| (pool.clone(), Vec::new()))
        .collect();
    for (pool, source) in sources {
        of_pool.entry(pool).or_default().push(source);
    }
    let pools = of_pool.into_iter().map(|(pool, sources)| {
        let (single, blocks): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_single);
        let mut addresses: Vec<_> = single
            .into_iter()
            .map(|source| PublishedAddress {
                address: source.network.addr(),
                valid_from: source.valid_from,
            })
            .collect();
        let mut cidrs: Vec<_> = blocks
            .into_iter()
            .map(|source| PublishedCidr {
                cidr: source.network,
                valid_from: source.valid_from,
            })
            .collect();
        addresses.sort_unstable();
        cidrs.sort_unstable();
        PublishedPool {
            pool,
            addresses,
            cidrs,
        }
    });
    Published {
        pools: pools.collect(),
    }
}

fn is_single(source: &Source) -> bool {
    source.network.prefix_len() == source.network.max_prefix_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(network: &str, second: i64) -> Source {
        Source {
            network: network.parse::<SourceNetwork>().unwrap().0,
            valid_from: Timestamp::from_second(second).unwrap(),
            origin: Origin::Operator,
        }
    }

    fn pool(name: &str) -> Pool {
        name.parse().unwrap()
    }

    #[test]
    fn addresses_and_blocks_are_published_by_pool_and_in_order() {
        let pools = BTreeSet::from([pool("default"), pool("eu")]);
        let sources = [
            (pool("eu"), source("2001:db8::/48", 2)),
            (pool("eu"), source("203.0.113.9", 7)),
            (pool("eu"), source("203.0.113.7", 5)),
            (pool("new"), source("198.51.100.0/28", 9)),
        ];
        let shown = serde_json::to_value(published(&pools, sources)).unwrap();
        let wanted = serde_json::json!({"pools": [
            {"pool": "default", "addresses": [], "cidrs": []},
            {"pool": "eu", "addresses": [
                {"address": "203.0.113.7", "validFrom": "1970-01-01T00:00:05Z"},
                {"address": "203.0.113.9", "validFrom": "1970-01-01T00:00:07Z"},
            ], "cidrs": [{"cidr": "2001:db8::/48", "validFrom": "1970-01-01T00:00:02Z"}]},
            {"pool": "new", "addresses": [],
             "cidrs": [{"cidr": "198.51.100.0/28", "validFrom": "1970-01-01T00:00:09Z"}]},
        ]});
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_sender_registers_what_is_new_and_what_it_uses_before_its_time() {
        let address = "203.0.113.7".parse().unwrap();
        let now = Timestamp::from_second(10).unwrap();
        let new = register(None, address, now).unwrap();
        assert_eq!((new.valid_from, new.origin), (now, Origin::Sender));
        assert_eq!(register(Some(&new), address, now), None);
        assert_eq!(
            register(Some(&source("203.0.113.7", 3)), address, now),
            None
        );
        let early = register(Some(&source("203.0.113.7", 99)), address, now).unwrap();
        assert_eq!((early.valid_from, early.origin), (now, Origin::Operator));
    }

    #[test]
    fn a_network_that_was_mistyped_is_refused() {
        for good in ["203.0.113.7", "203.0.113.0/28", "::1", "2001:db8::/32"] {
            assert!(good.parse::<SourceNetwork>().is_ok(), "{good}");
        }
        for (bad, word) in [
            ("203.0.113.5/28", "203.0.113.0/28"),
            ("203.0.113.0/33", "203.0.113.0/33"),
            ("example.com", "example.com"),
            ("", "no address"),
        ] {
            let error = bad.parse::<SourceNetwork>().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
