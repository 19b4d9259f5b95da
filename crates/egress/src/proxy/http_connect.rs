//! HTTP CONNECT (RFC 9110, section 9.3.6).
//!
//! What an answer other than 2xx says about the target, so that it counts as the target's failure:
//! - 502 and 504, which mean just that: no way to the target, no answer from it in time.
//! - 500, 503 and the rest of 5xx only with a word about the target: `Proxy-Status: …; error=…`
//!   (RFC 9209), `X-Squid-Error: ERR_CONNECT_FAIL …` (Squid answers 503 for each target it cannot
//!   reach), or the reason phrase `Unable to connect` (Tinyproxy's 500).
//!
//! Everything else is the proxy's affair.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Response, Status};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::options::Credentials;
use super::send;
use crate::failure::{Failure, ProxyFailure};

const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
const PIECE_BYTES: usize = 1024;

/// Asks the proxy at the other end of `tcp` for a tunnel to `target`.
pub(super) async fn open(
    tcp: &mut TcpStream,
    target: SocketAddr,
    credentials: Option<&Credentials>,
    until: Instant,
) -> Result<(), Failure> {
    let request = request(target, credentials);
    timeout_at(until, send(tcp, request.as_bytes()))
        .await
        .unwrap_or(Err(ProxyFailure::TimedOut))?;
    let mut head = Vec::new();
    match timeout_at(until, read(tcp, &mut head)).await {
        Ok(answer) => answer?,
        Err(_) if head.is_empty() => Err(Failure::ConnectTimeout),
        Err(_) => Err(ProxyFailure::TimedOut.into()),
    }
}

fn request(target: SocketAddr, credentials: Option<&Credentials>) -> String {
    let authorization = credentials.map_or_else(String::new, |credentials| {
        let pair = [&credentials.username[..], b":", &credentials.password].concat();
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(pair))
    });
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n")
}

/// What the proxy says about the tunnel.
type Answer = Result<(), Failure>;

/// Reads the head of the answer, and not a byte more: the rest is the target's.
async fn read(tcp: &mut TcpStream, head: &mut Vec<u8>) -> Result<Answer, ProxyFailure> {
    let mut piece = [0; PIECE_BYTES];
    while head.len() < HEAD_BYTES_MAX {
        let known = head.len();
        let peeked = tcp
            .peek(&mut piece)
            .await
            .map_err(|_| ProxyFailure::Closed)?;
        if peeked == 0 {
            return Err(ProxyFailure::Closed);
        }
        head.extend_from_slice(&piece[..peeked]);
        let parsed = parse(head)?;
        let taken = match &parsed {
            Some((length, _)) => length.saturating_sub(known),
            None => peeked,
        };
        tcp.read_exact(&mut piece[..taken])
            .await
            .map_err(|_| ProxyFailure::Closed)?;
        if let Some((_, answer)) = parsed {
            return Ok(answer);
        }
    }
    Err(ProxyFailure::Malformed)
}

/// The length of the head and what it says, if it is complete.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Answer)>, ProxyFailure> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(Status::Complete(length)) => Ok(Some((length, meaning(&response)))),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(ProxyFailure::Malformed),
    }
}

fn meaning(response: &Response<'_, '_>) -> Answer {
    Err(match response.code.unwrap_or_default() {
        200..=299 => return Ok(()),
        403 => ProxyFailure::Forbidden.into(),
        // Tinyproxy's answer to the wrong ones is 401.
        401 | 407 => ProxyFailure::Credentials.into(),
        status @ 500..=599 => said_about_target(response)
            .or_else(|| meant_about_target(status))
            .unwrap_or(ProxyFailure::Status(status).into()),
        status => ProxyFailure::Status(status).into(),
    })
}

fn meant_about_target(status: u16) -> Option<Failure> {
    match status {
        502 => Some(UNREACHABLE),
        504 => Some(Failure::ConnectTimeout),
        _ => None,
    }
}

const UNREACHABLE: Failure = Failure::ConnectFailed(io::ErrorKind::HostUnreachable);

fn said_about_target(response: &Response<'_, '_>) -> Option<Failure> {
    let value = |name: &str| {
        let mut headers = response.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(header.value).ok()
    };
    if let Some(failure) = value("proxy-status").and_then(said_by_proxy_status) {
        return Some(failure);
    }
    if let Some(failure) = value("x-squid-error").and_then(said_by_squid) {
        return Some(failure);
    }
    (response.reason == Some("Unable to connect")).then_some(UNREACHABLE)
}

