//! One of our programs as a child process.

use std::time::Duration;

use tidings_testkit::{Launch, Process, eventually, target_bin};

use super::SOON;
use crate::client::{Answer, Http};

const LISTENING: &str = "listening on http://";

/// Longer than the longest drain.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// One of our programs, running. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) process: Process,
}

impl Service {
    /// Starts the binary `name` on a free port.
    pub(super) fn launch(
        name: &str,
        nats_url: &str,
        log: &str,
        args: &[String],
        env: &[(String, String)],
    ) -> Self {
        let launch = Process::launch(target_bin(name))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--nats-url",
                nats_url,
                "--log",
                log,
            ])
            .args(args)
            .env("NO_COLOR", "1");
        let set = |launch: Launch, (name, value): &(String, String)| launch.env(name, value);
        let process = env.iter().fold(launch, set).start();
        Self { process }
    }

    /// Starts `tidings console` on a free port.
    pub(super) fn launch_console(nats_url: &str, log: &str, args: &[&str]) -> Self {
        let own = ["--listen", "127.0.0.1:0", "--nats-url", nats_url];
        let process = Process::launch(target_bin("tidings"))
            .args(["console", "--plain-secrets", "--log", log])
            .args(own)
            .args(args)
            .env("NO_COLOR", "1")
            .start();
        Self { process }
    }

    /// Where it listens since its last start.
    pub(crate) async fn url(&self, path: &str) -> String {
        let line = self.process.wait_for_log(LISTENING, SOON).await;
        let (_, rest) = line
            .split_once(LISTENING)
            .expect("the line was found by it");
        // In a JSON line a quotation mark ends it.
        let address = rest.split(|c: char| c.is_whitespace() || c == '"').next();
        let address = address.expect("an address follows");
        format!("http://{address}{path}")
    }

    /// GETs a page of its listener.
    ///
    /// # Errors
    /// Says why no answer came.
    pub(crate) async fn get(&self, http: &Http, path: &str) -> Result<Answer, String> {
        http.get(&self.url(path).await).await
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn until_ready(&self, http: &Http) {
        self.until_readiness(http, 200).await;
    }

    /// Waits until `/readyz` answers with this status.
    pub(crate) async fn until_readiness(&self, http: &Http, status: u16) {
        let what = format!("{} answers {status} to /readyz", self.process);
        eventually(SOON, &what, async || {
            let answer = self.get(http, "/readyz").await?;
            match answer.status.as_u16() == status {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&answer.body).into_owned()),
            }
        })
        .await;
    }

    /// Waits until it knows what `key` of `bucket` held at `revision`, or something newer.
    pub(super) async fn until_known(&self, bucket: &str, key: &str, revision: u64) {
        let what = format!("{} knows `{key}` of {bucket} at {revision}", self.process);
        eventually(SOON, &what, async || {
            let log = self.process.log();
            log.lines()
                .filter_map(|line| known_revision(line, bucket, key))
                .any(|known| known >= revision)
        })
        .await;
    }

    /// Asks it to end; it must do so cleanly (CONTRACT.md section 2).
    pub(crate) async fn terminate(&self) {
        let status = self.process.terminate(STOPPED_WITHIN).await;
        assert!(status.success(), "{} ended with {status}", self.process);
    }
}

/// Which revision of `key` a line says that the program knows, in whichever form it logs.
fn known_revision(line: &str, bucket: &str, key: &str) -> Option<u64> {
    if line.starts_with('{') {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_meant = line["bucket"] == bucket && line["key"] == key;
        return line["revision"].as_u64().filter(|_| is_meant);
    }
    let applied = format!("bucket=\"{bucket}\" key=\"{key}\" revision=");
    line.split_once(&applied)?.1.trim().parse().ok()
}
