//! The scripts of docker-compose.yml do what they should: keys and a token are made once, the broker
//! is laid out, and services start with what they find. No container runs here.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tidings_testkit::{NatsServer, Process, SyncInterval, target_bin};

use crate::client::{Http, post};
use crate::event::event;
use crate::platform::{SOON, Service};

/// Making secrets asks no broker.
const NOWHERE: &str = "nats://127.0.0.1:1";

/// Runs a script of `deploy/compose` with its secrets in `folder`.
fn run(script: &str, folder: &Path, nats_url: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = package.join("../deploy/compose").join(script);
    let tidings = target_bin("tidings");
    let programs = tidings.parent().expect("it lies in a folder").display();
    let search = std::env::var("PATH").expect("there is a PATH");
    let output = Command::new("/bin/sh")
        .arg(path)
        .env("PATH", format!("{programs}:{search}"))
        .env("SECRETS", folder)
        .env("TIDINGS_NATS_URL", nats_url)
        .env("TIDINGS_STORAGE", "256MiB")
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}

struct Secrets(TempDir);

impl Secrets {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(name));
        text.unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

#[tokio::test]
async fn keys_and_a_token_are_made_once_and_services_start_with_them() {
    let secrets = Secrets(tempfile::tempdir().unwrap());
    std::fs::create_dir(secrets.path("nats")).unwrap();
    run("secrets.sh", secrets.0.path(), NOWHERE);
    let names = [
        "operator/nats.nk",
        "ingest/nats.nk",
        "sender-default/sealing.keys",
    ];
    let before = names.map(|name| secrets.read(name));

    let nats = NatsServer::builder()
        .sync_interval(SyncInterval::Always)
        .config(&secrets.read("nats/users.conf"))
        .start()
        .await;
    run("provision.sh", secrets.0.path(), &nats.url());
    let token = secrets.read("operator/admin-token");
    let token = token.trim();
    assert!(token.starts_with("tdg_"), "{token}");

    // As after `docker compose down` and `up`.
    run("secrets.sh", secrets.0.path(), NOWHERE);
    run("provision.sh", secrets.0.path(), &nats.url());
    assert_eq!(names.map(|name| secrets.read(name)), before);
    assert_eq!(secrets.read("operator/admin-token").trim(), token);

    let process = Process::launch(target_bin("tidings-ingest"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--nats-url",
            &nats.url(),
            "--nats-nkey",
        ])
        .arg(secrets.path("ingest/nats.nk"))
        .env("NO_COLOR", "1")
        .start();
    let (ingest, http) = (Service { process }, Http::new());
    ingest.until_ready(&http).await;
    let bearer = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &bearer),
    ];
    let url = ingest.url("/v1/events").await;
    let sent = post(&url, &headers, event("Entry.publish").json());
    http.send(sent).await.unwrap().expect(202);

    healthcheck(&ingest.url("/readyz").await, true).await;
    healthcheck(&ingest.url("/nothing").await, false).await;
    ingest.terminate().await;
    healthcheck("http://127.0.0.1:1/readyz", false).await;
}

/// `tidings healthcheck` ends well if the service is.
async fn healthcheck(url: &str, is_well: bool) {
    let check = Process::launch(target_bin("tidings"))
        .args(["healthcheck", url])
        .start();
    let status = check.wait(SOON).await;
    assert_eq!(status.success(), is_well, "{url}: {}", check.log());
}
