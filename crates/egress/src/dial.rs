//! TCP to vetted addresses, from our own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::failure::{Failure, OurFailure};
use crate::options::EgressError;
use crate::tries::{self, Reached, TryFailure};

/// Connects, from the source addresses in turn if there are any.
#[derive(Debug)]
pub(crate) struct Dialler {
    v4: Sources,
    v6: Sources,
}

/// The source addresses of one family. Each family has its own turn: one that takes every other
/// connection would otherwise always come from the same address.
#[derive(Debug, Default)]
struct Sources {
    addresses: Vec<IpAddr>,
    turn: AtomicUsize,
}

impl Sources {
    fn next(&self) -> Option<IpAddr> {
        match self.addresses.as_slice() {
            [] => None,
            addresses => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                Some(addresses[turn % addresses.len()])
            }
        }
    }
}

impl Dialler {
    /// # Errors
    /// If the machine cannot send from one of the source addresses.
    pub(crate) fn new(sources: &[IpAddr]) -> Result<Self, EgressError> {
        let (mut v4, mut v6) = (Sources::default(), Sources::default());
        for &address in sources {
            try_out(address).map_err(|source| EgressError::SourceAddress { address, source })?;
            match address.to_canonical() {
                address @ IpAddr::V4(_) => v4.addresses.push(address),
                address @ IpAddr::V6(_) => v6.addresses.push(address),
            }
        }
        Ok(Self { v4, v6 })
    }

    /// Whether `remote` is of a family that we have an address of. Whoever names source addresses
    /// does not want any other to be used.
    pub(crate) fn has_source_for(&self, remote: IpAddr) -> bool {
        let is_free = self.v4.addresses.is_empty() && self.v6.addresses.is_empty();
        is_free || !self.sources_for(remote).addresses.is_empty()
    }

    /// Connects to the first of the addresses that lets us, until `until`.
    pub(crate) async fn connect(
        &self,
        addresses: &[IpAddr],
        port: u16,
        until: Instant,
    ) -> Result<Reached, TryFailure> {
        let reachable = addresses
            .iter()
            .filter(|&&address| self.has_source_for(address));
        let remotes: Vec<_> = reachable
            .map(|&address| SocketAddr::new(address, port))
            .collect();
        if remotes.is_empty() {
            return Err(TryFailure {
                failure: Failure::ConnectFailed(io::ErrorKind::NetworkUnreachable),
                remote: addresses
                    .first()
                    .map(|&address| SocketAddr::new(address, port)),
            });
        }
        tries::in_turn(&remotes, until, |remote, until| {
            self.connect_within(remote, until)
        })
        .await
    }

    async fn connect_within(
        &self,
        remote: SocketAddr,
        until: Instant,
    ) -> Result<TcpStream, Failure> {
        timeout_at(until, self.connect_to(remote))
            .await
            .unwrap_or(Err(Failure::ConnectTimeout))
    }

    async fn connect_to(&self, remote: SocketAddr) -> Result<TcpStream, Failure> {
        let socket = self
            .socket_to(remote.ip())
            .map_err(|error| failure_of(&error))?;
        let stream = socket
            .connect(remote)
            .await
            .map_err(|error| failure_to(remote, &error))?;
        // What was vetted is what we speak to, whatever a NAT or a local redirect may think.
        match stream.peer_addr() {
            Ok(peer) if peer.ip() == remote.ip() && peer.port() == remote.port() => Ok(stream),
            Ok(_) => Err(Failure::Blocked(None)),
            Err(error) => Err(failure_of(&error)),
        }
    }

    fn socket_to(&self, remote: IpAddr) -> io::Result<TcpSocket> {
        let socket = match self.sources_for(remote).next() {
            Some(source) => bound_socket(source)?,
            None => unbound_socket(remote)?,
        };
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn sources_for(&self, remote: IpAddr) -> &Sources {
        match remote {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        }
    }
}

/// The system binds to any of these, but then chooses itself where to send from, or cannot send.
fn try_out(source: IpAddr) -> io::Result<()> {
    let canonical = source.to_canonical();
    if canonical.is_unspecified() || canonical.is_multicast() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not the address of one machine",
        ));
    }
    bound_socket(canonical).map(drop)
}

fn unbound_socket(family: IpAddr) -> io::Result<TcpSocket> {
    match family {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }
}

fn bound_socket(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = unbound_socket(source)?;
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket)
}

fn failure_to(remote: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        // Not a lack of ports, but of IPv6: a machine without it says so in this way.
        kind @ io::ErrorKind::AddrNotAvailable if remote.is_ipv6() => Failure::ConnectFailed(kind),
        _ => failure_of(error),
    }
}

fn failure_of(error: &io::Error) -> Failure {
    if is_out_of_resources(error) {
        return Failure::Ours(OurFailure::Resources);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectRefused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        kind if crate::wire::is_reset(kind) => Failure::ConnectionReset,
        kind => Failure::ConnectFailed(kind),
    }
}

/// Whether the system has no more file descriptors, ports or memory for us.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    // Numbers, because the standard library has no kinds for them: ENFILE and EMFILE are the same
    // on all systems we know, ENOBUFS is Linux's.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    let is_out_of_files = matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS));
    let is_out_of_ports = matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    );
    is_out_of_files || is_out_of_ports || error.kind() == io::ErrorKind::OutOfMemory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(source: &str) -> String {
        let error = Dialler::new(&[source.parse().unwrap()]).expect_err(source);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        format!("{error}: {cause}")
    }

    #[test]
    fn an_address_that_cannot_be_sent_from_is_named_in_one_line() {
        for source in [
            "192.0.2.1",
            "2001:db8::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "fe80::1",
        ] {
            let text = refusal(source);
            assert!(
                text.starts_with(&format!("cannot send from {source}: ")),
                "{text}"
            );
            assert!(!text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn each_family_has_its_turn() {
        let sources = |addresses: &[&str]| Sources {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            turn: AtomicUsize::new(0),
        };
        let dialler = Dialler {
            v4: sources(&["127.0.0.2", "127.0.0.3"]),
            v6: sources(&["::1"]),
        };
        let [v4, v6] = ["127.0.0.1", "::1"].map(|remote| remote.parse().unwrap());
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(dialler.sources_for(v4).next().unwrap().to_string());
            assert_eq!(dialler.sources_for(v6).next(), Some(v6));
        }
        assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.2"]);
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address() {
        let dialler = Dialler::new(&["::ffff:127.0.0.2".parse().unwrap()]).unwrap();
        assert!(dialler.has_source_for("127.0.0.1".parse().unwrap()));
        assert!(!dialler.has_source_for("::1".parse().unwrap()));
    }

    #[test]
    fn running_out_of_files_is_our_fault() {
        let failure = failure_of(&io::Error::from_raw_os_error(24));
        assert_eq!(failure, Failure::Ours(OurFailure::Resources));
        assert!(failure.is_ours());
    }

    #[test]
    fn a_machine_without_ipv6_is_not_out_of_ports() {
        let error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let [v4, v6] = ["192.0.2.1:1", "[2001:db8::1]:1"].map(|remote| remote.parse().unwrap());
        assert!(failure_to(v4, &error).is_ours());
        assert!(!failure_to(v6, &error).is_ours());
    }
}
