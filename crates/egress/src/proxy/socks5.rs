//! SOCKS version 5 (RFC 1928), with a user name and password if there are any (RFC 1929).
//!
//! What a reply says about the target, so that it counts as the target's failure: network
//! unreachable (3), host unreachable (4), connection refused (5), TTL expired (6, which servers use
//! for a target that does not answer), address type not supported (8, a server without IPv6).
//! Everything else is the proxy's affair, a general failure (1) too.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::options::Credentials;
use super::send;
use crate::failure::{Failure, ProxyFailure};

const VERSION: u8 = 5;
const AUTHENTICATION_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const SUCCEEDED: u8 = 0;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const PORT_BYTES: usize = 2;

/// Asks the proxy at the other end of `tcp` for a tunnel to `target`.
pub(super) async fn open(
    tcp: &mut TcpStream,
    target: SocketAddr,
    credentials: Option<&Credentials>,
    until: Instant,
) -> Result<(), Failure> {
    let asking = async {
        greet(tcp, credentials).await?;
        send(tcp, &request(target)).await
    };
    timeout_at(until, asking)
        .await
        .unwrap_or(Err(ProxyFailure::TimedOut))?;
    let [version] = timeout_at(until, receive(tcp))
        .await
        .map_err(|_| Failure::ConnectTimeout)??;
    timeout_at(until, read_reply(tcp, version))
        .await
        .unwrap_or(Err(ProxyFailure::TimedOut.into()))
}

/// Agrees with the proxy on who we are.
async fn greet(tcp: &mut TcpStream, credentials: Option<&Credentials>) -> Result<(), ProxyFailure> {
    match credentials {
        None => send(tcp, &[VERSION, 1, NO_AUTHENTICATION]).await?,
        Some(_) => send(tcp, &[VERSION, 2, NO_AUTHENTICATION, USERNAME_PASSWORD]).await?,
    }
    match (receive(tcp).await?, credentials) {
        ([VERSION, NO_AUTHENTICATION], _) => Ok(()),
        ([VERSION, USERNAME_PASSWORD], Some(credentials)) => authenticate(tcp, credentials).await,
        ([VERSION, NOTHING_ACCEPTABLE], _) => Err(ProxyFailure::Credentials),
        _ => Err(ProxyFailure::Malformed),
    }
}

async fn authenticate(tcp: &mut TcpStream, credentials: &Credentials) -> Result<(), ProxyFailure> {
    let mut message = vec![AUTHENTICATION_VERSION];
    for text in [&credentials.username, &credentials.password] {
        let length = u8::try_from(text.len()).expect("checked when the URL was read");
        message.push(length);
        message.extend_from_slice(text);
    }
    send(tcp, &message).await?;
    match receive(tcp).await? {
        [AUTHENTICATION_VERSION, SUCCEEDED] => Ok(()),
        [AUTHENTICATION_VERSION, _] => Err(ProxyFailure::Credentials),
        _ => Err(ProxyFailure::Malformed),
    }
}

fn request(target: SocketAddr) -> Vec<u8> {
    let mut message = vec![VERSION, CONNECT, 0];
    match target.ip() {
        IpAddr::V4(address) => {
            message.push(IPV4);
            message.extend(address.octets());
        }
        IpAddr::V6(address) => {
            message.push(IPV6);
            message.extend(address.octets());
        }
    }
    message.extend(target.port().to_be_bytes());
    message
}

async fn read_reply(tcp: &mut TcpStream, version: u8) -> Result<(), Failure> {
    if version != VERSION {
        return Err(ProxyFailure::Malformed.into());
    }
    let [reply] = receive(tcp).await?;
    if reply != SUCCEEDED {
        return Err(failure_of(reply));
    }
    // Where the proxy sends from, which is of no interest; the bytes after it are the target's.
    let [_reserved, kind] = receive(tcp).await?;
    let address_bytes = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(receive::<1>(tcp).await?[0]),
        _ => return Err(ProxyFailure::Malformed.into()),
    };
    let mut rest = [0; u8::MAX as usize + PORT_BYTES];
    tcp.read_exact(&mut rest[..address_bytes + PORT_BYTES])
        .await
        .map_err(|_| ProxyFailure::Closed)?;
    Ok(())
}

/// RFC 1928, section 6.
fn failure_of(reply: u8) -> Failure {
    match reply {
        2 => ProxyFailure::Forbidden.into(),
        3 => Failure::ConnectFailed(io::ErrorKind::NetworkUnreachable),
        4 => Failure::ConnectFailed(io::ErrorKind::HostUnreachable),
        5 => Failure::ConnectRefused,
        6 => Failure::ConnectTimeout,
        8 => Failure::ConnectFailed(io::ErrorKind::Unsupported),
        other => ProxyFailure::Reply(other).into(),
    }
}

async fn receive<const BYTES: usize>(tcp: &mut TcpStream) -> Result<[u8; BYTES], ProxyFailure> {
    let mut bytes = [0; BYTES];
    match tcp.read_exact(&mut bytes).await {
        Ok(_) => Ok(bytes),
        Err(_) => Err(ProxyFailure::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_address() {
        let [v4, v6] = ["93.184.216.34:443", "[2001:db8::1]:80"].map(|text| text.parse().unwrap());
        assert_eq!(request(v4), [5, 1, 0, 1, 93, 184, 216, 34, 1, 187]);
        assert_eq!(
            request(v6),
            [
                5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80
            ]
        );
    }

    #[test]
    fn a_reply_is_about_the_target_or_about_the_proxy() {
        let ours: Vec<_> = (1..=9)
            .filter(|&reply| failure_of(reply).is_ours())
            .collect();
        assert_eq!(ours, [1, 2, 7, 9]);
        assert_eq!(failure_of(5), Failure::ConnectRefused);
        assert_eq!(failure_of(1).code(), "proxy_error");
    }
}
