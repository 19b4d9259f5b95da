//! Options, their file, and how wrong ones are answered.

use std::io::Write as _;

use tidings_testkit::NatsServer;

use crate::broker::{Broker, run_at};

#[tokio::test]
async fn options_may_stand_in_a_file_before_or_after_the_command() {
    let server = NatsServer::start().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "nats-url = \"{}\"\njson = true\n[provision]\nstorage = \"64MiB\"\npartitions = 2\n",
        server.url()
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    for arguments in [
        ["--config", path, "provision"],
        ["provision", "--config", path],
    ] {
        let ended = run_at("", &arguments, "").await.succeeded();
        let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(answer["layout"]["storageBytes"], 64 << 20);
    }
    let nowhere = "nats://127.0.0.1:1";
    let variable = run_at(nowhere, &["--config", path, "provision"], "").await;
    variable.failed(1, &["127.0.0.1:1"]);
    let flag = ["--nats-url", &server.url(), "--config", path, "provision"];
    run_at(nowhere, &flag, "").await.succeeded();
}

#[tokio::test]
async fn an_unreachable_broker_is_said_in_one_line() {
    let ended = run_at("nats://user:s3cret@127.0.0.1:1", &["webhook", "list"], "").await;
    let ended = ended.failed(1, &["127.0.0.1:1", "--nats-url"]);
    assert_eq!(
        ended.stderr.trim_end().lines().count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(
        !ended.stderr.contains("s3cret") && ended.stdout.is_empty(),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn wrong_options_are_named() {
    let broker = Broker::bare().await;
    for (arguments, named) in [
        (&["provision", "--storage", "lots"][..], "--storage"),
        (&["webhook", "create", "--space", "a b"], "--space"),
        (
            &[
                "webhook",
                "create",
                "--space",
                "acme",
                "--rate-limit",
                "fast",
            ],
            "--rate-limit",
        ),
        (
            &[
                "webhook",
                "create",
                "--space",
                "acme",
                "--egress-allow",
                "here",
            ],
            "--egress-allow",
        ),
        (&["webhook", "list", "--log", "a=b=c"], "--log"),
        (&["token", "create", "--scope", "everything"], "--scope"),
        (&["event", "send"], "--topic"),
    ] {
        let ended = broker.run(arguments).await;
        assert!(matches!(ended.code, 1 | 2), "{ended:#?}");
        assert!(
            ended.stderr.contains(named),
            "{named} is missing in {ended:#?}"
        );
    }
}

#[tokio::test]
async fn long_running_commands_have_no_options_of_the_client() {
    let help = run_at("", &["dev", "--help"], "").await.succeeded();
    assert!(!help.stdout.contains("--nats-creds"), "{}", help.stdout);
    let help = run_at("", &["webhook", "list", "--help"], "")
        .await
        .succeeded();
    assert!(help.stdout.contains("--nats-creds") && help.stdout.contains("[default: warn]"));
}

#[tokio::test]
async fn a_wrong_value_is_told_once_with_what_is_right() {
    let broker = Broker::bare().await;
    let nowhere = "http://127.0.0.1:1";
    for (arguments, remedy) in [
        (&["listen", "--listen", "nowhere"][..], "127.0.0.1:8080"),
        (&["dead-letter", "list", "--reason", "no"], "exhausted"),
        (
            &["secrets", "use", "--secret-key-file", "/no"],
            "/no cannot",
        ),
        (
            &["provision", "--nats-url", nowhere],
            "nats://127.0.0.1:4222",
        ),
        (&["event", "send", "--file", "/no"], "/no cannot be read"),
        (&["listen", "--fail", "700"], "from 200 to 599"),
        (&["delivery", "list", "--limit", "0"], "1..=100000"),
        (&["healthcheck", "x"], "http://"),
    ] {
        let ended = broker.run(arguments).await;
        assert!(matches!(ended.code, 1 | 2), "{ended:#?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        let [line] = lines.as_slice() else {
            panic!("one line: {ended:#?}");
        };
        assert!(line.contains(remedy), "{remedy}: {line}");
        let system = line.matches("os error").count();
        assert!(system < 2, "told twice: {line}");
    }
}
