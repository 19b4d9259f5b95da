//! Makes sure that nats-server does not outlive `tidings dev`.
//!
//! A process that is killed cannot stop its child. The kernel's own means, `PR_SET_PDEATHSIG`,
//! needs unsafe code and fires when the *thread* that started the child ends. So a small shell
//! waits at the other end of a pipe: when this process goes, for whatever reason, the kernel closes
//! the pipe, and the shell asks the child to end. Best effort: where there is no `sh`, the child
//! stays, and the next start says that the port is taken.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Ignores what a terminal sends. Nothing is ever written to the pipe.
const SCRIPT: &str = r#"trap '' HUP INT TERM; read -r line; kill -TERM "$1" 2>/dev/null"#;

/// Asks one child to end when this process dies. Dropped, it stands down.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over the child with this process id. To be dropped as soon as the child is reaped:
    /// its process id may then become somebody else's.
    ///
    /// # Errors
    /// There is no `sh`.
    pub(super) fn over(child: u32) -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "tidings-watchdog", &child.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn the_child_is_asked_to_end_when_the_pipe_ends() {
        let mut child = sleeper();
        let mut watchdog = Watchdog::over(child.id()).unwrap();
        drop(watchdog.shell.stdin.take());
        assert_eq!(child.wait().unwrap().signal(), Some(15));
    }

    #[test]
    fn a_dropped_watchdog_leaves_the_child_alone() {
        let mut child = sleeper();
        drop(Watchdog::over(child.id()).unwrap());
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
