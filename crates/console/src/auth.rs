//! Who asks, and how much they may ask for.
//!
//! Tokens are looked up by their hash in a local copy of the bucket `tidings_tokens`, which holds
//! nothing but hashes (CONTRACT.md section 6).

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tidings_core::name::Space;
use tidings_core::token::{Scope, TokenRecord, hash};
use tidings_manage::{Actor, Via};
use tidings_nats::table::Sink;
use tidings_service::problem::Problem;
use tracing::warn;

const SCHEME: &str = "Bearer";
/// Requests with unknown tokens, all callers together: looking one up costs nothing, but nobody
/// needs to guess faster.
const GUESSES_PER_SECOND: u32 = 100;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What is known of the token.
    pub token: Arc<TokenRecord>,
    /// The way that they came.
    pub via: Via,
}

impl Caller {
    /// As the record of a change names them.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            id: self.token.id.clone(),
            name: self.token.name.clone(),
            via: self.via,
        }
    }

    /// Whether they may do what is about the whole installation.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.token.space.is_none() && self.token.scopes.contains(&Scope::Admin)
    }

    /// Whether they may do what needs `scope` in `space`.
    #[must_use]
    pub fn may(&self, scope: Scope, space: &Space) -> bool {
        let scopes = &self.token.scopes;
        let is_own = self.token.space.as_ref().is_none_or(|own| own == space);
        is_own && (scopes.contains(&scope) || scopes.contains(&Scope::Admin))
    }

    /// The same as an error of the API.
    ///
    /// # Errors
    /// They may not.
    pub fn need(&self, scope: Scope, space: &Space) -> Result<(), Problem> {
        if self.may(scope, space) {
            return Ok(());
        }
        let is_other = self.token.space.as_ref().is_some_and(|own| own != space);
        Err(match is_other {
            true => forbidden("other_space", "the token belongs to another space"),
            false => forbidden(
                "missing_scope",
                &format!("the token has not the scope {scope}"),
            ),
        })
    }

    /// That they are an administrator of the installation.
    ///
    /// # Errors
    /// They are not.
    pub fn need_admin(&self) -> Result<(), Problem> {
        match self.is_admin() {
            true => Ok(()),
            false => Err(forbidden("missing_scope", "this needs an admin token")),
        }
    }
}

/// All tokens, by their hash.
#[derive(Debug, Default)]
pub struct Tokens {
    by_hash: RwLock<HashMap<String, Arc<TokenRecord>>>,
}

impl Tokens {
    /// What is known of the token with this text, unless it is good for nothing any more.
    #[must_use]
    pub fn find(&self, text: &str, now: Timestamp) -> Option<Arc<TokenRecord>> {
        self.find_hash(&hash(text), now)
    }

    /// The same by the token's hash, as a session remembers it.
    #[must_use]
    pub fn find_hash(&self, hash: &str, now: Timestamp) -> Option<Arc<TokenRecord>> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let found = by_hash.get(hash);
        let found = found.filter(|token| token.expires_at.is_none_or(|end| now < end));
        found.map(Arc::clone)
    }

    /// Who sent a request with these headers.
    ///
    /// # Errors
    /// There is no token, or it is unknown or expired.
    pub fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Problem> {
        let detail = "an `Authorization: Bearer` header with a token is required";
        let text = bearer(headers).ok_or_else(|| unauthorized("missing_token", detail))?;
        let found = self.find(text, now);
        let detail = "the token is unknown, was revoked or has expired";
        let token = found.ok_or_else(|| unauthorized("unknown_token", detail))?;
        Ok(Caller {
            token,
            via: Via::Api,
        })
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Arc<TokenRecord>>)) {
        change(&mut self.by_hash.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Sink for Tokens {
    /// What cannot be read is as good as gone: its token stops working.
    fn put(&self, key: &str, value: &[u8]) {
        match serde_json::from_slice::<TokenRecord>(value) {
            Ok(token) => self.change(|tokens| {
                tokens.insert(key.to_owned(), Arc::new(token));
            }),
            Err(error) => {
                warn!(%error, "a token's record cannot be read; the token is not taken");
                self.remove(key);
            }
        }
    }

    fn remove(&self, key: &str) {
        self.change(|tokens| {
            tokens.remove(key);
        });
    }

    fn retain(&self, keys: &HashSet<String>) {
        self.change(|tokens| tokens.retain(|key, _| keys.contains(key)));
    }
}

type Keyed = RateLimiter<String, HashMapStateStore<String>, MonotonicClock>;

/// How much each token may ask for.
#[derive(Debug)]
pub struct Limits {
    by_token: Keyed,
    guesses: Keyed,
}

impl Limits {
    /// So many requests per second, after so many at once.
    #[must_use]
    pub fn new(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        let guesses = NonZeroU32::new(GUESSES_PER_SECOND).unwrap_or(NonZeroU32::MIN);
        let limiter = |quota| RateLimiter::hashmap_with_clock(quota, MonotonicClock);
        Self {
            by_token: limiter(Quota::per_second(rate).allow_burst(burst)),
            guesses: limiter(Quota::per_second(guesses)),
        }
    }

    /// Takes note of a request of `caller`, or of one that nobody is known for.
    ///
    /// # Errors
    /// It is one too many.
    pub fn take(&self, caller: Option<&Caller>) -> Result<(), Problem> {
        let (limiter, key) = match caller {
            Some(caller) => (&self.by_token, caller.token.id.clone()),
            None => (&self.guesses, String::new()),
        };
        limiter.check_key(&key).map_err(|early| {
            let wait = early.wait_time_from(MonotonicClock.now());
            let detail = "too many requests with this token; come back later";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
            problem.retry_after(wait.max(Duration::from_secs(1)))
        })
    }

    /// Forgets tokens that ask no more.
    pub fn forget_idle(&self) {
        self.by_token.retain_recent();
        self.by_token.shrink_to_fit();
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

fn forbidden(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}
