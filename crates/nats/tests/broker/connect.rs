//! Ways to prove who one is, and to make sure who the broker is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tidings_nats::connect::{NatsArgs, connect_within};
use tidings_testkit::{NatsServer, TestCa};

use super::SOON;

/// A refusal shows in nothing but the lack of a connection.
const NOT_AT_ALL: Duration = Duration::from_millis(700);

async fn assert_connects(args: &NatsArgs) {
    let client = connect_within(args, "tidings-test", SOON).await.unwrap();
    client.flush().await.unwrap();
}

async fn assert_refused(args: &NatsArgs) {
    let refused = connect_within(args, "tidings-test", NOT_AT_ALL).await;
    assert!(refused.is_err(), "{args:?}");
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn tls_needs_the_right_authority_and_mutual_tls_a_certificate_of_its_own() {
    let ca = TestCa::new();
    let (own, client) = (ca.valid(), ca.valid());
    let server = NatsServer::builder()
        .config(&format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
            own.pem_path(),
            own.key_path(),
            ca.pem_path()
        ))
        .start()
        .await;
    let stranger = TestCa::new();
    let args = NatsArgs {
        nats_ca: Some(ca.pem_path()),
        nats_cert: Some(client.pem_path().to_path_buf()),
        nats_key: Some(client.key_path().to_path_buf()),
        ..NatsArgs::at(server.url())
    };
    assert_connects(&args).await;
    let scheme = server.url().replace("nats://", "tls://");
    assert_connects(&NatsArgs {
        nats_url: scheme,
        ..args.clone()
    })
    .await;

    assert_refused(&NatsArgs::at(server.url())).await;
    let nobody = NatsArgs {
        nats_cert: None,
        nats_key: None,
        ..args.clone()
    };
    assert_refused(&nobody).await;
    let other = NatsArgs {
        nats_ca: Some(stranger.pem_path()),
        ..args.clone()
    };
    assert_refused(&other).await;
    let foreign = stranger.valid();
    let foreigner = NatsArgs {
        nats_cert: Some(foreign.pem_path().to_path_buf()),
        nats_key: Some(foreign.key_path().to_path_buf()),
        ..args
    };
    assert_refused(&foreigner).await;
}

#[tokio::test]
async fn an_authority_given_means_no_plain_connection() {
    let server = NatsServer::start().await;
    let ca = TestCa::new();
    assert_connects(&NatsArgs::at(server.url())).await;
    let args = NatsArgs {
        nats_ca: Some(ca.pem_path()),
        ..NatsArgs::at(server.url())
    };
    assert_refused(&args).await;
}

#[tokio::test]
async fn a_password_comes_from_a_file_and_its_hash_is_enough_for_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    // bcrypt of `correct horse battery staple`.
    let hash = "$2b$04$LMMrjpHN3tPTxGAcJR4NU.lUWJeaE2rQ5LBG1eyDODvuksa1APmjO";
    let server = NatsServer::builder()
        .config(&format!(
            "authorization {{ users: [{{ user: acme, password: \"{hash}\" }}] }}"
        ))
        .start()
        .await;
    let with = |password: &str| NatsArgs {
        nats_user: Some("acme".to_owned()),
        nats_password_file: Some(file(folder.path(), "password", password)),
        ..NatsArgs::at(server.url())
    };
    assert_connects(&with("correct horse battery staple\n")).await;
    assert_refused(&with("wrong")).await;
    assert_refused(&NatsArgs::at(server.url())).await;
}

#[tokio::test]
async fn credentials_files_of_an_operator_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let [operator, account] = [KeyPair::new_operator(), KeyPair::new_account()];
    let [user, stranger] = [KeyPair::new_user(), KeyPair::new_account()];
    let operator_jwt = jwt(&operator, &operator, "operator", json!({}));
    let account_jwt = jwt(
        &operator,
        &account,
        "account",
        json!({ "limits": UNLIMITED.clone() }),
    );
    let server = NatsServer::builder()
        .without_jetstream()
        .config(&format!(
            "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}",
            account.public_key()
        ))
        .start()
        .await;
    let creds = |issuer: &KeyPair| {
        let token = jwt(
            issuer,
            &user,
            "user",
            json!({ "subs": -1, "data": -1, "payload": -1 }),
        );
        let seed = user.seed().unwrap();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        NatsArgs {
            nats_creds: Some(file(folder.path(), "tidings.creds", &text)),
            ..NatsArgs::at(server.url())
        }
    };
    assert_connects(&creds(&account)).await;
    assert_refused(&creds(&stranger)).await;
}

static UNLIMITED: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| {
    json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1 })
});

/// A claim of `issuer` about `subject`, as NATS's own tools make them.
fn jwt(issuer: &KeyPair, subject: &KeyPair, kind: &str, mut nats: Value) -> String {
    nats["type"] = json!(kind);
    nats["version"] = json!(2);
    let claims = json!({
        "jti": "T",
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "name": kind,
        "sub": subject.public_key(),
        "nats": nats,
    });
    let encode = |value: &Value| BASE64.encode(value.to_string());
    let header = encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let signed = format!("{header}.{}", encode(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64.encode(signature))
}
