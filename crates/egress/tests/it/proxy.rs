//! Requests through a forward proxy: the same policy, the same TLS, another way.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rcgen::CertificateParams;
use tidings_core::address::AddressPolicy;
use tidings_egress::{EgressClient, EgressError, EgressOptions};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use crate::dns::{Dns, LOCAL, PRIVATE, addresses};
use crate::proxies::{KINDS, Proxy};
use crate::support::{End, OK_EMPTY, Server, field, loopback, outcome, post, read_request, send};
use crate::tls::{Authority, server_config};

/// Endpoints may be at 127.0.0.1 and at `::1`. The proxy is at neither.
fn policy() -> AddressPolicy {
    AddressPolicy {
        allow: ["127.0.0.1/32", "::1/128"]
            .map(|network| network.parse().expect("a network"))
            .into(),
        ..AddressPolicy::default()
    }
}

fn options(proxy: &Proxy) -> EgressOptions {
    EgressOptions {
        addresses: policy(),
        proxy: Some(proxy.options()),
        ..loopback()
    }
}

fn client(options: EgressOptions) -> EgressClient {
    EgressClient::new(options).expect("a client")
}

fn targets(proxy: &Proxy) -> Vec<String> {
    proxy
        .asked()
        .into_iter()
        .map(|asked| asked.target)
        .collect()
}

#[tokio::test]
async fn a_request_goes_through_the_proxy_to_the_endpoint() {
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&requests);
        let server = Server::start(move |mut stream, _| {
            let book = Arc::clone(&book);
            async move {
                while let Some(request) = read_request(&mut stream).await? {
                    book.lock().expect("no panic").push(request);
                    stream.write_all(OK_EMPTY).await?;
                }
                Ok(())
            }
        })
        .await;
        let client = client(options(&proxy));
        let first = send(&client, &server.url()).await;
        assert_eq!(outcome(&first), "200", "{kind:?}: {:?}", first.result);
        assert_eq!(first.remote_addr, Some(server.addr));
        assert!(first.timings.connect.is_some() && !first.connection_reused);
        let second = send(&client, &server.url()).await;
        assert!(
            second.connection_reused,
            "a tunnel is kept like a connection"
        );
        assert_eq!(targets(&proxy), [server.addr.to_string()]);

        let requests = requests.lock().expect("no panic");
        let request = String::from_utf8_lossy(&requests[0]).to_lowercase();
        assert!(
            request.starts_with("post /hook?a=b http/1.1\r\n"),
            "{request}"
        );
        assert_eq!(
            field(&request, "host"),
            Some(server.addr.to_string().as_str())
        );
        assert!(!request.contains("proxy"), "{request}");
    }
}

#[tokio::test]
async fn an_ipv6_endpoint_is_asked_for_by_its_address() {
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let exchange = send(&client(options(&proxy)), "http://[::1]:9/").await;
        assert!(exchange.result.is_err_and(|failure| !failure.is_ours()));
        assert_eq!(targets(&proxy), ["[::1]:9"]);
    }
}

