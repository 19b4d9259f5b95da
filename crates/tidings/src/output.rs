//! How commands answer: tables for people or one JSON document on standard output, everything
//! else on standard error.

mod progress;
mod table;

use std::fmt::Display;
use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write as _};

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use progress::Progress;
pub(crate) use table::{Fields, Table, clean};

/// Whoever read our standard output has seen enough, such as `head`.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct Closed;

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Answers with JSON documents if `json`, otherwise with text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Answers with `document` or with `text`, whichever was asked for.
    pub(crate) fn answer(
        self,
        document: &impl Serialize,
        text: impl Display,
    ) -> anyhow::Result<()> {
        let written = match self.json {
            true => serde_json::to_string_pretty(document)?,
            false => text.to_string(),
        };
        let mut out = io::stdout().lock();
        let done = writeln!(out, "{}", written.trim_end()).and_then(|()| out.flush());
        match done {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
            done => Ok(done?),
        }
    }
}

/// A time as tables show it: UTC, in seconds.
pub(crate) fn time(timestamp: Timestamp) -> String {
    format!("{timestamp:.0}")
}

/// Tells the person at the terminal something beside the answer.
pub(crate) fn note(text: impl Display) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Asks for a yes on the terminal.
///
/// # Errors
/// There is nobody to ask, or the answer was no.
pub(crate) fn confirm(question: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        anyhow::bail!("{question} There is no terminal to ask on; give --yes");
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => anyhow::bail!("not confirmed; nothing was done"),
    }
}
