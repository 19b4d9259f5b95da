//! Which proxy: what its URL says.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::guard::Host;

/// The operator's proxy, read from `http://[user:password@]host:port` (HTTP CONNECT) or
/// `socks5://[user:password@]host:port`.
///
/// User name and password are percent-encoded; those for SOCKS have at most 255 bytes. The way to
/// the proxy is not encrypted, so neither are they. A host name is asked of the same name servers
/// as the targets' names, and is a full name: no search domains, no hosts file. An HTTP proxy has to
/// allow CONNECT to the ports of `http` targets as well; many allow it to 443 only.
///
/// Shows itself without user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyOptions {
    pub(super) protocol: Protocol,
    pub(super) host: ProxyHost,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    HttpConnect,
    Socks5,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum ProxyHost {
    Literal(IpAddr),
    Name(String),
}

/// Without `Debug`, which would show them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: Vec<u8>,
    pub(super) password: Vec<u8>,
}

/// What is wrong with a proxy's URL. The texts repeat nothing of it, because it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// There is no `://`.
    #[error("the proxy URL has no scheme, it begins with http:// or socks5://")]
    NoScheme,
    /// Another scheme.
    #[error("the proxy URL's scheme is neither http nor socks5")]
    Scheme,
    /// TLS to the proxy itself.
    #[error("the proxy URL's scheme is https, but the way to a proxy is not encrypted: write http")]
    Https,
    /// SOCKS with names.
    #[error("the proxy URL's scheme is socks5h, but no proxy resolves names for us: write socks5")]
    Socks5h,
    /// There is more after the port.
    #[error(
        "the proxy URL goes on after the port \
         (in a user name or password write / as %2F, ? as %3F and # as %23)"
    )]
    Rest,
    /// A `%` without two hexadecimal digits.
    #[error("the proxy URL has a % without two hexadecimal digits after it (write % as %25)")]
    Escape,
    /// Not what RFC 7617 allows.
    #[error("the proxy URL's user name or password has a control character, or the name a colon")]
    BasicCredentials,
    /// Not what RFC 1929 allows.
    #[error(
        "the proxy URL's user name has to be 1 to 255 bytes long for SOCKS, its password at most 255"
    )]
    SocksCredentials,
    /// There is no host.
    #[error("the proxy URL has no host")]
    NoHost,
    /// The host is not one.
    #[error("the proxy URL's host is neither a name nor an address")]
    Host,
    /// There is no port.
    #[error("the proxy URL has no port, write it after the host: host:3128")]
    NoPort,
    /// The port is not one.
    #[error("the proxy URL's port is not a number from 1 to 65535")]
    Port,
}

impl FromStr for ProxyOptions {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(ProxyUrlError::NoScheme)?;
        let protocol = Protocol::from_scheme(scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyUrlError::Rest);
        }
        let (credentials, host_and_port) = match authority.rsplit_once('@') {
            Some((credentials, rest)) => (Some(read_credentials(credentials, protocol)?), rest),
            None => (None, authority),
        };
        let (host, port) = read_host_and_port(host_and_port)?;
        Ok(Self {
            protocol,
            host,
            port,
            credentials,
        })
    }
}

impl Protocol {
    fn from_scheme(scheme: &str) -> Result<Self, ProxyUrlError> {
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(Self::HttpConnect),
            "socks5" => Ok(Self::Socks5),
            "https" => Err(ProxyUrlError::Https),
            "socks5h" => Err(ProxyUrlError::Socks5h),
            _ => Err(ProxyUrlError::Scheme),
        }
    }
}

fn read_credentials(text: &str, protocol: Protocol) -> Result<Credentials, ProxyUrlError> {
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    let credentials = Credentials {
        username: percent_decode(username)?,
        password: percent_decode(password)?,
    };
    let Credentials { username, password } = &credentials;
    match protocol {
        Protocol::HttpConnect => {
            let has_control = |text: &[u8]| text.iter().any(u8::is_ascii_control);
            if has_control(username) || has_control(password) || username.contains(&b':') {
                return Err(ProxyUrlError::BasicCredentials);
            }
        }
        Protocol::Socks5 => {
            if !(1..=255).contains(&username.len()) || password.len() > 255 {
                return Err(ProxyUrlError::SocksCredentials);
            }
        }
    }
    Ok(credentials)
}

fn percent_decode(text: &str) -> Result<Vec<u8>, ProxyUrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next())? << 4 | hex_digit(bytes.next())?,
            _ => byte,
        });
    }
    Ok(decoded)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, ProxyUrlError> {
    byte.and_then(|byte| char::from(byte).to_digit(16))
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(ProxyUrlError::Escape)
}

