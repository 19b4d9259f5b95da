//! A real nats-server with JetStream, alone on a free port, that can be killed and started again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::process::{Launch, Process, Usage};

/// Up after 17 to 200 ms on an idle machine; a large store takes longer to read back.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// The server's own default: 1 MiB.
const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// When JetStream hands what it has stored to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncInterval {
    /// The server's default, every two minutes: survives a killed server, not a power failure.
    #[default]
    Default,
    /// Before every acknowledgement.
    Always,
}

/// How a [`NatsServer`] is to be set up.
#[derive(Clone, Debug)]
pub struct NatsServerBuilder {
    name: String,
    sync_interval: SyncInterval,
    max_payload_bytes: usize,
    has_jetstream: bool,
    jetstream: String,
    config: String,
    env: Vec<(String, String)>,
}

impl NatsServerBuilder {
    /// What the server calls itself; nodes of a cluster need different names.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// When JetStream syncs to disk.
    #[must_use]
    pub fn sync_interval(mut self, sync_interval: SyncInterval) -> Self {
        self.sync_interval = sync_interval;
        self
    }

    /// The largest message in bytes; 1 MiB unless set.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload_bytes = bytes;
        self
    }

    /// Appends lines to the `jetstream` block, such as `max_file_store: 16MB`.
    #[must_use]
    pub fn jetstream(mut self, lines: &str) -> Self {
        self.jetstream.push_str(lines);
        self.jetstream.push('\n');
        self
    }

    /// Leaves JetStream out.
    #[must_use]
    pub fn without_jetstream(mut self) -> Self {
        self.has_jetstream = false;
        self
    }

    /// Appends lines to the configuration, such as `authorization { token: "secret" }`.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Sets a variable of its environment, which the configuration may name (`$NAME`).
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Panics
    /// If no nats-server is found, or it does not come up; the log is shown.
    pub async fn start(self) -> NatsServer {
        let folder = tempfile::Builder::new()
            .prefix("tidings-nats-")
            .tempdir()
            .expect("the temporary folder can be written to");
        self.write_config(folder.path(), Ports::ANY);
        let launch = Process::launch(nats_server_binary())
            .arg("-c")
            .arg(config_path(folder.path()));
        let set = |launch: Launch, (name, value): &(String, String)| launch.env(name, value);
        let process = self.env.iter().fold(launch, set).start();
        let mut server = NatsServer {
            process,
            ports: Ports::ANY,
            folder,
        };
        server.ports = server.until_ready().await;
        self.write_config(server.folder.path(), server.ports);
        server
    }

    fn write_config(&self, folder: &Path, ports: Ports) {
        let Ports { client, monitoring } = ports;
        let Self {
            name,
            max_payload_bytes,
            jetstream,
            config,
            ..
        } = self;
        let store = folder.join("store");
        let sync_interval = match self.sync_interval {
            SyncInterval::Default => "",
            SyncInterval::Always => "sync_interval: always",
        };
        // A promise and no allocation: by default it is a share of the free disk, on which no test
        // should depend.
        let file_store = match jetstream.contains("max_file_store") {
            true => "",
            false => "max_file_store: 1TB",
        };
        let jetstream = match self.has_jetstream {
            true => format!(
                "jetstream {{\nstore_dir: {store:?}\n{sync_interval}\n{file_store}\n{jetstream}\n}}"
            ),
            false => String::new(),
        };
        let text = format!(
            r#"
                server_name: {name:?}
                host: "127.0.0.1"
                port: {client}
                http: "127.0.0.1:{monitoring}"
                ports_file_dir: {folder:?}
                max_payload: {max_payload_bytes}
                {jetstream}
                {config}
            "#
        );
        std::fs::write(config_path(folder), text).expect("the configuration can be written");
    }
}

/// A running nats-server with JetStream in a folder of its own. Killed when dropped, and when the
/// test process dies; its folder goes with it.
#[derive(Debug)]
pub struct NatsServer {
    process: Process,
    ports: Ports,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server with the defaults of [`NatsServerBuilder`].
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server to be set up and started.
    pub fn builder() -> NatsServerBuilder {
        NatsServerBuilder {
            name: String::from("tidings-test"),
            sync_interval: SyncInterval::Default,
            max_payload_bytes: MAX_PAYLOAD_BYTES,
            has_jetstream: true,
            jetstream: String::new(),
            config: String::new(),
            env: Vec::new(),
        }
    }

