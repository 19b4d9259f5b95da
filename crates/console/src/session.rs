//! Sessions of browsers: a token exchanged for a cookie.
//!
//! A session lies in the bucket `tidings_sessions` under the hash of its cookie, so that every
//! console knows it and signing out ends it everywhere. It names its token by the token's hash:
//! a revoked or expired token ends its sessions with it. The bucket forgets sessions by age.

pub(crate) mod lockout;

use std::fmt::Write as _;

use async_nats::jetstream::kv::{self, Operation};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tidings_manage::{Error, Manage, Result};
use tidings_nats::topology::{SESSION_AGE, SESSIONS_BUCKET};
use tokio::sync::OnceCell;

/// The cookie's name where it goes over TLS only. The prefix makes browsers refuse one that a
/// neighbouring host has set.
const SECURE_COOKIE: &str = "__Host-tidings_session";
const COOKIE: &str = "tidings_session";

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// The hash of the token that was signed in with.
    pub(crate) token_hash: String,
    /// What every form carries.
    pub(crate) csrf: String,
    /// When it began.
    pub(crate) created_at: Timestamp,
}

impl Session {
    /// A session for the token of this hash.
    pub(crate) fn new(token_hash: String, csrf: [u8; 32], now: Timestamp) -> Self {
        Self {
            token_hash,
            csrf: URL_SAFE_NO_PAD.encode(csrf),
            created_at: now,
        }
    }

    /// Whether a form carries this session's mark. Takes the same time for every wrong one.
    pub(crate) fn is_own_mark(&self, mark: &str) -> bool {
        self.csrf.as_bytes().ct_eq(mark.as_bytes()).into()
    }

    /// Whether it still holds at `now`, also where the bucket has not forgotten it yet.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        let end = self.created_at.checked_add(SESSION_AGE);
        end.is_ok_and(|end| now < end)
    }
}

/// The sessions of all consoles.
#[derive(Debug)]
pub(crate) struct Sessions {
    manage: Manage,
    bucket: OnceCell<kv::Store>,
}

impl Sessions {
    pub(crate) fn new(manage: Manage) -> Self {
        Self {
            manage,
            bucket: OnceCell::new(),
        }
    }

    /// Stores a session. Returns what its cookie holds.
    pub(crate) async fn begin(&self, session: &Session) -> Result<String> {
        let cookie = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let value = serde_json::to_vec(session).map_err(|error| failed(&error))?;
        let stored = self.bucket().await?.put(key(&cookie), Bytes::from(value));
        stored.await.map_err(|error| failed(&error))?;
        Ok(cookie)
    }

    /// The session of a cookie, if there is one.
    pub(crate) async fn find(&self, cookie: &str) -> Result<Option<Session>> {
        let entry = self.bucket().await?.entry(key(cookie)).await;
        let entry = entry.map_err(|error| failed(&error))?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    /// Ends the session of a cookie.
    pub(crate) async fn end(&self, cookie: &str) -> Result<()> {
        let purged = self.bucket().await?.purge(key(cookie)).await;
        purged.map_err(|error| failed(&error))
    }

    async fn bucket(&self) -> Result<&kv::Store> {
        let open = || self.manage.bucket(SESSIONS_BUCKET);
        self.bucket.get_or_try_init(open).await
    }
}

/// What a browser sent as its session's cookie among all of them.
pub(crate) fn read_cookie(cookies: &str, is_secure: bool) -> Option<&str> {
    find_cookie(cookies, cookie_name(is_secure))
}

/// The value of one of the cookies in a `Cookie` header.
pub(crate) fn find_cookie<'a>(cookies: &'a str, name: &str) -> Option<&'a str> {
    let pairs = cookies.split(';').filter_map(|pair| pair.split_once('='));
    let mut pairs = pairs.map(|(name, value)| (name.trim(), value.trim()));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// A `Set-Cookie` that begins a session in the browser, or ends it if `value` is empty.
pub(crate) fn write_cookie(value: &str, is_secure: bool) -> String {
    let age = match value {
        "" => 0,
        _ => SESSION_AGE.as_secs(),
    };
    let secure = if is_secure { "; Secure" } else { "" };
    let name = cookie_name(is_secure);
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}")
}

fn cookie_name(is_secure: bool) -> &'static str {
    match is_secure {
        true => SECURE_COOKIE,
        false => COOKIE,
    }
}

fn key(cookie: &str) -> String {
    let mut key = String::with_capacity(64);
    for byte in Sha256::digest(cookie) {
        write!(key, "{byte:02x}").expect("a String takes everything");
    }
    key
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Unavailable(format!("{SESSIONS_BUCKET}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_and_no_script() {
        let set = write_cookie("abc", true);
        assert!(set.starts_with("__Host-tidings_session=abc; Path=/; HttpOnly; SameSite=Lax"));
        assert!(set.ends_with("; Secure"));
        let plain = write_cookie("abc", false);
        assert!(!plain.contains("Secure") && plain.starts_with("tidings_session="));
        assert!(write_cookie("", false).contains("Max-Age=0"));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cookies = "a=b; tidings_session=xyz ; tidings_theme=dark";
        assert_eq!(read_cookie(cookies, false), Some("xyz"));
        assert_eq!(read_cookie(cookies, true), None);
        assert_eq!(find_cookie(cookies, "tidings_theme"), Some("dark"));
        assert_eq!(read_cookie("nothing", false), None);
    }

    #[test]
    fn a_session_knows_its_own_mark_and_its_end() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let session = Session::new(String::from("hash"), [7; 32], now);
        assert!(session.is_own_mark(&session.csrf));
        assert!(!session.is_own_mark(""));
        assert!(!session.is_own_mark("AAAA"));
        assert!(session.holds(now));
        assert!(!session.holds(now + SESSION_AGE));
    }
}
