//! How a process ends: first it is asked, then it is told.
//!
//! `stop` is cancelled by the first SIGTERM or Ctrl-C: take nothing new, finish what is in hand.
//! `abort` is cancelled by a second signal, or when the drain timeout has passed: leave everything
//! where it is. Work that was left comes back, because it was not acknowledged.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::settings::ProgramArgs;
use crate::telemetry;

/// The exit code of a process that failed, or was told to stop at once.
const EXIT_UNCLEAN: u8 = 1;
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the last telemetry may take although the drain timeout is used up.
const FLUSH_MIN: Duration = Duration::from_millis(200);

/// How a process ends, and the tasks that it waits for.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// Take nothing new.
    pub stop: CancellationToken,
    /// Leave everything where it is.
    pub abort: CancellationToken,
    /// Every task of the process is spawned here, so that the end waits for it.
    pub tasks: TaskTracker,
    drain_timeout: Duration,
}

impl Lifecycle {
    /// A lifecycle that nobody ends but its owner, for a part of a process or a test.
    #[must_use]
    pub fn new(drain_timeout: Duration) -> Self {
        let abort = CancellationToken::new();
        Self {
            stop: abort.child_token(),
            abort,
            tasks: TaskTracker::new(),
            drain_timeout,
        }
    }

    /// A lifecycle that SIGTERM and Ctrl-C end.
    ///
    /// # Errors
    /// The system gives no signals.
    pub fn start(drain_timeout: Duration) -> std::io::Result<Self> {
        let lifecycle = Self::new(drain_timeout);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let watched = lifecycle.clone();
        // Not tracked: it ends with the process.
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            info!("asked to stop: finishing what is in hand");
            watched.stop.cancel();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!("told to stop at once");
            watched.abort.cancel();
        });
        Ok(lifecycle)
    }

    /// Waits until the process is asked to stop and its tasks have ended, and says with which code
    /// the process ends. Tasks that are not through within the drain timeout are told to leave.
    pub async fn finish(&self) -> ExitCode {
        self.stop.cancelled().await;
        if self.abort.is_cancelled() {
            self.tasks.close();
            return self.leave().await;
        }
        self.tasks.close();
        let drained = tokio::time::timeout(self.drain_timeout, self.tasks.wait());
        tokio::select! {
            drained = drained => match drained {
                Ok(()) => info!("stopped"),
                Err(_) => {
                    warn!("handing back what could not be finished in time");
                    self.leave().await;
                }
            },
            () = self.abort.cancelled() => {
                warn!("leaving with work in hand; it will be done again");
                return self.leave().await;
            }
        }
        ExitCode::SUCCESS
    }

    /// What hears the order leaves at once; what does not is dropped with the runtime.
    async fn leave(&self) -> ExitCode {
        self.abort.cancel();
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, self.tasks.wait()).await;
        ExitCode::from(EXIT_UNCLEAN)
    }
}

/// Runs the program that `service` names: starts its telemetry, its runtime and what `start` starts, waits for a signal,
/// drains, sends the last telemetry within what is left of the drain timeout, and says with which code
/// the process ends.
#[expect(
    clippy::print_stderr,
    reason = "an error before telemetry starts has nowhere else to go"
)]
pub fn run(
    service: &'static str,
    program: &ProgramArgs,
    start: impl AsyncFnOnce(&Lifecycle) -> anyhow::Result<()>,
) -> ExitCode {
    let ended = telemetry::start(service, &program.telemetry).and_then(|telemetry| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let (code, drained_in) = runtime.block_on(async {
            let lifecycle = Lifecycle::start(program.drain_timeout)?;
            start(&lifecycle).await?;
            lifecycle.stop.cancelled().await;
            let stopped_at = Instant::now();
            let code = lifecycle.finish().await;
            anyhow::Ok((code, stopped_at.elapsed()))
        })?;
        let rest = program.drain_timeout.saturating_sub(drained_in);
        telemetry.end(rest.max(FLUSH_MIN));
        Ok(code)
    });
    ended.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("error: {error:#}");
        ExitCode::from(EXIT_UNCLEAN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_finish_is_told_to_leave_after_the_drain_timeout() {
        let lifecycle = Lifecycle::new(Duration::from_secs(25));
        let abort = lifecycle.abort.clone();
        lifecycle
            .tasks
            .spawn(async move { abort.cancelled().await });
        lifecycle.stop.cancel();
        let before = Instant::now();
        assert_eq!(lifecycle.finish().await, ExitCode::SUCCESS);
        assert_eq!(before.elapsed().as_secs(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_failed_or_was_told_twice_says_so() {
        let lifecycle = Lifecycle::new(Duration::from_secs(25));
        lifecycle.abort.cancel();
        assert_eq!(lifecycle.finish().await, ExitCode::from(EXIT_UNCLEAN));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_with_nothing_in_hand_ends_at_once() {
        let lifecycle = Lifecycle::new(Duration::from_secs(25));
        lifecycle.stop.cancel();
        assert_eq!(lifecycle.finish().await, ExitCode::SUCCESS);
    }
}
