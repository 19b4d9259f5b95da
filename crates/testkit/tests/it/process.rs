use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tidings_testkit::{Process, eventually, target_bin};

use crate::SOON;

/// Says that it is up, works until told to end, and then ends with 3.
const POLITE: &str = r#"
    trap 'echo "ending"; exit 3' TERM
    echo "listening on $PLACE with $1" >&2
    while :; do sleep 0.01; done
"#;

fn shell(script: &str) -> Process {
    Process::launch("sh")
        .args(["-c", script, "sh", "one"])
        .env("PLACE", "port 7")
        .start()
}

#[tokio::test]
async fn a_process_is_awaited_by_its_log_and_ends_on_sigterm() {
    let process = shell(POLITE);

    let line = process.wait_for_log("listening", SOON).await;
    let status = process.terminate(SOON).await;

    assert_eq!(line, "listening on port 7 with one");
    assert_eq!(status.code(), Some(3));
    assert_eq!(process.log(), "listening on port 7 with one\nending\n");
}

#[tokio::test]
async fn a_killed_process_restarts_with_the_same_arguments() {
    let process = shell(POLITE);
    process.wait_for_log("listening", SOON).await;
    let pid = process.pid();

    assert_eq!(process.kill().await.signal(), Some(9));
    process.restart().await;
    process.wait_for_log("listening", SOON).await;

    assert_ne!(process.pid(), pid);
    assert_eq!(
        process
            .log()
            .matches("listening on port 7 with one")
            .count(),
        2
    );
}

#[tokio::test]
async fn a_process_that_ends_by_itself_reports_its_status() {
    let process = shell("exit 5");

    assert_eq!(process.wait(SOON).await.code(), Some(5));
    assert_eq!(
        process.kill().await.code(),
        Some(5),
        "killing the dead changes nothing"
    );
}

#[tokio::test]
#[should_panic(expected = "ended with")]
async fn waiting_for_the_log_of_a_process_that_ended_fails_at_once() {
    shell("exit 1")
        .wait_for_log("listening", Duration::from_secs(3600))
        .await;
}

#[tokio::test]
async fn a_suspended_process_does_nothing_until_resumed() {
    let process = shell("while :; do echo tick; done");
    process.wait_for_log("tick", SOON).await;

    process.suspend().await;
    let cpu = process.usage().cpu;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        process.usage().cpu,
        cpu,
        "it works although it is suspended"
    );
    process.resume();

    eventually(SOON, "it works again", async || process.usage().cpu > cpu).await;
    assert!(process.usage().rss_bytes_peak > 100 * 1024);
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let process = shell(POLITE);
    process.wait_for_log("listening", SOON).await;
    let folder = format!("/proc/{}", process.pid());

    drop(process);

    assert!(!std::path::Path::new(&folder).exists());
}

#[tokio::test]
async fn settings_of_the_developers_shell_stay_outside() {
    let process = Process::launch("env")
        .env("TIDINGS_GIVEN", "by the test")
        .env("RUST_LOG", "given")
        .start();
    process.wait(SOON).await;

    let log = process.log();

    let ours = log
        .lines()
        .filter(|line| line.starts_with("TIDINGS_") || line.starts_with("RUST_LOG"));
    let mut ours: Vec<&str> = ours.collect();
    ours.sort_unstable();
    assert_eq!(ours, ["RUST_LOG=given", "TIDINGS_GIVEN=by the test"]);
}

#[test]
#[should_panic(expected = "cargo build --workspace --bins")]
fn a_binary_that_is_not_built_says_how_to_build_it() {
    target_bin("no-such-binary");
}
