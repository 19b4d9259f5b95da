//! How far something long has come, on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

const REDRAW: Duration = Duration::from_millis(100);

/// A line on standard error that is redrawn as the work goes on. Silent where there is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    doing: &'static str,
    total: Option<u64>,
    done: u64,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// Work that consists of `total` steps.
    pub(crate) fn of(doing: &'static str, total: u64) -> Self {
        Self {
            total: Some(total),
            ..Self::unbounded(doing)
        }
    }

    /// Work whose length is not known.
    pub(crate) fn unbounded(doing: &'static str) -> Self {
        let is_shown = io::stderr().is_terminal();
        Self {
            doing,
            total: None,
            done: 0,
            drawn: None,
            is_shown,
        }
    }

    /// `steps` more are done.
    pub(crate) fn add(&mut self, steps: u64) {
        self.done += steps;
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if self.is_shown && is_due {
            self.drawn = Some(Instant::now());
            // Nobody can be told that standard error is gone.
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.line());
        }
    }

    fn line(&self) -> String {
        const WIDTH: u64 = 30;
        let Self {
            doing, done, total, ..
        } = self;
        let Some(total) = total.filter(|total| *total > 0) else {
            return format!("{doing}: {done}");
        };
        let filled = done.saturating_mul(WIDTH) / total;
        let bar: String = (0..WIDTH)
            .map(|at| if at < filled { '#' } else { '.' })
            .collect();
        format!("{doing} [{bar}] {done}/{total}")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_is_done() {
        let mut progress = Progress::of("publishing", 60);
        progress.done = 20;
        assert_eq!(
            progress.line(),
            "publishing [##########....................] 20/60"
        );
        assert_eq!(Progress::unbounded("reading").line(), "reading: 0");
        assert_eq!(Progress::of("nothing", 0).line(), "nothing: 0");
    }
}
