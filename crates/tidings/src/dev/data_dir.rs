//! The folder in which `tidings dev` keeps everything, so that the next start finds it again.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, test_kill_process};
use tidings_core::secret::Secret;
use tokio::time::Instant;

const FILE_BYTES_MAX: u64 = 4_096;
/// How long a nats-server may take to end that a killed `tidings dev` left behind.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The folder, held by this process alone.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    // Locked; the system unlocks it when all that hold the file have ended, however that comes
    // about.
    lock: File,
}

impl DataDir {
    /// Takes the folder, which is created if it is not there. Waits a little for what a killed
    /// `tidings dev` left running.
    ///
    /// # Errors
    /// It cannot be used, or another `tidings dev` uses it.
    pub(super) async fn open(path: &Path) -> anyhow::Result<Self> {
        let option = || format!("--data-dir {} cannot be used", path.display());
        let mut folder = fs::DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(option)?;
        let path = path.canonicalize().with_context(option)?;
        let mut lock = private_file()
            .open(path.join("lock"))
            .with_context(option)?;
        let deadline = Instant::now() + ORPHAN_TIMEOUT;
        while !try_lock(&lock).with_context(option)? {
            let holder = read_holder(&mut lock).with_context(option)?;
            refuse(&path, holder, deadline)?;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        write_holder(&mut lock).with_context(option)?;
        Ok(Self { path, lock })
    }

    /// A handle for a child that uses the folder: while the child has it, nobody else gets the
    /// folder, even if this process is gone.
    ///
    /// # Errors
    /// The system has no more handles.
    pub(super) fn share_lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// The folder, as an absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the admin token is kept, readable for its owner alone.
    pub(super) fn token_path(&self) -> PathBuf {
        self.join("admin-token")
    }

    /// Where the private keys are kept that open the secrets of webhooks.
    pub(super) fn secret_keys_path(&self) -> PathBuf {
        self.join("secret-keys")
    }

    /// The admin token of the last start, if there was one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn kept_token(&self) -> anyhow::Result<Option<Secret>> {
        let path = self.token_path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.with_context(|| path.display().to_string())?;
        Ok(Some(text.trim())
            .filter(|token| !token.is_empty())
            .map(Secret::new))
    }

    /// Keeps the admin token for the next start.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep_token(&self, token: &Secret) -> anyhow::Result<()> {
        let path = self.token_path();
        let fresh = self.join("admin-token.new");
        let _ = fs::remove_file(&fresh);
        private_file()
            .open(&fresh)
            .and_then(|mut file| writeln!(file, "{}", token.expose()))
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| path.display().to_string())
    }
}

fn try_lock(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A holder that lives keeps the folder. One that is gone has left its nats-server behind, which is
/// about to end.
fn refuse(path: &Path, holder: Option<Pid>, deadline: Instant) -> anyhow::Result<()> {
    let path = path.display();
    if let Some(holder) = holder.filter(|holder| test_kill_process(*holder).is_ok()) {
        bail!(
            "another `tidings dev` (process {}) uses {path}; stop it, or give another --data-dir",
            holder.as_raw_nonzero()
        );
    }
    if Instant::now() >= deadline {
        bail!(
            "the nats-server of an earlier `tidings dev` still runs on {path}; stop it (its \
             process is in nats-server.pid there), or give another --data-dir"
        );
    }
    Ok(())
}

fn read_holder(lock: &mut File) -> io::Result<Option<Pid>> {
    let mut text = String::new();
    lock.rewind()?;
    lock.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text.trim().parse().ok().and_then(Pid::from_raw))
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.rewind()?;
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_folder_has_one_user_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = DataDir::open(&path).await.unwrap();
        let error = DataDir::open(&path).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(first);
        DataDir::open(&path).await.unwrap();
    }

    #[tokio::test]
    async fn the_token_is_kept_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::open(parent.path()).await.unwrap();
        assert_eq!(data.kept_token().unwrap(), None);
        for token in ["first-token-of-all", "another-token-of-it"] {
            data.keep_token(&Secret::new(token)).unwrap();
            assert_eq!(data.kept_token().unwrap().unwrap().expose(), token);
        }
        let mode = fs::metadata(data.token_path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
