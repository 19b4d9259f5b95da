//! How many files this process may have open, and what that is enough for: each request under way
//! takes a connection, and each kept connection is a file, too.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// For everything that is no connection to an endpoint: the broker, the listener, name servers,
/// certificates, logs.
const RESERVED: usize = 128;
/// So many connections are kept at the least, if the limit allows it…
const KEPT_MIN: usize = 1_024;
/// …and so many for each request that may be under way.
const KEPT_PER_REQUEST: usize = 2;

/// There may be fewer files than requests need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{concurrency} requests at once need {needed} open files, and this process may have {limit}: \
     ask for fewer, or raise the limit (`ulimit -n`, `LimitNOFILE=`)"
)]
pub(crate) struct TooFewFiles {
    concurrency: usize,
    needed: usize,
    limit: usize,
}

/// Raises the limit as far as the system lets us, and says how many connections may be kept beside
/// `concurrency` requests under way.
///
/// # Errors
/// The limit is too low for the requests alone.
pub(crate) fn secure(concurrency: usize) -> Result<usize, TooFewFiles> {
    kept_within(raised_limit(), concurrency)
}

/// How many files may be open; no limit is a very high one.
fn raised_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let now = limit.current;
    limit.current = limit.maximum;
    let raised = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current,
        Err(error) => {
            debug!(%error, "cannot raise the limit of open files");
            now
        }
    };
    raised.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

fn kept_within(limit: usize, concurrency: usize) -> Result<usize, TooFewFiles> {
    let needed = concurrency.saturating_add(RESERVED);
    if limit < needed {
        return Err(TooFewFiles {
            concurrency,
            needed,
            limit,
        });
    }
    let wanted = concurrency.saturating_mul(KEPT_PER_REQUEST).max(KEPT_MIN);
    Ok(wanted.min(limit - needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_what_is_under_way_stay_within_the_limit() {
        assert_eq!(kept_within(1 << 20, 512), Ok(1_024));
        assert_eq!(kept_within(1 << 20, 10_000), Ok(20_000));
        assert_eq!(kept_within(20_000, 10_000), Ok(9_872));
        assert_eq!(kept_within(1_024, 512), Ok(384));
        assert_eq!(kept_within(640, 512), Ok(0));
        assert_eq!(kept_within(usize::MAX, 512), Ok(1_024));
    }

    #[test]
    fn a_limit_that_is_too_low_is_told_with_its_remedy() {
        let error = kept_within(1_024, 1_000).unwrap_err().to_string();
        assert!(error.contains("1128") && error.contains("1024") && error.contains("ulimit -n"));
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn this_process_may_have_enough_files() {
        assert!(secure(64).is_ok());
    }
}
