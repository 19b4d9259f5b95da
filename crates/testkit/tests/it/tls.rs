use http::Version;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidings_testkit::{Receiver, TestCa, TestCert};

use crate::client::{post_http2, tls_connect};

async fn receiver(cert: &TestCert) -> Receiver {
    Receiver::builder().tls(cert.server_config()).start().await
}

/// What a client that trusts the authority says to a certificate.
async fn refusal(ca: &TestCa, cert: &TestCert) -> String {
    let receiver = receiver(cert).await;
    let refused = tls_connect(ca.client_config(&[]), receiver.address().port()).await;
    refused.expect_err("the certificate is refused").to_string()
}

#[tokio::test]
async fn http2_is_agreed_on_over_tls() {
    let ca = TestCa::new();
    let receiver = receiver(&ca.valid()).await;
    let url = receiver.url("/hook");
    assert!(url.starts_with("https://127.0.0.1:"));

    let stream = tls_connect(ca.client_config(&["h2"]), receiver.address().port())
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(post_http2(stream, &url).await, 204);

    let requests = receiver.requests();
    assert_eq!(
        (requests[0].version, requests[0].path()),
        (Version::HTTP_2, "/hook")
    );
}

#[tokio::test]
async fn a_receiver_may_offer_less() {
    let ca = TestCa::new();
    let config = ca.valid().server_config_offering(&["http/1.1"]);
    let receiver = Receiver::builder().tls(config).start().await;

    let client = ca.client_config(&["h2", "http/1.1"]);
    let stream = tls_connect(client, receiver.address().port())
        .await
        .unwrap();

    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn each_bad_certificate_is_refused_for_its_own_reason() {
    let ca = TestCa::new();

    let refusals = [
        (ca.expired(), "expired"),
        (ca.not_yet_valid(), "not valid yet"),
        (ca.wrong_name(), "not valid for name"),
        (ca.self_signed(), "UnknownIssuer"),
        (TestCa::new().valid(), "BadSignature"),
    ];
    for (cert, reason) in refusals {
        let refusal = refusal(&ca, &cert).await;
        assert!(refusal.contains(reason), "{reason}: {refusal}");
    }
}

#[test]
fn the_files_hold_certificates_and_keys_and_outlive_the_authority() {
    let ca = TestCa::new();
    CertificateDer::from_pem_file(ca.pem_path()).unwrap();
    let cert = ca.valid();

    drop(ca);

    CertificateDer::from_pem_file(cert.pem_path()).unwrap();
    PrivateKeyDer::from_pem_file(cert.key_path()).unwrap();
}
