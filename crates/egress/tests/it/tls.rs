//! `reference/response-corpus.md`, section F: TLS never gives way.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Version;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tidings_egress::{EgressClient, EgressError, EgressOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::support::{OK_EMPTY, SHORT, Server, loopback, outcome, read_request, send};

/// A certificate authority and what it signs.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A chain and the key of its first certificate.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Trusted")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn identity(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (vec![certificate.der().clone()], key_of(&key))
    }

    /// For 127.0.0.1, valid now.
    pub(crate) fn local_identity(&self) -> Identity {
        self.identity(&local_params())
    }

    pub(crate) fn options(&self) -> EgressOptions {
        EgressOptions {
            extra_ca_pem: Some(self.certificate.pem().into_bytes()),
            tls_timeout: SHORT,
            ..loopback()
        }
    }

    pub(crate) fn client(&self) -> EgressClient {
        EgressClient::new(self.options()).expect("a client")
    }
}

fn key_of(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn local_params() -> CertificateParams {
    CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) fn server_config((chain, key): Identity, alpn: &[&str]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key that fits");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// An HTTP/1.1 server over TLS that answers every request with an empty 200.
pub(crate) async fn https(config: ServerConfig) -> Server {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |stream, _| answer(acceptor.clone(), stream)).await
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    while read_request(&mut stream).await?.is_some() {
        stream.write_all(OK_EMPTY).await?;
    }
    Ok(())
}

pub(crate) fn https_url(server: &Server) -> String {
    format!("https://{}/hook", server.addr)
}

/// Says what a server with this identity comes to, with the reason.
async fn reason(client: &EgressClient, config: ServerConfig) -> String {
    let server = https(config).await;
    let exchange = send(client, &https_url(&server)).await;
    match &exchange.result {
        Ok(response) => response.status.to_string(),
        Err(failure) => format!("{} {failure}", failure.code()),
    }
}

#[tokio::test]
async fn a_certificate_of_an_extra_authority_is_trusted() {
    let authority = Authority::new();
    let client = authority.client();
    let server = https(server_config(authority.local_identity(), &["http/1.1"])).await;
    let first = send(&client, &https_url(&server)).await; // 91 ip_san
    assert_eq!(outcome(&first), "200", "{:?}", first.result);
    assert!(first.timings.tls.is_some());
    assert_eq!(first.http_version, Some(Version::HTTP_11));
    let second = send(&client, &https_url(&server)).await;
    assert!(second.connection_reused && second.timings.tls.is_none());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_bad_certificate_is_a_tls_error() {
    let authority = Authority::new();
    let client = authority.client();
    let mut expired = local_params();
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    let mut not_yet = local_params();
    (not_yet.not_before, not_yet.not_after) =
        (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    let wrong_name = CertificateParams::new(vec!["other.example".to_owned()]).expect("a name");
    let self_signed_key = KeyPair::generate().expect("a key");
    let self_signed = local_params()
        .self_signed(&self_signed_key)
        .expect("a certificate");
    for (name, identity, expected) in [
        (
            "76 expired",
            authority.identity(&expired),
            "tls_error TLS: the certificate has expired",
        ),
        (
            "77 notyet",
            authority.identity(&not_yet),
            "tls_error TLS: the certificate is not valid yet",
        ),
        (
            "wrong name",
            authority.identity(&wrong_name),
            "tls_error TLS: the certificate is not valid for this name",
        ),
        (
            "79 self_signed",
            (vec![self_signed.der().clone()], key_of(&self_signed_key)),
            "tls_error TLS: the certificate's issuer is not trusted",
        ),
        (
            "80 untrusted_root",
            Authority::named("Untrusted").local_identity(),
            "tls_error TLS: the certificate's issuer is not trusted",
        ),
    ] {
        assert_eq!(
            reason(&client, server_config(identity, &[])).await,
            expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_huge_chain_is_a_tls_error() {
    let authority = Authority::new();
    let (mut chain, key) = authority.local_identity();
    let one = chain[0].clone();
    chain.extend(std::iter::repeat_n(one, 3000)); // 87
    let seen = reason(&authority.client(), server_config((chain, key), &[])).await;
    assert!(seen.starts_with("tls_error"), "{seen}");
}

#[tokio::test]
async fn a_client_certificate_is_not_to_be_had() {
    let authority = Authority::new();
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.certificate.der().clone())
        .expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .expect("a verifier");
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        for alpn in ["http/1.1", "h2"] {
            let (chain, key) = authority.local_identity();
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(versions)
                .expect("a version")
                .with_client_cert_verifier(Arc::clone(&verifier))
                .with_single_cert(chain, key)
                .expect("a key that fits");
            config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
            let seen = reason(&authority.client(), config).await; // 89
            assert!(seen.starts_with("tls_error"), "{seen}");
        }
    }
}

#[tokio::test]
async fn the_protocol_is_chosen_by_alpn() {
    let authority = Authority::new();
    let client = authority.client();
    let none = server_config(authority.local_identity(), &[]);
    assert_eq!(reason(&client, none).await, "200 OK"); // 93
    let bogus = server_config(authority.local_identity(), &["foo"]);
    assert!(reason(&client, bogus).await.starts_with("tls_error"));
}

#[tokio::test]
async fn whatever_does_not_speak_tls_is_a_tls_error() {
    let client = Authority::new().client();
    let answers: [(&str, &[u8]); 4] = [
        ("82 tls10_only", b"\x15\x03\x01\x00\x02\x02\x46"),
        ("83 weak_cipher", b"\x15\x03\x03\x00\x02\x02\x28"),
        (
            "plain http",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        ),
        ("close", b""),
    ];
    for (name, answer) in answers {
        let server = Server::start(move |mut stream, _| async move {
            stream.peek(&mut [0]).await?;
            stream.write_all(answer).await?;
            crate::support::finish(stream).await
        })
        .await;
        let exchange = send(&client, &https_url(&server)).await;
        assert_eq!(
            outcome(&exchange),
            "tls_error",
            "{name}: {:?}",
            exchange.result
        );
        assert_eq!(
            server.connections(),
            1,
            "{name}: no second try over plain HTTP"
        );
        assert_eq!(exchange.remote_addr, Some(server.addr));
    }
}

#[tokio::test]
async fn a_handshake_has_a_budget() {
    let client = Authority::new().client();
    let hangs = Server::start(|stream, _| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let drips = Server::start(|mut stream, _| async move {
        // The beginning of a long handshake record, and then byte by byte.
        stream
            .write_all(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
            .await?;
        loop {
            stream.write_all(b"\x03").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for (name, server) in [("85 hangs", hangs), ("86 drip", drips)] {
        let began = Instant::now();
        let exchange = send(&client, &https_url(&server)).await;
        assert_eq!(
            outcome(&exchange),
            "tls_timeout",
            "{name}: {:?}",
            exchange.result
        );
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn an_end_without_notice_after_a_whole_body_is_no_problem() {
    let authority = Authority::new();
    let config = Arc::new(server_config(authority.local_identity(), &[]));
    let server = Server::start(move |stream, _| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut stream = acceptor.accept(stream).await?;
            read_request(&mut stream).await?;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await?;
            stream.flush().await?;
            stream.into_inner().0.shutdown().await
        }
    })
    .await;
    let exchange = send(&authority.client(), &https_url(&server)).await; // 92
    assert_eq!(outcome(&exchange), "200");
    assert_eq!(exchange.result.expect("a response").body, "ok");
}

#[tokio::test]
async fn plain_http_is_never_upgraded_nor_https_downgraded() {
    let authority = Authority::new();
    let server = https(server_config(
        authority.local_identity(),
        &["h2", "http/1.1"],
    ))
    .await;
    let exchange = send(&authority.client(), &server.url()).await;
    assert!(exchange.result.is_err());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn unusable_extra_certificates_stop_the_start() {
    let options = EgressOptions {
        extra_ca_pem: Some(b"no pem".to_vec()),
        ..loopback()
    };
    let refused = EgressClient::new(options).map(drop);
    assert!(
        matches!(refused, Err(EgressError::ExtraCa { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_literal_of_another_address_is_another_name() {
    let authority = Authority::new();
    let params = CertificateParams::new(vec!["127.0.0.2".to_owned()]).expect("a name");
    let server = https(server_config(authority.identity(&params), &[])).await;
    assert_eq!(server.addr.ip(), IpAddr::from([127, 0, 0, 1]));
    assert_eq!(
        outcome(&send(&authority.client(), &https_url(&server)).await),
        "tls_error"
    );
}
