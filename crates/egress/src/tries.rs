//! Several addresses, one after the other.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::failure::Failure;

/// How many addresses of a name are tried.
const TRIES_MAX: usize = 8;

/// A connection, and the address it leads to.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) tcp: TcpStream,
    pub(crate) remote: SocketAddr,
}

/// Why no address took the connection.
#[derive(Debug)]
pub(crate) struct TryFailure {
    pub(crate) failure: Failure,
    /// The address it was.
    pub(crate) remote: Option<SocketAddr>,
}

/// Tries the addresses in order. Each gets an equal share of the time that is left, so that one
/// that does not answer leaves time for the others; `connect` is told when it is over and keeps to
/// it. If none takes the connection, what is told is how the first one failed. A failure of ours
/// ends the trying: it would be the same with every other.
pub(crate) async fn in_turn<Try>(
    remotes: &[SocketAddr],
    until: Instant,
    connect: impl Fn(SocketAddr, Instant) -> Try,
) -> Result<Reached, TryFailure>
where
    Try: Future<Output = Result<TcpStream, Failure>>,
{
    let remotes = &remotes[..remotes.len().min(TRIES_MAX)];
    let mut tries_left = u32::try_from(remotes.len()).unwrap_or(1);
    let mut first = None;
    for &remote in remotes {
        let now = Instant::now();
        let share = until.saturating_duration_since(now) / tries_left;
        tries_left -= 1;
        let failure = match connect(remote, now + share).await {
            Ok(tcp) => return Ok(Reached { tcp, remote }),
            Err(failure) => failure,
        };
        let is_ours = failure.is_ours();
        let failed = TryFailure {
            failure,
            remote: Some(remote),
        };
        if is_ours {
            return Err(failed);
        }
        first.get_or_insert(failed);
    }
    Err(first.unwrap_or(TryFailure {
        failure: Failure::ConnectTimeout,
        remote: None,
    }))
}
