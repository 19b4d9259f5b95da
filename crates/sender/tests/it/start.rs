//! What stops a sender from starting, in one line.

use tidings_testkit::{NatsServer, Process};

use crate::stand::SOON;

/// The one line that a sender with these options says before it ends.
async fn refusal(nats: &str, options: &[&str]) -> String {
    let sender = Process::launch(env!("CARGO_BIN_EXE_tidings-sender"))
        .args([
            "--nats-url",
            nats,
            "--listen",
            "127.0.0.1:0",
            "--log",
            "warn",
        ])
        .args(options)
        .start();
    let status = sender.wait(SOON).await;
    assert!(!status.success(), "{options:?}");
    let log = sender.log();
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    let [line] = lines[..] else {
        panic!("{options:?} takes more than one line:\n{log}");
    };
    line.to_owned()
}

#[tokio::test]
async fn a_bad_value_stops_the_start_with_one_line_that_names_it() {
    let server = NatsServer::start().await;
    for (option, value, named) in [
        ("--egress-ips", "192.0.2.1", "192.0.2.1"),
        ("--egress-ips", "127.0.0.2,nowhere", "nowhere"),
        ("--egress-ips", "0.0.0.0", "0.0.0.0"),
        ("--egress-ips", "224.0.0.1", "224.0.0.1"),
        ("--egress-allow", "10.0.0.0/33", "10.0.0.0/33"),
        ("--egress-allow", "10.0.0.0/8,abc", "abc"),
        ("--egress-deny", "fe80::/200", "fe80::/200"),
        ("--egress-proxy", "ftp://127.0.0.1:1", "socks5"),
        ("--egress-proxy", "127.0.0.1:1", "--egress-proxy"),
        ("--egress-ca", "/nowhere.pem", "/nowhere.pem"),
        ("--pool", "a.b", "a.b"),
        ("--concurrency", "0", "0"),
        ("--dns-server", "a:b", "a:b"),
    ] {
        let line = refusal(&server.url(), &[option, value]).await;
        assert!(line.contains(option), "{option} {value}: {line}");
        assert!(line.contains(named), "{option} {value}: {line}");
    }
}

#[tokio::test]
async fn too_few_open_files_stop_the_start() {
    let server = NatsServer::start().await;
    let command = "ulimit -n 400 && exec \"$0\" \"$@\"";
    let sender = Process::launch("/bin/sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_tidings-sender")])
        .args(["--nats-url", &server.url(), "--listen", "127.0.0.1:0"])
        .start();
    let status = sender.wait(SOON).await;
    assert!(!status.success());
    let log = sender.log();
    assert!(log.contains("--concurrency"), "{log}");
    assert!(log.contains("400") && log.contains("ulimit -n"), "{log}");
}