#[tokio::test]
async fn a_proxy_that_asks_who_we_are_is_told() {
    for kind in KINDS {
        let proxy = Proxy::with_credentials(kind).await;
        let server = Server::answering(OK_EMPTY, End::Keep).await;
        for (credentials, expected) in [
            (Some("user:p%40ss%3a%2Fword"), "200"),
            (Some("user:wrong-secret"), "proxy_error"),
            (None, "proxy_error"),
        ] {
            let proxy = match credentials {
                Some(credentials) => proxy.options_with(credentials),
                None => proxy.options(),
            };
            let options = EgressOptions {
                proxy: Some(proxy),
                ..loopback()
            };
            assert!(!format!("{options:?}").contains("secret"));
            let exchange = send(&client(options), &server.url()).await;
            assert_eq!(outcome(&exchange), expected, "{kind:?} {credentials:?}");
            if let Err(failure) = exchange.result {
                assert!(failure.is_ours());
                assert_eq!(
                    failure.to_string(),
                    "not sent: the egress proxy: it wants other credentials than it got"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_ask_who_we_are_need_not_be_told() {
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let server = Server::answering(OK_EMPTY, End::Keep).await;
        let options = EgressOptions {
            proxy: Some(proxy.options_with("user:secret")),
            ..loopback()
        };
        assert_eq!(outcome(&send(&client(options), &server.url()).await), "200");
    }
}

#[tokio::test]
async fn a_forbidden_endpoint_never_gets_to_the_proxy() {
    let dns = Dns::start([
        ("private.example.test", addresses([PRIVATE])),
        ("mixed.example.test", addresses([LOCAL, PRIVATE])),
    ])
    .await;
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let client = client(EgressOptions {
            addresses: policy(),
            proxy: Some(proxy.options()),
            ..dns.options()
        });
        for host in [
            "10.0.0.1",
            "169.254.169.254",
            "[::ffff:10.0.0.1]",
            "0x7f.1",
            "private.example.test",
            "mixed.example.test",
            // The proxy itself.
            "127.0.0.5",
        ] {
            let url = format!("http://{host}:{}/", proxy.server.addr.port());
            let exchange = send(&client, &url).await;
            assert_eq!(outcome(&exchange), "blocked", "{kind:?} {host}");
            assert_eq!(exchange.remote_addr, None);
        }
        assert_eq!(proxy.server.connections(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_here_and_the_proxy_gets_the_address() {
    for kind in KINDS {
        let dns = Dns::start([("hook.example.test", addresses([LOCAL]))]).await;
        let proxy = Proxy::start(kind).await;
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let server = Server::answering(answer, End::Close).await;
        let client = client(EgressOptions {
            proxy: Some(proxy.options()),
            ..dns.options()
        });
        let url = format!("http://hook.example.test:{}/", server.addr.port());
        for _ in 0..3 {
            let exchange = send(&client, &url).await;
            assert_eq!(outcome(&exchange), "200", "{:?}", exchange.result);
            assert!(exchange.timings.connect.is_some());
        }
        // What was looked up and vetted is what was asked for, each time.
        assert_eq!(targets(&proxy), vec![server.addr.to_string(); 3]);
        assert_eq!(dns.queries.load(Ordering::SeqCst), 2, "one A, one AAAA");
    }
}

#[tokio::test]
async fn tls_goes_end_to_end_with_the_name_of_the_endpoint() {
    for kind in KINDS {
        let dns = Dns::start([("hook.example.test", addresses([LOCAL]))]).await;
        let proxy = Proxy::start(kind).await;
        let authority = Authority::new();
        let params = CertificateParams::new(vec!["hook.example.test".to_owned()]).expect("a name");
        let config = server_config(authority.identity(&params), &["http/1.1"]);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (named, names) = tokio::sync::watch::channel(None);
        let server = Server::start(move |stream, _| {
            let (acceptor, named) = (acceptor.clone(), named.clone());
            async move {
                let mut stream = acceptor.accept(stream).await?;
                named.send_replace(stream.get_ref().1.server_name().map(str::to_owned));
                while read_request(&mut stream).await?.is_some() {
                    stream.write_all(OK_EMPTY).await?;
                }
                Ok(())
            }
        })
        .await;
        let client = client(EgressOptions {
            proxy: Some(proxy.options()),
            extra_ca_pem: authority.options().extra_ca_pem,
            ..dns.options()
        });
        let url = format!("https://hook.example.test:{}/", server.addr.port());
        let exchange = send(&client, &url).await;
        assert_eq!(outcome(&exchange), "200", "{kind:?}: {:?}", exchange.result);
        assert!(exchange.timings.tls.is_some());
        assert_eq!(names.borrow().as_deref(), Some("hook.example.test"));
        let by_address = send(&client, &format!("https://{}/", server.addr)).await;
        assert_eq!(outcome(&by_address), "tls_error", "another name");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    for kind in KINDS {
        let other = IpAddr::from([127, 0, 0, 9]);
        let dns = Dns::start([("hook.example.test", addresses([other, LOCAL]))]).await;
        let proxy = Proxy::start(kind).await;
        let server = Server::answering(OK_EMPTY, End::Keep).await;
        let client = client(EgressOptions {
            proxy: Some(proxy.options()),
            ..dns.options()
        });
        let port = server.addr.port();
        let exchange = send(&client, &format!("http://hook.example.test:{port}/")).await;
        assert_eq!(outcome(&exchange), "200", "{kind:?}: {:?}", exchange.result);
        assert_eq!(exchange.remote_addr, Some(server.addr));
        assert_eq!(targets(&proxy).len(), 2);
    }
}

#[tokio::test]
async fn a_proxy_may_have_a_name() {
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let dns = Dns::start([("proxy.example.test", addresses([proxy.server.addr.ip()]))]).await;
        let server = Server::answering(OK_EMPTY, End::Keep).await;
        for (host, expected) in [
            ("proxy.example.test", "200"),
            ("missing.example.test", "proxy_error"),
        ] {
            let url = format!("{}://{host}:{}", kind.scheme(), proxy.server.addr.port());
            let client = client(EgressOptions {
                addresses: policy(),
                proxy: Some(url.parse().expect("a proxy URL")),
                ..dns.options()
            });
            let exchange = send(&client, &server.url()).await;
            assert_eq!(
                outcome(&exchange),
                expected,
                "{host}: {:?}",
                exchange.result
            );
        }
    }
}

#[tokio::test]
async fn the_proxy_is_reached_from_the_source_addresses_in_turn() {
    let sources = [IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3])];
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let server = Server::answering(answer, End::Close).await;
        let client = client(EgressOptions {
            source_addresses: sources.to_vec(),
            ..options(&proxy)
        });
        for turn in 0..4 {
            let exchange = send(&client, &server.url()).await;
            assert_eq!(outcome(&exchange), "200");
            let local = exchange.local_addr.expect("a connection").ip();
            assert_eq!(local, sources[turn % 2]);
        }
        let seen: Vec<_> = proxy.asked().into_iter().map(|asked| asked.from).collect();
        assert_eq!(seen, [sources, sources].concat(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_no_source_address_can_reach_is_refused_at_the_start() {
    let refused = EgressClient::new(EgressOptions {
        source_addresses: vec![LOCAL],
        proxy: Some(
            "socks5://user:secret@[2001:db8::1]:1080"
                .parse()
                .expect("a proxy URL"),
        ),
        ..loopback()
    });
    let error = refused.expect_err("refused");
    assert!(
        matches!(error, EgressError::ProxyFamily { .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "no source address is of the same family as the proxy's address 2001:db8::1"
    );
}

#[tokio::test]
async fn a_big_body_passes_both_ways() {
    let body = "x".repeat(50_000);
    for kind in KINDS {
        let proxy = Proxy::start(kind).await;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n{body}");
        let server = Server::answering(answer, End::Keep).await;
        let request = tidings_egress::OutgoingRequest {
            body: vec![b'y'; 1024 * 1024].into(),
            ..post(&server.url())
        };
        let client = client(options(&proxy));
        let exchange = client.exchange(&request, crate::support::SOON).await;
        assert_eq!(outcome(&exchange), "200", "{kind:?}");
        assert_eq!(exchange.result.expect("a response").body, body);
    }
}
