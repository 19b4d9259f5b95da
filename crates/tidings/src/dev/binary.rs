//! Which nats-server is started, and whether it is new enough.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::str::FromStr;
use std::time::Duration;

use tokio::process::Command;

/// The oldest version with everything that Tidings needs: scheduled messages and atomic batches.
pub(super) const VERSION_MIN: Version = Version {
    major: 2,
    minor: 12,
    patch: 0,
};

const NAME: &str = "nats-server";
/// Where `make tools` puts it, seen from the project's folder.
const TOOLS_PATH: &str = ".tools/nats/bin/nats-server";
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// A nats-server that can be started.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    /// The program.
    pub(super) path: PathBuf,
    /// What it says it is.
    pub(super) version: Version,
}

/// Why there is no nats-server to start.
#[derive(Debug, thiserror::Error)]
pub(super) enum BinaryError {
    /// It was looked for in vain.
    #[error(
        "there is no nats-server in .tools or on PATH; run `make tools`, install version \
         {VERSION_MIN} or newer, or name one by --nats-server (TIDINGS_NATS_SERVER)"
    )]
    None,
    /// It cannot be run.
    #[error("{path} cannot be run; name a nats-server by --nats-server (TIDINGS_NATS_SERVER)")]
    Unusable {
        /// The program.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// It does not answer like a nats-server.
    #[error(
        "{path} told no version when asked with --version; name a nats-server by --nats-server \
         (TIDINGS_NATS_SERVER)"
    )]
    Silent {
        /// The program.
        path: PathBuf,
    },
    /// It lacks what Tidings needs.
    #[error(
        "{path} is nats-server {found}, Tidings needs {VERSION_MIN} or newer; run `make tools`, \
         or name a newer one by --nats-server (TIDINGS_NATS_SERVER)"
    )]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its version.
        found: Version,
    },
}

/// Takes the program that was `given`, or the first one that is found in the project's tools (from
/// each of `places` upwards) and in the folders of `search_path`.
///
/// # Errors
/// There is none, or it cannot be used. An unusable one is not passed over for the next.
pub(super) async fn find(
    given: Option<&Path>,
    places: &[PathBuf],
    search_path: &[PathBuf],
) -> Result<Binary, BinaryError> {
    let own = || {
        places
            .iter()
            .flat_map(|place| place.ancestors())
            .map(|dir| dir.join(TOOLS_PATH))
    };
    let common = || search_path.iter().map(|dir| dir.join(NAME));
    let path = match given {
        Some(path) => path.to_owned(),
        None => own()
            .chain(common())
            .find(|path| path.is_file())
            .ok_or(BinaryError::None)?,
    };
    let version = ask_version(&path).await?;
    if version < VERSION_MIN {
        return Err(BinaryError::TooOld {
            path,
            found: version,
        });
    }
    Ok(Binary { path, version })
}

async fn ask_version(path: &Path) -> Result<Version, BinaryError> {
    let unusable = |source| BinaryError::Unusable {
        path: path.to_owned(),
        source,
    };
    let asked = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let Output { stdout, .. } = match tokio::time::timeout(VERSION_TIMEOUT, asked).await {
        Ok(answered) => answered.map_err(unusable)?,
        Err(_) => {
            return Err(BinaryError::Silent {
                path: path.to_owned(),
            });
        }
    };
    let text = String::from_utf8_lossy(&stdout);
    let told = text
        .lines()
        .find_map(|line| line.strip_prefix("nats-server: v")?.parse().ok());
    told.ok_or_else(|| BinaryError::Silent {
        path: path.to_owned(),
    })
}

/// A version of nats-server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The text is no version.
#[derive(Debug)]
pub(super) struct VersionError;

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `2.12.0`; what may follow, as in `2.12.0-RC.1`, does not count.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let mut parts = text[..end]
            .split('.')
            .map(|part| part.parse().map_err(|_| VersionError));
        let mut next = || parts.next().unwrap_or(Err(VersionError));
        Ok(Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn program(folder: &Path, name: &str, answer: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn versions_are_compared_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("2.9.10") < VERSION_MIN && version("2.12.0") >= VERSION_MIN);
        assert!(version("2.15.1") > version("2.12.10-RC.1"));
        for bad in ["", "2", "2.12", "2..1", "x.1.2"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_projects_own_one_is_found_upwards_and_comes_before_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let own = program(folder.path(), TOOLS_PATH, "nats-server: v2.15.1");
        let common = program(folder.path(), "bin/nats-server", "nats-server: v2.14.0");
        let place = folder.path().join("a/b");
        let search_path = [folder.path().join("empty"), folder.path().join("bin")];
        let found = find(None, std::slice::from_ref(&place), &search_path)
            .await
            .unwrap();
        assert_eq!(found.path, own);
        assert_eq!(find(None, &[], &search_path).await.unwrap().path, common);
        assert_eq!(
            find(Some(&common), &[place], &[]).await.unwrap().path,
            common
        );
        assert!(matches!(find(None, &[], &[]).await, Err(BinaryError::None)));
    }

    #[tokio::test]
    async fn an_old_one_is_named_with_its_version_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let old = program(folder.path(), "nats-server", "nats-server: v2.9.10");
        let message = find(Some(&old), &[], &[]).await.unwrap_err().to_string();
        for part in [
            old.to_str().unwrap(),
            "2.9.10",
            "2.12.0",
            "make tools",
            "TIDINGS_NATS_SERVER",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let other = program(folder.path(), "other", "hello");
        assert!(matches!(
            find(Some(&other), &[], &[]).await,
            Err(BinaryError::Silent { .. })
        ));
        let absent = folder.path().join("absent");
        assert!(matches!(
            find(Some(&absent), &[], &[]).await,
            Err(BinaryError::Unusable { .. })
        ));
    }
}
