//! Certificates for receivers: good ones, and each kind that must be refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;

/// What [`TestCert`]s are good for, unless their names say otherwise.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What a server offers unless told otherwise, best first.
const ALPN: [&str; 2] = ["h2", "http/1.1"];

/// An authority of its own that nobody trusts who was not told to. Its files go when it and all
/// its certificates are dropped.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Arc<TempDir>,
}

impl TestCa {
    /// A new authority with a new key.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Tidings test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key()).expect("the values are valid");
        let folder = tempfile::Builder::new()
            .prefix("tidings-tls-")
            .tempdir()
            .expect("the temporary folder can be written to");
        write(&folder.path().join("ca.pem"), &issuer.pem());
        Self {
            issuer,
            folder: Arc::new(folder),
        }
    }

    /// The authority's certificate in PEM, for programs that are told to trust it.
    pub fn pem_path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for `localhost`, `127.0.0.1` and `::1`.
    pub fn valid(&self) -> TestCert {
        self.sign(&params(&LOOPBACK_NAMES))
    }

    /// A certificate for these DNS names and IP addresses.
    pub fn named(&self, names: &[&str]) -> TestCert {
        self.sign(&params(names))
    }

    /// A certificate for somebody else: `wrong.example`.
    pub fn wrong_name(&self) -> TestCert {
        self.named(&["wrong.example"])
    }

    /// A certificate that was good until 2001.
    pub fn expired(&self) -> TestCert {
        let mut params = params(&LOOPBACK_NAMES);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    /// A certificate that will be good from 4000 on.
    pub fn not_yet_valid(&self) -> TestCert {
        let mut params = params(&LOOPBACK_NAMES);
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
        self.sign(&params)
    }

    /// A certificate for loopback that stands for itself and has nothing to do with the authority.
    pub fn self_signed(&self) -> TestCert {
        let key = new_key();
        let certificate = params(&LOOPBACK_NAMES)
            .self_signed(&key)
            .expect("the values are valid");
        TestCert::new(&certificate, key, Arc::clone(&self.folder))
    }

    /// A client that trusts this authority alone and offers these protocols.
    pub fn client_config(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.issuer.der().clone())
            .expect("our own certificate is well formed");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }

    fn sign(&self, params: &CertificateParams) -> TestCert {
        let key = new_key();
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the values are valid");
        TestCert::new(&certificate, key, Arc::clone(&self.folder))
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCa")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A server's certificate and key.
#[derive(Clone)]
pub struct TestCert {
    certificate: CertificateDer<'static>,
    key: Arc<KeyPair>,
    pem_path: PathBuf,
    key_path: PathBuf,
    _folder: Arc<TempDir>,
}

impl TestCert {
    fn new(certificate: &Certificate, key: KeyPair, folder: Arc<TempDir>) -> Self {
        let file = tempfile::Builder::new()
            .prefix("cert-")
            .suffix(".pem")
            .tempfile_in(folder.path())
            .and_then(|file| file.keep().map_err(Into::into));
        let (_, pem_path) = file.expect("the authority's folder can be written to");
        let key_path = pem_path.with_extension("key.pem");
        write(&pem_path, &certificate.pem());
        write(&key_path, &key.serialize_pem());
        let certificate = certificate.der().clone();
        Self {
            certificate,
            key: Arc::new(key),
            pem_path,
            key_path,
            _folder: folder,
        }
    }

    /// The certificate in PEM.
    pub fn pem_path(&self) -> &Path {
        &self.pem_path
    }

    /// The private key in PEM (PKCS 8).
    pub fn key_path(&self) -> &Path {
        &self.key_path
    }

    /// A server with this certificate that offers `h2` and `http/1.1`.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server_config_offering(&ALPN)
    }

    /// A server with this certificate that offers these protocols; with none, no ALPN at all.
    pub fn server_config_offering(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .expect("certificate and key belong together");
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }
}

impl fmt::Debug for TestCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCert")
            .field("pem_path", &self.pem_path)
            .finish_non_exhaustive()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are DNS names or addresses");
    params
        .distinguished_name
        .push(DnType::CommonName, "Tidings test receiver");
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system gives random numbers")
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
}
