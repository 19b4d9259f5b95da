//! What is documented is what there is: metrics, dashboards, alerts, and what to do about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidings_testkit::{Receiver, eventually};

use super::prometheus::promtool;
use crate::event::event;
use crate::platform::{Platform, SOON};

/// What a node exporter or a kubelet tells, which the alert of the broker's disk needs.
const NOT_OURS: [&str; 4] = [
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
];

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_is_there() {
    // With the broker's permissions that we ship: what a router may not look at it cannot tell of.
    let builder = Platform::builder().least_privilege(["acme"]);
    let platform = builder.start().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let console = platform.console(&["--data-dir", &folder.path().to_string_lossy()]);
    let receiver = Receiver::answering([500, 204]).await;
    platform.webhook(receiver.url("/")).create().await;
    platform.publish(event("Entry.publish")).await;
    let nonsense = platform.post("application/json", &[], "{}").await;
    nonsense.expect(400);
    receiver.wait_for(2, SOON).await;
    platform.assert_settled().await;

    eventually(SOON, "the metrics of docs/metrics.md", async || {
        let mut shown = BTreeSet::new();
        for service in platform.services().chain([&console]) {
            let answer = service.get(&platform.http, "/metrics").await?;
            shown.extend(types_of(&String::from_utf8_lossy(&answer.body)));
        }
        let documented = documented();
        let missing: Vec<_> = documented.difference(&shown).collect();
        let unknown: Vec<_> = shown.difference(&documented).collect();
        match (missing.as_slice(), unknown.as_slice()) {
            ([], []) => Ok(()),
            _ => Err(format!(
                "not shown: {missing:?}; not documented: {unknown:?}"
            )),
        }
    })
    .await;
}

/// The port says how a collector wants to be spoken to; the protocol that is spoken unless told is
/// that of port 4318.
#[test]
fn whoever_is_sent_to_a_collectors_port_for_grpc_is_told_to_speak_it() {
    for path in [
        "docker-compose.yml",
        "deploy/kubernetes/base/kustomization.yaml",
    ] {
        let text = read(&root(path));
        let is_told = text
            .lines()
            .filter_map(|line| line.split_once("OTEL_EXPORTER_OTLP_PROTOCOL"))
            .any(|(_, protocol)| protocol.ends_with("grpc"));
        assert!(!text.contains(":4317") || is_told, "{path}");
    }
}

#[test]
fn every_dashboard_shows_only_metrics_that_there_are() {
    let dashboards = files("deploy/grafana/dashboards", "json");
    assert!(dashboards.len() >= 3, "{dashboards:?}");
    let mut ids = BTreeSet::new();
    for path in dashboards {
        let text = read(&path);
        let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
        let id = dashboard["uid"].as_str().expect("it has an id").to_owned();
        assert!(ids.insert(id), "{path:?} has the id of another one");
        let panels = dashboard["panels"].as_array().expect("it has panels");
        let targets = panels
            .iter()
            .filter_map(|panel| panel["targets"].as_array());
        let expressions: Vec<&str> = targets
            .flatten()
            .filter_map(|target| target["expr"].as_str())
            .collect();
        assert!(expressions.len() > 5, "{path:?}");
        for expression in expressions {
            assert_known(expression, &path);
        }
    }
}

#[test]
fn every_alert_is_of_metrics_that_there_are_and_has_its_entry_in_the_runbook() {
    let path = root("deploy/prometheus/alerts.yml");
    let rules = read(&path);
    assert_known(&rules, &path);
    let runbook = read(&root("docs/runbook.md"));
    let entries: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::to_lowercase)
        .collect();
    let values = |key: &str| -> Vec<String> {
        let lines = rules.lines().filter_map(|line| line.trim().split_once(key));
        lines.map(|(_, value)| value.trim().to_owned()).collect()
    };
    let alerts = values("- alert:");
    assert!(alerts.len() > 10);
    let runbooks: Vec<String> = alerts
        .iter()
        .map(|alert| format!("docs/runbook.md#{}", alert.to_lowercase()))
        .collect();
    assert_eq!(values("runbook:"), runbooks);
    let named: BTreeSet<String> = alerts.iter().map(|alert| alert.to_lowercase()).collect();
    assert_eq!(named, entries, "alerts, and entries of docs/runbook.md");
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    promtool(&["check", "config", "deploy/prometheus/prometheus.yml"]);
    promtool(&["check", "rules", "deploy/prometheus/alerts.yml"]);
    promtool(&["test", "rules", "deploy/prometheus/alerts_test.yml"]);
}

#[test]
fn every_alert_is_fired_by_a_test_of_the_rules() {
    let tests = read(&root("deploy/prometheus/alerts_test.yml"));
    for alert in read(&root("deploy/prometheus/alerts.yml")).lines() {
        if let Some((_, name)) = alert.split_once("- alert:") {
            let fired = format!("runbook: docs/runbook.md#{}", name.trim().to_lowercase());
            assert!(tests.contains(&fired), "no test fires {name}");
        }
    }
}

/// The names in the first column of the tables, as Prometheus calls the metrics' families.
fn documented() -> BTreeSet<String> {
    let text = read(&root("docs/metrics.md"));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

fn types_of(text: &str) -> impl Iterator<Item = String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
}

#[track_caller]
fn assert_known(text: &str, path: &Path) {
    let documented = documented();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let prefixes = ["tidings_", "node_", "kubelet_"];
    for word in words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))) {
        let family = ["_bucket", "_count", "_sum"]
            .into_iter()
            .find_map(|part| word.strip_suffix(part))
            .filter(|family| documented.contains(*family))
            .unwrap_or(word);
        assert!(
            documented.contains(family) || NOT_OURS.contains(&family),
            "{path:?} has {word}, which docs/metrics.md does not"
        );
    }
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

/// Something of the checkout.
pub(super) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"))
}