/// RFC 9209, section 2.3.
fn said_by_proxy_status(value: &str) -> Option<Failure> {
    let mut parameters = value.split([';', ',']).map(str::trim);
    match parameters.find_map(|parameter| parameter.strip_prefix("error="))? {
        "connection_refused" => Some(Failure::ConnectRefused),
        "connection_timeout" => Some(Failure::ConnectTimeout),
        "destination_unavailable" | "destination_ip_unroutable" | "connection_terminated" => {
            Some(UNREACHABLE)
        }
        _ => None,
    }
}

/// The name of the error page and the number of the system's error.
fn said_by_squid(value: &str) -> Option<Failure> {
    const ETIMEDOUT: &str = "110";
    const ECONNREFUSED: &str = "111";
    match value.strip_prefix("ERR_CONNECT_FAIL")?.trim() {
        ECONNREFUSED => Some(Failure::ConnectRefused),
        ETIMEDOUT => Some(Failure::ConnectTimeout),
        _ => Some(UNREACHABLE),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn said(head: &str) -> String {
        match parse(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()) {
            Ok(Some((_, Ok(())))) => "open".to_owned(),
            Ok(Some((_, Err(failure)))) => format!("{} {}", failure.code(), failure.is_ours()),
            Ok(None) => "incomplete".to_owned(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn an_answer_is_about_the_target_or_about_the_proxy() {
        for (head, expected) in [
            ("200 Connection established", "open"),
            ("299 x\r\nContent-Length: 5", "open"),
            ("502 Bad Gateway", "connect_error false"),
            ("504 Gateway Timeout", "connect_timeout false"),
            ("500 Unable to connect", "connect_error false"),
            (
                "503 x\r\nX-Squid-Error: ERR_CONNECT_FAIL 111",
                "connect_refused false",
            ),
            (
                "503 x\r\nX-Squid-Error: ERR_CONNECT_FAIL 110",
                "connect_timeout false",
            ),
            (
                "503 x\r\nX-Squid-Error: ERR_CONNECT_FAIL 113",
                "connect_error false",
            ),
            (
                "503 x\r\nX-Squid-Error: ERR_CANNOT_FORWARD 0",
                "proxy_error true",
            ),
            (
                "503 x\r\nProxy-Status: a; error=connection_refused",
                "connect_refused false",
            ),
            (
                "502 x\r\nproxy-status: a;b=\"c\";error=connection_timeout",
                "connect_timeout false",
            ),
            (
                "503 x\r\nProxy-Status: a; error=connection_limit_reached",
                "proxy_error true",
            ),
            ("500 Internal Server Error", "proxy_error true"),
            ("503 Service Unavailable", "proxy_error true"),
            ("501 Not Implemented", "proxy_error true"),
            ("407 x", "proxy_error true"),
            (
                "403 Forbidden\r\nX-Squid-Error: ERR_ACCESS_DENIED 0",
                "proxy_error true",
            ),
            ("404 x", "proxy_error true"),
            ("302 x\r\nLocation: /", "proxy_error true"),
            ("101 x", "proxy_error true"),
            ("000 x", "proxy_error true"),
        ] {
            assert_eq!(said(head), expected, "{head}");
        }
        assert_eq!(said("20000"), ProxyFailure::Malformed.to_string());
    }

    #[test]
    fn an_incomplete_head_says_nothing_yet() {
        let head = b"HTTP/1.0 200 Connection established\r\nA: b\r\n\r\nrest";
        let length = head.len() - 4;
        for cut in 1..length {
            assert_eq!(parse(&head[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(parse(head), Ok(Some((length, Ok(())))));
    }

    #[tokio::test]
    async fn what_follows_the_head_is_left_to_be_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut proxy, _) = listener.accept().await.unwrap();
        let padding = "x".repeat(PIECE_BYTES * 2);
        let answer = format!("HTTP/1.1 200 OK\r\nPadding: {padding}\r\n\r\nfrom the target");
        let answering = async move {
            let (first, rest) = answer.as_bytes().split_at(7);
            proxy.write_all(first).await.unwrap();
            proxy.write_all(rest).await.unwrap();
            proxy
        };
        let until = Instant::now() + std::time::Duration::from_secs(10);
        let target = "127.0.0.1:9".parse().unwrap();
        let (opened, _proxy) = tokio::join!(open(&mut client, target, None, until), answering);
        assert_eq!(opened, Ok(()));
        let mut rest = [0; 15];
        client.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"from the target");
    }

    #[test]
    fn the_request_names_the_address() {
        let target = "[2001:db8::1]:443".parse().unwrap();
        assert_eq!(
            request(target, None),
            "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"
        );
        let credentials = Credentials {
            username: b"Aladdin".to_vec(),
            password: b"open sesame".to_vec(),
        };
        // RFC 7617, section 2.
        assert!(
            request(target, Some(&credentials))
                .contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n")
        );
    }
}
