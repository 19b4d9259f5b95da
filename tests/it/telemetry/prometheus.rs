//! Debian's prometheus scrapes the real programs and fires the alerts that we ship.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tidings_testkit::{Process, Receiver, eventually};
use tokio::net::TcpListener;

use super::catalogue::{read, root};
use crate::client::Http;
use crate::event::event;
use crate::platform::{Platform, SOON};

#[tokio::test]
async fn prometheus_scrapes_the_programs_and_fires_alerts() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let prometheus = Prometheus::scraping(&platform).await;
    for _ in 0..3 {
        platform.publish(event("Entry.publish")).await;
    }
    receiver.wait_for(3, SOON).await;

    let delivered = r#"sum(tidings_attempts_total{outcome="delivered"})"#;
    prometheus.until(delivered, "3").await;
    prometheus
        .until("sum(tidings_accepted_events_total)", "3")
        .await;
    prometheus.until("min(tidings_ready)", "1").await;
    let waiting = r#"max(tidings_queue_messages{stream="DELIVERIES", pool="default"})"#;
    prometheus.until(waiting, "0").await;
    eventually(SOON, "no alert is firing", async || {
        let firing = prometheus.firing().await;
        match firing.is_empty() {
            true => Ok(()),
            false => Err(format!("{firing:?} are firing")),
        }
    })
    .await;

    platform.senders[0].terminate().await;

    let expected = ["TidingsDown", "TidingsPoolWithoutSenders"];
    eventually(SOON * 2, "alerts of a pool that died", async || {
        let firing = prometheus.firing().await;
        let is_firing = |alert: &&str| firing.iter().any(|name| name == alert);
        match expected.iter().all(is_firing) {
            true => Ok(()),
            false => Err(format!("{firing:?} are firing")),
        }
    })
    .await;
}

/// A prometheus with our rules, which look often and wait for nothing.
#[derive(Debug)]
struct Prometheus {
    _process: Process,
    _folder: TempDir,
    http: Http,
    url: String,
}

impl Prometheus {
    async fn scraping(platform: &Platform) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, config_for(platform).await).expect("it can be written");
        let rules = read(&root("deploy/prometheus/alerts.yml"));
        let rules: String = rules.lines().map(impatient).collect();
        std::fs::write(folder.path().join("alerts.yml"), rules).expect("it can be written");
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let address = address.and_then(|listener| listener.local_addr());
        let address = address.expect("a port is free");
        let process = Process::launch(binary("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .start();
        let prometheus = Self {
            _process: process,
            _folder: folder,
            http: Http::new(),
            url: format!("http://{address}"),
        };
        eventually(SOON, "prometheus is ready", async || {
            let answer = prometheus
                .http
                .get(&format!("{}/-/ready", prometheus.url))
                .await?;
            match answer.status.is_success() {
                true => Ok(()),
                false => Err(answer.status.to_string()),
            }
        })
        .await;
        prometheus
    }

    /// Waits until a query has this one value.
    async fn until(&self, query: &str, value: &str) {
        let what = format!("{query} is {value}");
        eventually(SOON, &what, async || {
            let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let answer = self.ask(&format!("query?query={encoded}")).await?;
            match answer["data"]["result"][0]["value"][1].as_str() == Some(value) {
                true => Ok(()),
                false => Err(answer.to_string()),
            }
        })
        .await;
    }

    /// The names of the alerts that fire now.
    async fn firing(&self) -> Vec<String> {
        let answer = self.ask("alerts").await.expect("it answers");
        let alerts = answer["data"]["alerts"].as_array();
        let alerts = alerts.expect("there is a list").iter();
        alerts
            .filter(|alert| alert["state"] == "firing")
            .filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned()))
            .collect()
    }

    async fn ask(&self, what: &str) -> Result<Value, String> {
        let answer = self
            .http
            .get(&format!("{}/api/v1/{what}", self.url))
            .await?;
        Ok(answer.json())
    }
}

async fn config_for(platform: &Platform) -> String {
    let mut config = String::from(
        "global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }\n\
         rule_files: [alerts.yml]\n\
         scrape_configs:\n",
    );
    let jobs = [
        ("tidings-ingest", &platform.ingest),
        ("tidings-router", &platform.routers[0]),
        ("tidings-sender", &platform.senders[0]),
    ];
    for (job, service) in jobs {
        let url = service.url("").await;
        let target = url.trim_start_matches("http://");
        config.push_str(&format!(
            "  - {{ job_name: {job}, static_configs: [{{ targets: ['{target}'] }}] }}\n"
        ));
    }
    config
}

/// A rule that waits for minutes waits for a moment.
fn impatient(line: &str) -> String {
    let line = match line.trim_start().starts_with("for: ") {
        true => "        for: 1s",
        false => line,
    };
    format!("{line}\n")
}

/// Runs promtool in the checkout; it must be content.
#[track_caller]
pub(super) fn promtool(arguments: &[&str]) {
    let ran = Command::new(binary("promtool"))
        .args(arguments)
        .current_dir(root(""))
        .output();
    let output = ran.expect("promtool can be run");
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// As tools/prometheus.sh finds it.
fn binary(name: &str) -> PathBuf {
    let own = root(&format!(".tools/prometheus/usr/bin/{name}"));
    if own.is_file() {
        return own;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing; `make test` fetches it"))
}
