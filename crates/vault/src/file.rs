//! The file of private keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::key::KeyError;
use crate::ring::KeyRing;

const FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// What it holds are no keys.
    #[error("{path} holds something else than keys")]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
}

/// Reads the keys of a file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn read(path: &Path) -> Result<KeyRing, FileError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|source| file_error(path, source))?;
    KeyRing::parse(&text).map_err(|source| FileError::Keys {
        path: path.to_path_buf(),
        source,
    })
}

/// Adds a new key to the end of a file, which is made, for its owner alone, if it is not there.
/// Returns all keys that it holds then.
///
/// # Errors
/// It cannot be written, or holds something else.
pub fn append(path: &Path) -> Result<KeyRing, FileError> {
    let mut line = format!("{}\n", KeyRing::generate().expose());
    let is_there = path.try_exists();
    if is_there.map_err(|source| file_error(path, source))? {
        read(path)?;
        // The last line may have been written by hand, without an end.
        line.insert(0, '\n');
    }
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| file_error(path, source))?;
    read(path)
}

fn file_error(path: &Path, source: io::Error) -> FileError {
    FileError::File {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_key_comes_last_and_the_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let first = append(&path).unwrap();
        let both = append(&path).unwrap();
        assert_eq!(both.public_keys().next(), first.newest());
        assert_ne!(both.newest(), first.newest());
        assert_eq!(read(&path).unwrap().newest(), both.newest());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "no key").unwrap();
        assert!(append(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no key");
    }
}
