//! Whom the collector is trusted by: the platform's roots, or `OTEL_EXPORTER_OTLP_CERTIFICATE`.

use std::time::Duration;

use anyhow::Context as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// For gRPC, if the endpoint is `https`.
pub(super) fn grpc(signal: &str) -> anyhow::Result<ClientTlsConfig> {
    let config = ClientTlsConfig::new();
    Ok(match certificate(signal)? {
        Some((_, pem)) => config.ca_certificate(Certificate::from_pem(pem)),
        None => config.with_native_roots(),
    })
}

/// For HTTP, plain or not as the endpoint says.
pub(super) fn http_client(
    signal: &str,
) -> anyhow::Result<HyperClient<HttpsConnector<HttpConnector>>> {
    let builder = HttpsConnectorBuilder::new();
    let provider = ring::default_provider();
    let builder = match certificate(signal)? {
        None => builder
            .with_provider_and_native_roots(provider)
            .context("there are no certificates of authorities on this machine")?,
        Some((name, pem)) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate.map(|certificate| roots.add(certificate));
                added
                    .with_context(|| name.clone())?
                    .with_context(|| name.clone())?;
            }
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            builder.with_tls_config(config)
        }
    };
    let connector = builder.https_or_http().enable_http1().build();
    Ok(HyperClient::new(connector, timeout(signal), None))
}

/// The file with the only authorities to trust, and which variable names it.
fn certificate(signal: &str) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let Some((name, path)) = variable(signal, CERTIFICATE) else {
        return Ok(None);
    };
    let named = format!("{name}={path}");
    let pem = std::fs::read(&path).with_context(|| named.clone())?;
    Ok(Some((named, pem)))
}

/// The exporter reads it, too, and holds only itself to it.
fn timeout(signal: &str) -> Duration {
    let told = variable(signal, TIMEOUT).and_then(|(_, millis)| millis.parse().ok());
    told.map_or(TIMEOUT_DEFAULT, Duration::from_millis)
}

/// The signal's own variable, or the one for all.
fn variable(signal: &str, name: &str) -> Option<(String, String)> {
    let own = name.replace("OTLP_", &format!("OTLP_{signal}_"));
    [own, name.to_owned()].into_iter().find_map(|name| {
        let value = std::env::var(&name)
            .ok()
            .filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}
