//! Makes sure that a child does not outlive the test process.
//!
//! `Drop` does not run when a test process is killed. The kernel's own means, `PR_SET_PDEATHSIG`,
//! needs unsafe code to set and fires when the *thread* that started the child ends, which on a
//! runtime with a thread pool is the wrong moment. So a small shell waits at the other end of a
//! pipe: when this process goes, for whatever reason, the kernel closes the pipe and the shell
//! kills the child. Best effort: it cannot help if somebody kills the shell first.

use std::process::{Child, Command, Stdio};

/// Ignores what a terminal or a test runner sends to the whole process group, so that it is still
/// there when the test process has gone. Nothing is ever written to the pipe.
const SCRIPT: &str = r#"trap '' HUP INT TERM; read -r line; kill -KILL "$1" 2>/dev/null"#;

/// Kills one child when this process dies. Dropped, it stands down.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over the child with this process id. To be dropped as soon as the child is reaped:
    /// its process id may then become somebody else's.
    pub(super) fn over(child: u32) -> Self {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog", &child.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `sh`: {error}"));
        Self { shell }
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
    fn the_child_is_killed_when_the_pipe_ends() {
        let mut child = sleeper();
        let mut watchdog = Watchdog::over(child.id());

        drop(watchdog.shell.stdin.take());

        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_dropped_watchdog_leaves_the_child_alone() {
        let mut child = sleeper();

        drop(Watchdog::over(child.id()));

        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
