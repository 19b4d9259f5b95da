//! The users of a broker that gives each service the least it needs, as `tidings nats-users` makes
//! them.

use std::path::PathBuf;

use async_nats::Client;
use tempfile::TempDir;
use tidings_nats::connect::{NatsArgs, connect_within};
use tidings_testkit::{Process, target_bin};

use super::SOON;

/// The users' keys, in a folder of their own, and what the broker is told of them.
#[derive(Debug)]
pub(crate) struct Access {
    folder: TempDir,
    configuration: String,
}

impl Access {
    /// New keys for all services, a second pool `eu`, and the CMSs of `spaces`.
    pub(super) async fn new(spaces: &[&str]) -> Self {
        let folder = TempDir::new().expect("the temporary folder can be written to");
        let out = folder.path().join("users.conf");
        let spaces = spaces.iter().flat_map(|space| ["--space", space]);
        let command = Process::launch(target_bin("tidings"))
            .args(["nats-users", "--pool", "default", "--pool", "eu"])
            .args(spaces)
            .arg("--keys")
            .arg(folder.path())
            .arg("--out")
            .arg(&out)
            .start();
        let status = command.wait(SOON).await;
        assert!(status.success(), "{status}: {}", command.log());
        let configuration = std::fs::read_to_string(out).expect("the configuration is written");
        Self {
            folder,
            configuration,
        }
    }

    /// What goes into nats-server's configuration.
    pub(super) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// The file with the seed of `user`.
    pub(crate) fn seed(&self, user: &str) -> PathBuf {
        self.folder.path().join(user).join("nats.nk")
    }

    /// The options by which a program becomes `user`.
    pub(crate) fn options(&self, user: &str) -> [String; 2] {
        let seed = self.seed(user).display().to_string();
        ["--nats-nkey".to_owned(), seed]
    }

    /// A connection as `user`, with the inbox that its permissions name.
    pub(crate) async fn client(&self, url: &str, user: &str) -> Client {
        let args = NatsArgs {
            nats_nkey: Some(self.seed(user)),
            ..NatsArgs::at(url)
        };
        let name = match user {
            "operator" => "tidings".to_owned(),
            user => format!("tidings-{user}"),
        };
        let connected = connect_within(&args, name.as_str(), SOON).await;
        connected.unwrap_or_else(|error| panic!("{user}: {error}"))
    }
}
