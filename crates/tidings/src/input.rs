//! What commands are given: files and standard input.

use std::path::Path;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;

/// Reads a file, or standard input if `path` is `-`.
///
/// # Errors
/// It cannot be read; the message names it.
pub(crate) async fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = tokio::io::stdin().read_to_end(&mut bytes).await;
        read.context("standard input cannot be read")?;
        return Ok(bytes);
    }
    let read = tokio::fs::read(path).await;
    read.with_context(|| format!("the file {} cannot be read", path.display()))
}
