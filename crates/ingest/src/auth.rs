//! Who publishes, and to which space.
//!
//! Tokens are looked up by their hash in a local copy of the bucket `tidings_tokens`, which holds
//! nothing but hashes (CONTRACT.md section 6).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tidings_core::event::EventError;
use tidings_core::name::Space;
use tidings_core::token::{Access, Scope, TokenRecord, hash};
use tidings_nats::table::Sink;
use tidings_service::problem::Problem;
use tracing::warn;

use crate::check;

const SCHEME: &str = "Bearer";

/// Who publishes.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Whoever has this token.
    Token(Arc<TokenRecord>),
    /// Somebody whom NATS lets publish to the subject of this space.
    Subject(Space),
}

impl Caller {
    /// The space of an event that says `given`, which is empty if it says nothing: then it is the
    /// caller's only space.
    ///
    /// # Errors
    /// The event says nothing and the caller has no only space, or it says another one's.
    pub fn space(&self, given: &str) -> Result<Space, Problem> {
        let own = match self {
            Self::Token(token) => token.space.as_ref(),
            Self::Subject(space) => Some(space),
        };
        let wrong = |code, detail: &str| check::problem(&EventError::new(code, "/space", detail));
        if given.is_empty() {
            let detail = "it is missing; only a token for a single space stands for it";
            return own.cloned().ok_or_else(|| wrong("missing_field", detail));
        }
        let space: Space = given
            .parse()
            .map_err(|error| wrong("bad_space", &format!("{error}")))?;
        match own {
            Some(own) if *own != space => Err(self.other_space()),
            _ => Ok(space),
        }
    }

    fn other_space(&self) -> Problem {
        let detail = match self {
            Self::Token(_) => "the token belongs to another space",
            Self::Subject(_) => "the subject is another space's",
        };
        Problem::new(StatusCode::FORBIDDEN, "other_space", detail).at("/space", detail)
    }
}

/// All tokens, by their hash.
#[derive(Debug, Default)]
pub struct Tokens {
    by_hash: RwLock<HashMap<String, Arc<TokenRecord>>>,
}

impl Tokens {
    /// Who sent a request with these headers, if he may publish events at all.
    ///
    /// # Errors
    /// There is no token, or it is unknown, expired or without the scope.
    pub fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Problem> {
        let detail = "an `Authorization: Bearer` header with a token is required";
        let text = bearer(headers).ok_or_else(|| unauthorized("missing_token", detail))?;
        let known = self.get(&hash(text));
        let token = known.ok_or_else(|| unauthorized("unknown_token", "the token is unknown"))?;
        match access(&token, now) {
            Access::Granted => Ok(Caller::Token(token)),
            Access::Expired => Err(unauthorized("expired_token", "the token has expired")),
            Access::MissingScope | Access::OtherSpace => {
                let detail = "the token has not the scope events:write";
                Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail))
            }
        }
    }

    fn get(&self, hash: &str) -> Option<Arc<TokenRecord>> {
        let by_hash = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        by_hash.get(hash).map(Arc::clone)
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

/// Whether the token may publish anywhere. To which space is asked with each event.
fn access(token: &TokenRecord, now: Timestamp) -> Access {
    let any = || "any".parse().expect("it is a name");
    let space = token.space.clone().unwrap_or_else(any);
    token.access(Scope::EventsWrite, &space, now)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let tokens = Tokens::default();
        for (text, space, scope) in [
            ("acme", "\"acme\"", "events:write"),
            ("all", "null", "admin"),
            ("reader", "null", "webhooks:read"),
        ] {
            let record = format!(
                r#"{{"id":"t","space":{space},"scopes":["{scope}"],
                "createdAt":"2026-01-01T00:00:00Z","expiresAt":"2027-01-01T00:00:00Z"}}"#
            );
            tokens.put(&hash(text), record.as_bytes());
        }
        tokens
    }

    fn ask(authorization: &str, now: &str) -> Result<Caller, String> {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        }
        let asked = tokens().authenticate(&headers, now.parse().unwrap());
        asked.map_err(|problem| format!("{} {}", problem.status.as_u16(), problem.code))
    }

    #[test]
    fn only_a_known_fresh_token_with_the_scope_may_publish() {
        let now = "2026-06-01T00:00:00Z";
        assert!(ask("Bearer acme", now).is_ok());
        assert!(ask("bearer  all ", now).is_ok());
        for (authorization, now, expected) in [
            ("", now, "401 missing_token"),
            ("Bearer", now, "401 missing_token"),
            ("Bearer ", now, "401 missing_token"),
            ("Basic acme", now, "401 missing_token"),
            ("Bearer nobody", now, "401 unknown_token"),
            ("Bearer acme", "2027-01-01T00:00:00Z", "401 expired_token"),
            ("Bearer reader", now, "403 missing_scope"),
        ] {
            assert_eq!(
                ask(authorization, now).unwrap_err(),
                expected,
                "{authorization}"
            );
        }
    }

    #[test]
    fn an_event_belongs_to_the_callers_space() {
        let acme = ask("Bearer acme", "2026-06-01T00:00:00Z").unwrap();
        let all = ask("Bearer all", "2026-06-01T00:00:00Z").unwrap();
        let code = |asked: Result<Space, Problem>| asked.map_err(|problem| problem.code);
        assert_eq!(acme.space("").unwrap().as_str(), "acme");
        assert_eq!(acme.space("acme").unwrap().as_str(), "acme");
        assert_eq!(code(acme.space("other")), Err("other_space"));
        assert_eq!(all.space("other").unwrap().as_str(), "other");
        assert_eq!(code(all.space("")), Err("missing_field"));
        assert_eq!(code(all.space("a.b")), Err("bad_space"));
    }

    #[test]
    fn a_token_that_is_gone_or_broken_stops_working() {
        let tokens = tokens();
        tokens.put(&hash("acme"), b"{}");
        assert!(tokens.get(&hash("acme")).is_none());
        tokens.retain(&HashSet::new());
        assert!(tokens.get(&hash("all")).is_none());
    }
}
