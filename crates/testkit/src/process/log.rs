//! The file in which a process's output is kept.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::NamedTempFile;

/// Standard output and standard error of a process, in the order written, across its restarts.
#[derive(Debug)]
pub(super) struct Log {
    file: NamedTempFile,
    started_at: AtomicU64,
}

impl Log {
    pub(super) fn new() -> Self {
        let file = tempfile::Builder::new()
            .prefix("tidings-log-")
            .append(true)
            .tempfile()
            .expect("the temporary folder can be written to");
        Self {
            file,
            started_at: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// A handle for the child to write to.
    pub(super) fn handle(&self) -> Stdio {
        self.file
            .as_file()
            .try_clone()
            .expect("a file handle can be copied")
            .into()
    }

    /// Notes that what follows comes from a new start of the process.
    pub(super) fn mark_start(&self) {
        let length = self
            .file
            .as_file()
            .metadata()
            .expect("an open file has a length")
            .len();
        self.started_at.store(length, Ordering::Relaxed);
    }

    /// Everything written so far.
    pub(super) fn text(&self) -> String {
        self.text_from(0)
    }

    /// Everything written since the last start.
    pub(super) fn text_since_start(&self) -> String {
        self.text_from(self.started_at.load(Ordering::Relaxed))
    }

    /// The last `lines` lines.
    pub(super) fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn text_from(&self, offset: u64) -> String {
        let mut bytes = Vec::new();
        File::open(self.path())
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(offset))?;
                file.read_to_end(&mut bytes)
            })
            .expect("the log file can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