fn read_host_and_port(text: &str) -> Result<(ProxyHost, u16), ProxyUrlError> {
    // The last colon may be one inside of brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if host.is_empty() {
        return Err(ProxyUrlError::NoHost);
    }
    let host = match Host::of(host) {
        Ok(Host::Literal(address)) => ProxyHost::Literal(address),
        Ok(Host::Name(name)) => ProxyHost::Name(name.to_owned()),
        Err(_) => return Err(ProxyUrlError::Host),
    };
    let port = port
        .filter(|port| !port.is_empty())
        .ok_or(ProxyUrlError::NoPort)?;
    match port.parse() {
        Ok(number) if number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok((host, number))
        }
        _ => Err(ProxyUrlError::Port),
    }
}

impl fmt::Display for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::HttpConnect => "http",
            Protocol::Socks5 => "socks5",
        };
        match &self.host {
            ProxyHost::Literal(IpAddr::V6(address)) => {
                write!(f, "{scheme}://[{address}]:{}", self.port)
            }
            ProxyHost::Literal(address) => write!(f, "{scheme}://{address}:{}", self.port),
            ProxyHost::Name(name) => write!(f, "{scheme}://{name}:{}", self.port),
        }
    }
}

impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyOptions({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<ProxyOptions, ProxyUrlError> {
        url.parse()
    }

    #[test]
    fn a_proxy_is_read_from_its_url() {
        for (url, shown) in [
            ("http://127.0.0.1:3128", "http://127.0.0.1:3128"),
            ("HTTP://proxy.example:1/", "http://proxy.example:1"),
            ("socks5://[::1]:1080", "socks5://[::1]:1080"),
            ("socks5://squid.:65535", "socks5://squid:65535"),
            ("http://user:pass@proxy:8080", "http://proxy:8080"),
        ] {
            let options = read(url).expect(url);
            assert_eq!(options.to_string(), shown);
            assert_eq!(options.credentials.is_some(), url.contains('@'));
        }
    }

    #[test]
    fn credentials_are_percent_decoded() {
        for (url, username, password) in [
            ("http://u:p@h:1", "u", "p"),
            ("http://u%40x:a%2Fb%3a%25@h:1", "u@x", "a/b:%"),
            ("http://u:p:q@r@h:1", "u", "p:q@r"),
            ("http://:token@h:1", "", "token"),
            ("socks5://u@h:1", "u", ""),
        ] {
            let credentials = read(url).expect(url).credentials.expect(url);
            assert_eq!(credentials.username, username.as_bytes(), "{url}");
            assert_eq!(credentials.password, password.as_bytes(), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        use ProxyUrlError as Wrong;
        let long = format!("socks5://{}:p@h:1", "u".repeat(256));
        for (url, expected) in [
            ("", Wrong::NoScheme),
            ("proxy:3128", Wrong::NoScheme),
            ("ftp://proxy:3128", Wrong::Scheme),
            ("://proxy:3128", Wrong::Scheme),
            ("socks4://proxy:3128", Wrong::Scheme),
            ("https://proxy:3128", Wrong::Https),
            ("socks5h://proxy:3128", Wrong::Socks5h),
            ("http://proxy:3128/path", Wrong::Rest),
            ("http://proxy:3128?a", Wrong::Rest),
            ("http://u:a/b@proxy:3128", Wrong::Rest),
            ("http://u:50%@proxy:3128", Wrong::Escape),
            ("http://u:%zz@proxy:3128", Wrong::Escape),
            ("http://u:%0a@proxy:3128", Wrong::BasicCredentials),
            ("http://u%3A:p@proxy:3128", Wrong::BasicCredentials),
            ("socks5://:p@proxy:3128", Wrong::SocksCredentials),
            (&long, Wrong::SocksCredentials),
            ("http://", Wrong::NoHost),
            ("http://:3128", Wrong::NoHost),
            ("http://u:p@:3128", Wrong::NoHost),
            ("http://a b:3128", Wrong::Host),
            ("http://::1:3128", Wrong::Host),
            ("http://[::1", Wrong::Host),
            ("http://127.1:3128", Wrong::Host),
            ("http://proxy", Wrong::NoPort),
            ("http://proxy:", Wrong::NoPort),
            ("http://[::1]", Wrong::NoPort),
            ("http://proxy:0", Wrong::Port),
            ("http://proxy:65536", Wrong::Port),
            ("http://proxy:+80", Wrong::Port),
            ("http://proxy:3128\n", Wrong::Port),
        ] {
            assert_eq!(read(url), Err(expected), "{url}");
            assert!(!expected.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let options = read("socks5://user:hunter2@proxy:1080").unwrap();
        for text in [format!("{options:?}"), format!("{options}")] {
            assert!(
                !text.contains("hunter2") && !text.contains("user"),
                "{text}"
            );
        }
    }
}
