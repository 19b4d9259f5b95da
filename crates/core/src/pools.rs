//! Which pools there are and who sends for them: what a webhook may name, and when its deliveries
//! wait because nobody sends.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::Pool;

/// The pools at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools {
    provisioned: BTreeSet<Pool>,
    senders: BTreeMap<Pool, usize>,
}

/// Why a webhook may not name a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is none of this name.
    #[error("there is no pool `{pool}`, only {known}; `tidings provision --pool` makes one")]
    Unknown {
        /// The pool.
        pool: Pool,
        /// Those that there are, with commas between them.
        known: String,
    },
    /// Nobody would send.
    #[error("no sender of the pool `{pool}` is alive; start one with --pool {pool}")]
    Unserved {
        /// The pool.
        pool: Pool,
    },
}

impl PoolError {
    /// A stable word for the kind of fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown_pool",
            Self::Unserved { .. } => "unserved_pool",
        }
    }
}

impl Pools {
    /// The pools that have streams to wait in, and for each sender that is alive the pool it sends
    /// for.
    #[must_use]
    pub fn new(provisioned: BTreeSet<Pool>, alive: impl IntoIterator<Item = Pool>) -> Self {
        let mut senders = BTreeMap::new();
        for pool in alive {
            *senders.entry(pool).or_default() += 1;
        }
        Self {
            provisioned,
            senders,
        }
    }

    /// How many senders of `pool` are alive.
    #[must_use]
    pub fn senders(&self, pool: &Pool) -> usize {
        self.senders.get(pool).copied().unwrap_or(0)
    }

    /// Whether somebody sends for `pool`; its deliveries wait otherwise.
    #[must_use]
    pub fn is_served(&self, pool: &Pool) -> bool {
        self.senders(pool) > 0
    }

    /// Whether a new webhook may name `pool`. The default pool needs no live sender: every
    /// installation has it, and webhooks are created before the first start.
    ///
    /// # Errors
    /// The pool is not provisioned, or nobody sends for it.
    pub fn check(&self, pool: &Pool) -> Result<(), PoolError> {
        if !self.provisioned.contains(pool) {
            let known: Vec<&str> = self.provisioned.iter().map(Pool::as_str).collect();
            return Err(PoolError::Unknown {
                pool: pool.clone(),
                known: known.join(", "),
            });
        }
        if *pool == Pool::default() || self.is_served(pool) {
            return Ok(());
        }
        Err(PoolError::Unserved { pool: pool.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_may_be_named_that_is_provisioned_and_served() {
        let [default, eu, us, mars] =
            ["default", "eu", "us", "mars"].map(|name| name.parse::<Pool>().unwrap());
        let provisioned = BTreeSet::from([default.clone(), eu.clone(), us.clone()]);
        let alive = [eu.clone(), eu.clone(), mars.clone()];
        let pools = Pools::new(provisioned, alive);
        assert_eq!((pools.senders(&eu), pools.senders(&us)), (2, 0));
        assert_eq!(pools.check(&eu), Ok(()));
        assert_eq!(pools.check(&default), Ok(()));
        assert!(!pools.is_served(&default));
        assert_eq!(pools.check(&us).unwrap_err().code(), "unserved_pool");
        let unknown = pools.check(&mars).unwrap_err();
        assert_eq!(unknown.code(), "unknown_pool");
        assert!(
            unknown.to_string().contains("only default, eu, us"),
            "{unknown}"
        );
    }
}
