//! TLS: whom we trust and what we speak.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::failure::TlsFailure;
use crate::options::EgressError;

/// Servers whose sessions are kept for an abbreviated handshake.
const SESSIONS_MAX: usize = 2048;

/// TLS 1.2 and 1.3 with the platform's roots and those in `extra_ca_pem`.
///
/// # Errors
/// [`EgressError::ExtraCa`] if the extra certificates cannot be read,
/// [`EgressError::NoTrustedRoots`] if there is no root at all. Extra roots are enough: a platform
/// without any is no error then.
pub(crate) fn connector(extra_ca_pem: Option<&[u8]>) -> Result<TlsConnector, EgressError> {
    let extra = extra_ca_pem.map(read_pem).transpose()?.unwrap_or_default();
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(extra, &provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    Ok(TlsConnector::from(Arc::new(config)))
}

fn verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, EgressError> {
    let has_extra = !extra.is_empty();
    Verifier::new_with_extra_roots(extra, Arc::clone(provider)).map_err(|error| match has_extra {
        true => EgressError::ExtraCa {
            reason: error.to_string(),
        },
        false => EgressError::NoTrustedRoots,
    })
}

fn read_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, EgressError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| EgressError::ExtraCa {
            reason: error.to_string(),
        })?;
    match certificates.is_empty() {
        true => Err(EgressError::ExtraCa {
            reason: "no certificate found".to_owned(),
        }),
        false => Ok(certificates),
    }
}

/// What a handshake's error means.
pub(crate) fn failure_of(error: &io::Error) -> TlsFailure {
    match rustls_error(error) {
        Some(rustls) => failure_of_rustls(rustls),
        // An end or a reset of the connection.
        None => TlsFailure::Closed,
    }
}

/// The TLS library's error inside an IO error, if that is its cause.
pub(crate) fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

pub(crate) fn failure_of_rustls(error: &rustls::Error) -> TlsFailure {
    match error {
        rustls::Error::InvalidCertificate(certificate) => failure_of_certificate(certificate),
        rustls::Error::NoCertificatesPresented => TlsFailure::BadCertificate,
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            TlsFailure::ClientCertificateRequired
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::NoApplicationProtocol => TlsFailure::Incompatible,
        rustls::Error::AlertReceived(_) => TlsFailure::Refused,
        rustls::Error::InvalidMessage(_) => TlsFailure::NotTls,
        _ => TlsFailure::Protocol,
    }
}

fn failure_of_certificate(error: &CertificateError) -> TlsFailure {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::WrongName
        }
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
        CertificateError::Revoked => TlsFailure::Revoked,
        _ => TlsFailure::BadCertificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_certificates_that_are_none_are_refused() {
        for pem in [
            "",
            "no pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let error = connector(Some(pem.as_bytes())).err();
            assert!(
                matches!(error, Some(EgressError::ExtraCa { .. })),
                "{pem}: {error:?}"
            );
        }
    }
}
