//! Small forward proxies on loopback.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tidings_egress::{EgressOptions, ProxyOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use crate::support::{Server, field, read_request};

/// Both kinds.
pub(crate) const KINDS: [Kind; 2] = [Kind::HttpConnect, Kind::Socks5];

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    HttpConnect,
    Socks5,
}

impl Kind {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::HttpConnect => "http",
            Self::Socks5 => "socks5",
        }
    }
}

/// What a proxy was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// As it stands in the request.
    pub(crate) target: String,
    /// Who asked.
    pub(crate) from: IpAddr,
}

/// A proxy that does as it is asked, and says when a target refuses.
pub(crate) struct Proxy {
    pub(crate) server: Server,
    kind: Kind,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_for(kind, None).await
    }

    /// A proxy that wants to know who asks: `user` with `p@ss:/word`.
    pub(crate) async fn with_credentials(kind: Kind) -> Self {
        Self::start_for(kind, Some(("user", "p@ss:/word"))).await
    }

    async fn start_for(kind: Kind, credentials: Option<(&'static str, &'static str)>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&asked);
        // Not the address of the other servers, so that a policy can tell them apart.
        let address = IpAddr::from([127, 0, 0, 5]);
        let server = Server::start_on(address, move |mut stream, _| {
            let book = Arc::clone(&book);
            async move {
                let asked_for = match kind {
                    Kind::HttpConnect => read_connect(&mut stream, credentials).await?,
                    Kind::Socks5 => read_socks(&mut stream, credentials).await?,
                };
                let Some(target) = asked_for else {
                    return Ok(());
                };
                let from = stream.peer_addr()?.ip();
                book.lock().expect("no panic").push(Asked {
                    target: target.clone(),
                    from,
                });
                tunnel(stream, kind, &target).await
            }
        })
        .await;
        Self {
            server,
            kind,
            asked,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }

    pub(crate) fn options(&self) -> ProxyOptions {
        options_for(self.kind, "", self.server.addr)
    }

    pub(crate) fn options_with(&self, credentials: &str) -> ProxyOptions {
        options_for(self.kind, &format!("{credentials}@"), self.server.addr)
    }
}

fn options_for(kind: Kind, userinfo: &str, addr: SocketAddr) -> ProxyOptions {
    format!("{}://{userinfo}{addr}", kind.scheme())
        .parse()
        .expect("a proxy URL")
}

/// `options` with a server of this kind as proxy.
pub(crate) fn through(server: &Server, kind: Kind, options: EgressOptions) -> EgressOptions {
    EgressOptions {
        proxy: Some(options_for(kind, "", server.addr)),
        ..options
    }
}

async fn tunnel(mut stream: TcpStream, kind: Kind, target: &str) -> io::Result<()> {
    // Whoever asks for a name instead of an address is not served.
    let target: SocketAddr = target.parse().expect("an address");
    let connected = TcpStream::connect(target).await;
    let answer: &[u8] = match (kind, &connected) {
        (Kind::HttpConnect, Ok(_)) => b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n",
        (Kind::HttpConnect, Err(_)) => b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        (Kind::Socks5, Ok(_)) => &[5, 0, 0, 1, 127, 0, 0, 5, 0, 80],
        (Kind::Socks5, Err(_)) => &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
    };
    stream.write_all(answer).await?;
    if let Ok(mut connected) = connected {
        copy_bidirectional(&mut stream, &mut connected).await?;
    }
    Ok(())
}

async fn read_connect(
    stream: &mut TcpStream,
    credentials: Option<(&str, &str)>,
) -> io::Result<Option<String>> {
    let Some(request) = read_request(stream).await? else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&request);
    let given = head
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
    // user:p@ss:/word
    let wanted = credentials.map(|_| "dXNlcjpwQHNzOi93b3Jk");
    if wanted.is_some() && given != wanted {
        stream
            .write_all(b"HTTP/1.1 407 Who are you\r\nContent-Length: 7\r\n\r\ngo away")
            .await?;
        return Ok(None);
    }
    let (method, rest) = head.split_once(' ').expect("a request line");
    assert_eq!(method, "CONNECT");
    let target = rest.split(' ').next().expect("a target").to_owned();
    assert_eq!(field(&head.to_lowercase(), "host"), Some(target.as_str()));
    Ok(Some(target))
}

async fn read_socks(
    stream: &mut TcpStream,
    credentials: Option<(&str, &str)>,
) -> io::Result<Option<String>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut methods = vec![0; usize::from(head[1])];
    stream.read_exact(&mut methods).await?;
    let wanted = if credentials.is_some() { 2 } else { 0 };
    if head[0] != 5 || !methods.contains(&wanted) {
        stream.write_all(&[5, 0xff]).await?;
        return Ok(None);
    }
    stream.write_all(&[5, wanted]).await?;
    if let Some((username, password)) = credentials {
        assert_eq!(stream.read_u8().await?, 1);
        let given = (read_text(stream).await?, read_text(stream).await?);
        let is_known = given == (username.to_owned(), password.to_owned());
        stream.write_all(&[1, u8::from(!is_known)]).await?;
        if !is_known {
            return Ok(None);
        }
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let address = match request {
        [5, 1, 0, 1] => IpAddr::V4(Ipv4Addr::from_bits(stream.read_u32().await?)),
        [5, 1, 0, 4] => IpAddr::V6(Ipv6Addr::from_bits(stream.read_u128().await?)),
        other => panic!("not asked for an address: {other:?}"),
    };
    let port = stream.read_u16().await?;
    Ok(Some(SocketAddr::new(address, port).to_string()))
}

async fn read_text(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).expect("text"))
}
