//! Real programs as children of a test: started, watched, stopped, killed.

mod log;
mod usage;
mod watchdog;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;
use crate::process::log::Log;
pub use crate::process::usage::Usage;
use crate::process::watchdog::Watchdog;

/// How long a process may take to disappear after `SIGKILL`, or to stop after `SIGSTOP`: the time
/// of the kernel, not of the program.
const KERNEL_WITHIN: Duration = Duration::from_secs(20);

/// Log lines shown when a test fails.
const TAIL_LINES: usize = 60;

/// Our settings and the log filter come from the test, not from the developer's shell.
const ENV_PREFIXES_WITHHELD: [&str; 3] = ["TIDINGS_", "OTEL_", "RUST_LOG"];

/// Where cargo puts the binary `name` of this workspace, seen from the running test.
///
/// # Panics
/// If it has not been built; cargo builds the binaries of other packages only when asked to.
pub fn target_bin(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the running test has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("tests lie in target/PROFILE/deps");
    let binary = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{binary:?} is missing: run `cargo build --workspace --bins` first"
    );
    binary
}

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

impl Launch {
    /// Appends an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the folder to run in.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If there is no such program, or it cannot be executed.
    pub fn start(self) -> Process {
        let log = Log::new();
        let running = Running::start(&self, &log);
        Process {
            launch: self,
            log,
            running: Mutex::new(running),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let withheld = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            ENV_PREFIXES_WITHHELD
                .iter()
                .any(|prefix| name.starts_with(prefix))
        });
        for name in withheld {
            command.env_remove(name);
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}

/// A program that is running, or has run. Killed when dropped, and when the test process dies.
///
/// It starts without the variables `TIDINGS_*`, `OTEL_*` and `RUST_LOG` of the test's own
/// environment. Its standard output and standard error go to one file, whose end is shown when a
/// test fails.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    log: Log,
    running: Mutex<Running>,
}

impl Process {
    /// A program to be given arguments and started.
    pub fn launch(program: impl Into<PathBuf>) -> Launch {
        Launch {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            folder: None,
        }
    }

    /// The process id, which changes with [`restart`](Self::restart).
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// Its status if it has ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.running().exited()
    }

    /// Waits until it ends by itself.
    pub async fn wait(&self, within: Duration) -> ExitStatus {
        let what = format!("{self} has ended");
        eventually(within, &what, async || self.exited()).await
    }

    /// Kills it (`SIGKILL`) and waits until it is gone. Does nothing if it has ended before.
    pub async fn kill(&self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.wait(KERNEL_WITHIN).await
    }

    /// Asks it to end (`SIGTERM`) and waits until it has. A suspended process must be resumed
    /// first.
    pub async fn terminate(&self, within: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(within).await
    }

    /// Starts the same command again with the same arguments, after a `SIGKILL` if it still runs.
    pub async fn restart(&self) {
        self.kill().await;
        self.start_again();
    }

    /// Stops it in its tracks (`SIGSTOP`): its sockets stay open, and nothing is answered.
    pub async fn suspend(&self) {
        self.signal(Signal::STOP);
        let pid = self.pid();
        let what = format!("{self} is suspended");
        eventually(KERNEL_WITHIN, &what, async || {
            usage::is_stopped(pid).unwrap_or(true)
        })
        .await;
    }

    /// Lets it go on after [`suspend`](Self::suspend) (`SIGCONT`).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// What it has used since its last start. Linux only, and only while it lives.
    pub fn usage(&self) -> Usage {
        usage::usage(self.pid())
    }

    /// Everything it has written, over all its starts.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The file it writes to. Deleted when the process is dropped.
    pub fn log_path(&self) -> &Path {
        self.log.path()
    }

    /// Waits for a line with `text` in it since the last start, and returns that line.
    ///
    /// # Panics
    /// After `within`, or as soon as the process has ended without writing it.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> String {
        let what = format!("{self} logs `{text}`");
        eventually(within, &what, async || {
            let exited = self.exited();
            let log = self.log.text_since_start();
            let line = log
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned);
            assert!(
                line.is_some() || exited.is_none(),
                "{what}: ended with {exited:?}"
            );
            line
        })
        .await
    }

    /// What it has written since its last start.
    pub(crate) fn log_since_start(&self) -> String {
        self.log.text_since_start()
    }

    /// Starts the command again. The former process must have ended.
    pub(crate) fn start_again(&self) {
        self.log.mark_start();
        *self.running() = Running::start(&self.launch, &self.log);
    }

    fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .launch
            .program
            .file_name()
            .unwrap_or(self.launch.program.as_os_str());
        write!(f, "{} (process {})", name.display(), self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- the end of the log of {self}:\n{}\n---",
                self.log.tail(TAIL_LINES)
            );
        }
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    watchdog: Option<Watchdog>,
}

impl Running {
    fn start(launch: &Launch, log: &Log) -> Self {
        let child = launch
            .command()
            .stdin(Stdio::null())
            .stdout(log.handle())
            .stderr(log.handle())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", launch.program));
        let watchdog = Some(Watchdog::over(child.id()));
        Self { child, watchdog }
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child can be waited for");
        if status.is_some() {
            self.watchdog = None;
        }
        status
    }

    /// The process id is still the child's: it has not been reaped if it has not `exited`.
    fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
