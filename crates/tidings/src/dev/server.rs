//! The nats-server that belongs to `tidings dev`: its configuration, its start and its end.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::binary::Binary;
use super::data_dir::DataDir;
use super::watchdog::Watchdog;
use crate::listen::text::one_line;

/// Room for the streams with some to spare. Said outright, so that the server does not work out
/// a limit of its own from the disk as it is at its first start.
const STORE_BYTES_MAX: u64 = 8 << 30;
/// Room for the largest event in its delivery in its dead letter, also where TIDINGS_MAX_EVENT_SIZE
/// allows more than the default; the server advises against more than this.
const MESSAGE_BYTES_MAX: u64 = 8 << 20;
/// A large store takes a while to read back.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const LOG_TAIL_BYTES: u64 = 8_192;

const CONFIG: &str = "nats-server.conf";
const LOG: &str = "nats-server.log";

/// A running nats-server. Killed when dropped; stopped in order by [`NatsServer::stop`].
#[derive(Debug)]
pub(super) struct NatsServer {
    child: Child,
    address: SocketAddr,
    _watchdog: Option<Watchdog>,
}

impl NatsServer {
    /// Starts `binary` at `address` with its store in `data`, and waits until it takes
    /// connections. `None` if `stop` is cancelled before.
    ///
    /// # Errors
    /// It does not come up; the message has its last words.
    pub(super) async fn start(
        binary: &Binary,
        address: SocketAddr,
        data: &DataDir,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let config = data.join(CONFIG);
        remove_stale_ports(data.path())?;
        fs::write(&config, configuration(address, data)).with_context(|| shown(&config))?;
        let log = fresh_log(data)?;
        // A process group of its own: Ctrl-C is for us, the server ends when we are through. Its
        // standard input, which it does not read, keeps the folder locked for as long as it lives.
        let mut child = Command::new(&binary.path)
            .arg("-c")
            .arg(&config)
            .stdin(data.share_lock()?)
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", shown(&binary.path)))?;
        let pid = child.id().context("nats-server ended at once")?;
        let _watchdog = Watchdog::over(pid).ok();
        let ready = stop
            .run_until_cancelled(until_ready(&mut child, pid, data))
            .await;
        let Some(port) = ready.transpose()? else {
            Self {
                child,
                address,
                _watchdog,
            }
            .stop()
            .await;
            return Ok(None);
        };
        let address = SocketAddr::new(address.ip(), port);
        Ok(Some(Self {
            child,
            address,
            _watchdog,
        }))
    }

    /// Where clients connect to.
    pub(super) fn url(&self) -> String {
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        };
        format!("nats://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// Waits until it has ended by itself.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end and waits for that; after ten seconds it is killed.
    pub(super) async fn stop(mut self) {
        // The id is there only while the child has not been waited for.
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        let Some(pid) = pid else { return };
        if let Err(error) = kill_process(pid, Signal::TERM) {
            tracing::debug!(%error, "nats-server is gone already");
        }
        let waited = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        if waited.is_err() {
            tracing::warn!("nats-server does not end when asked: killing it");
            if let Err(error) = self.child.kill().await {
                tracing::warn!(%error, "nats-server cannot be killed");
            }
        }
    }
}

/// Everything is in the data folder; there is no secret in it.
fn configuration(address: SocketAddr, data: &DataDir) -> String {
    let host = quoted(&address.ip().to_string());
    let port = match address.port() {
        0 => String::from("-1"),
        port => port.to_string(),
    };
    let path = |name: &str| quoted(&shown(&data.join(name)));
    let folder = quoted(&shown(data.path()));
    let (store, pid_file) = (path("nats"), path("nats-server.pid"));
    format!(
        "# Written by `tidings dev` at every start.
server_name: tidings-dev
host: {host}
port: {port}
ports_file_dir: {folder}
pid_file: {pid_file}
max_payload: {MESSAGE_BYTES_MAX}
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_file_store: {STORE_BYTES_MAX}
}}
"
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The log of this start; the one of the last start keeps its place beside it.
fn fresh_log(data: &DataDir) -> anyhow::Result<File> {
    let path = data.join(LOG);
    let _ = fs::rename(&path, data.join("nats-server.log.old"));
    File::create(&path).with_context(|| shown(&path))
}

/// A server that was killed leaves its ports file behind.
fn remove_stale_ports(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| shown(folder))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "ports")
        {
            fs::remove_file(&path).with_context(|| shown(&path))?;
        }
    }
    Ok(())
}

/// Waits for the ports file, which the server writes once it takes connections.
async fn until_ready(child: &mut Child, pid: u32, data: &DataDir) -> anyhow::Result<u16> {
    let waiting = async {
        loop {
            if let Some(port) = port_of(data.path(), pid) {
                return Ok(port);
            }
            if let Some(status) = child.try_wait()? {
                bail!(
                    "nats-server ended at its start ({status}): {}",
                    last_words(data)
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(READY_TIMEOUT, waiting).await {
        Ok(ready) => ready,
        Err(_) => {
            let log = shown(&data.join(LOG));
            bail!("nats-server is not ready after {READY_TIMEOUT:?}; see {log}")
        }
    }
}

/// Nothing while the file is absent or half written.
fn port_of(folder: &Path, pid: u32) -> Option<u16> {
    let ending = format!("_{pid}.ports");
    let mut entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?;
    let lists: serde_json::Value = serde_json::from_slice(&fs::read(file.path()).ok()?).ok()?;
    lists["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
}

/// The last line that tells of an error, or else the last line.
pub(super) fn last_words(data: &DataDir) -> String {
    let log = data.join(LOG);
    let text = tail(&log).unwrap_or_default();
    let is_error = |line: &&str| line.contains("[FTL]") || line.contains("[ERR]");
    let line = text
        .lines()
        .rfind(is_error)
        .or_else(|| text.lines().last())
        .unwrap_or_default();
    format!("{} (see {})", one_line(line.trim()), shown(&log))
}

fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
