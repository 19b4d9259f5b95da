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