    /// Where clients connect to. Stays the same over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.client)
    }

    /// The root of the server's HTTP monitoring (`/varz`, `/jsz`, …). Stays the same over restarts.
    pub fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitoring)
    }

    /// A new connection to it with the client's defaults.
    pub async fn client(&self) -> async_nats::Client {
        let url = self.url();
        async_nats::connect(&url)
            .await
            .unwrap_or_else(|error| panic!("no NATS at {url}: {error}"))
    }

    /// Kills it (`SIGKILL`) and waits until it is gone. What it acknowledged stays in its store.
    pub async fn kill(&self) {
        self.process.kill().await;
    }

    /// Asks it to end (`SIGTERM`) and waits until it has.
    pub async fn stop(&self) {
        self.process.terminate(STOPPED_WITHIN).await;
    }

    /// Starts it again on the same store and the same ports, after a `SIGKILL` if it still runs,
    /// and waits until it takes connections.
    pub async fn restart(&self) {
        self.process.restart().await;
        self.until_ready().await;
    }

    /// Stops it in its tracks (`SIGSTOP`): connections stay open, and nothing is answered.
    pub async fn suspend(&self) {
        self.process.suspend().await;
    }

    /// Lets it go on after [`suspend`](Self::suspend) (`SIGCONT`).
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills it for good, and forgets all that it stored.
    pub async fn lose(&self) {
        self.process.kill().await;
        std::fs::remove_dir_all(self.folder.path().join("store"))
            .expect("the store can be removed");
    }

    /// The process id, which changes with [`restart`](Self::restart).
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has used since its last start. Linux only, and only while it lives.
    pub fn usage(&self) -> Usage {
        self.process.usage()
    }

    /// Everything it has written, over all its starts.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The server writes the ports file once it takes connections.
    async fn until_ready(&self) -> Ports {
        eventually(READY_WITHIN, "nats-server is ready", async || {
            Ports::read(self.folder.path(), self.pid()).ok_or_else(|| self.why_not_ready())
        })
        .await
    }

    /// A remembered port may for a moment be the local end of somebody else's connection: then it
    /// is worth another start. Any other end is final.
    fn why_not_ready(&self) -> &'static str {
        let Some(status) = self.process.exited() else {
            return "still starting";
        };
        let port_taken = self
            .process
            .log_since_start()
            .contains("address already in use");
        assert!(port_taken, "nats-server ended with {status}");
        self.process.start_again();
        "its port is taken"
    }
}

/// The ports a server listens on; -1 lets the system choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    client: i32,
    monitoring: i32,
}

impl Ports {
    const ANY: Self = Self {
        client: -1,
        monitoring: -1,
    };

    /// Reads `NAME_PID.ports`; nothing while it is absent or half written.
    fn read(folder: &Path, pid: u32) -> Option<Self> {
        let ending = format!("_{pid}.ports");
        let file = std::fs::read_dir(folder)
            .expect("the server's folder can be read")
            .filter_map(Result::ok)
            .find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?;
        Self::parse(&std::fs::read(file.path()).ok()?)
    }

    fn parse(file: &[u8]) -> Option<Self> {
        let lists: serde_json::Value = serde_json::from_slice(file).ok()?;
        let port = |list: &str| lists[list][0].as_str()?.rsplit_once(':')?.1.parse().ok();
        Some(Self {
            client: port("nats")?,
            monitoring: port("monitoring")?,
        })
    }
}

fn config_path(folder: &Path) -> PathBuf {
    folder.join("nats.conf")
}

/// The nats-server that [`NatsServer`] starts: `TIDINGS_NATS_SERVER`, else the project's own copy
/// in `.tools`, else the one on the `PATH`.
///
/// # Panics
/// If there is none.
pub fn nats_server_binary() -> PathBuf {
    if let Some(given) = std::env::var_os("TIDINGS_NATS_SERVER") {
        return given.into();
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let current = std::env::current_dir().ok();
    let own = [package, current]
        .iter()
        .flatten()
        .find_map(|start| own_copy(start));
    own.or_else(|| on_path(&std::env::var_os("PATH")?)).expect(
        "a nats-server in `TIDINGS_NATS_SERVER`, `.tools/nats/bin` or the `PATH`; \
         `make test` fetches one",
    )
}

fn own_copy(start: &Path) -> Option<PathBuf> {
    let mut copies = start
        .ancestors()
        .map(|folder| folder.join(".tools/nats/bin/nats-server"));
    copies.find(|file| file.is_file())
}

fn on_path(path: &OsString) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
}
