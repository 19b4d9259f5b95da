//! `tidings dev`, as a person runs it: the real program with a real nats-server.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tidings_testkit::{Launch, Process, eventually, nats_server_binary};

const WITHIN: Duration = Duration::from_secs(60);
const READY: &str = "is ready; Ctrl-C ends it";

/// On free ports, with the data folder given.
fn dev(data: &Path) -> Launch {
    Process::launch(env!("CARGO_BIN_EXE_tidings"))
        .args(["--log", "warn", "dev", "--data-dir"])
        .arg(data)
        .args([
            "--ingest-listen",
            "127.0.0.1:0",
            "--console-listen",
            "127.0.0.1:0",
        ])
        .args(["--nats-listen", "127.0.0.1:0"])
        .env("TIDINGS_NATS_SERVER", nats_server_binary())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn nats_server_pid(data: &Path) -> Pid {
    let text = fs::read_to_string(data.join("nats-server.pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

async fn until_gone(pid: Pid) {
    eventually(WITHIN, "nats-server is gone", async || {
        test_kill_process(pid).is_err()
    })
    .await;
}

/// The value behind `name` in what is printed at the start.
fn shown(process: &Process, name: &str) -> String {
    let log = process.log();
    let line = log
        .lines()
        .find_map(|line| line.trim().strip_prefix(name))
        .unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// Waits for the end, which is to be with code 1 (or 2, for an option) and one line, returned.
async fn refusal(process: &Process) -> String {
    let ended = process.wait(WITHIN).await;
    assert!(
        matches!(ended.code(), Some(1 | 2)),
        "{ended}: {}",
        process.log()
    );
    let log = process.log();
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{log}");
    errors[0].to_owned()
}

async fn get(url: String) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(url.parse().unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_demo_delivers_everything_verified_and_does_so_again_on_the_same_data() {
    let data = folder();
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let process = dev(data.path())
            .args(["--demo", "--exit", "--senders", "2"])
            .start();
        let ended = process.wait(WITHIN).await;
        let log = process.log();
        assert!(ended.success(), "{ended}: {log}");
        assert!(
            log.contains("demo: 33 of 33 webhooks delivered and verified in "),
            "{log}"
        );
        for name in [
            "contentful-entry-publish",
            "umbraco-media-save",
            "heartcore-content-delete",
        ] {
            for way in ["http", "nats", "jetstream"] {
                let line = log
                    .lines()
                    .find(|line| line.ends_with(&format!("{way:<9} {name}")));
                assert!(
                    line.is_some_and(|line| line.contains("signature ok")),
                    "{way} {name}"
                );
            }
        }
        tokens.push(shown(&process, "token"));
        let kept = fs::read_to_string(data.path().join("admin-token")).unwrap();
        assert_eq!(Some(kept.trim()), tokens.last().map(String::as_str));
    }
    assert_eq!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn ctrl_c_ends_it_and_its_nats_server() {
    let data = folder();
    let token = "a-token-of-my-own";
    let process = dev(data.path()).args(["--token", token]).start();
    process.wait_for_log(READY, WITHIN).await;
    let nats_server = nats_server_pid(data.path());
    let console = shown(&process, "console");
    assert_eq!(shown(&process, "token"), token);
    assert_eq!(get(format!("{console}healthz")).await.0, 200);
    let (status, ready) = get(format!("{console}readyz")).await;
    assert_eq!(status, 200, "{ready}");
    assert!(
        ["ingest", "router", "sender"]
            .iter()
            .all(|name| ready.contains(name)),
        "{ready}"
    );
    assert!(
        get(format!("{console}metrics"))
            .await
            .1
            .contains("tidings_build_info")
    );
    let (status, egress) = get(format!("{console}api/v1/egress")).await;
    assert_eq!(status, 200, "{egress}");
    assert!(egress.contains(r#""pool":"default""#), "{egress}");

    let dev = Pid::from_raw(process.pid().cast_signed()).unwrap();
    kill_process(dev, Signal::INT).unwrap();

    let ended = process.wait(WITHIN).await;
    assert!(ended.success(), "{ended}");
    assert!(test_kill_process(nats_server).is_err());
}

#[tokio::test]
async fn a_kill_takes_nats_server_along_and_the_next_start_goes_on() {
    let data = folder();
    let process = dev(data.path()).start();
    process.wait_for_log(READY, WITHIN).await;
    let nats_server = nats_server_pid(data.path());
    process.kill().await;

    let again = dev(data.path()).args(["--demo", "--exit"]).start();
    let ended = again.wait(WITHIN).await;
    assert!(ended.success(), "{ended}: {}", again.log());
    until_gone(nats_server).await;
}

#[tokio::test]
async fn a_nats_server_that_dies_ends_it_with_code_1() {
    let data = folder();
    let process = dev(data.path()).start();
    process.wait_for_log(READY, WITHIN).await;
    kill_process(nats_server_pid(data.path()), Signal::KILL).unwrap();
    let error = refusal(&process).await;
    assert!(error.contains("nats-server ended by itself"), "{error}");
}

#[tokio::test]
async fn a_second_one_on_the_same_data_is_refused() {
    let data = folder();
    let first = dev(data.path()).start();
    first.wait_for_log(READY, WITHIN).await;
    let error = refusal(&dev(data.path()).start()).await;
    for part in [
        "another `tidings dev`",
        &first.pid().to_string(),
        "--data-dir",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_option() {
    let data = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--ingest-listen", "--console-listen", "--nats-listen"] {
        let process = Process::launch(env!("CARGO_BIN_EXE_tidings"))
            .args(["dev", "--data-dir"])
            .arg(data.path())
            .args(
                ["--ingest-listen", "--console-listen", "--nats-listen"]
                    .iter()
                    .filter(|other| **other != option)
                    .flat_map(|other| [*other, "127.0.0.1:0"]),
            )
            .args([option, &address])
            .env("TIDINGS_NATS_SERVER", nats_server_binary())
            .start();
        let error = refusal(&process).await;
        assert!(
            error.contains(&address) && error.contains(option),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_nats_server_that_is_too_old_is_named_with_the_remedy() {
    let data = folder();
    let old = data.path().join("nats-server");
    fs::write(&old, "#!/bin/sh\necho 'nats-server: v2.9.10'\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    let process = dev(data.path()).env("TIDINGS_NATS_SERVER", &old).start();
    let error = refusal(&process).await;
    for part in [old.to_str().unwrap(), "2.9.10", "2.12.0", "make tools"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused() {
    for (arguments, named) in [
        (&["--exit"][..], "--demo"),
        (
            &["--demo", "--exit", "--egress-allow", ""],
            "--egress-allow",
        ),
        (&["--egress-allow", "everything"], "--egress-allow"),
        (&["--token", "short"], "--token"),
        (&["--senders", "0"], "--senders"),
    ] {
        let data = folder();
        let process = dev(data.path()).args(arguments).start();
        let ended = process.wait(WITHIN).await;
        let log = process.log();
        assert!(
            !ended.success() && log.contains(named),
            "{arguments:?}: {log}"
        );
    }
}
