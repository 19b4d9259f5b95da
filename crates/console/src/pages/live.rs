//! Changes as server-sent events: not what changed, only that something did. The page then asks
//! for itself again, so that there is one way in which things are shown.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Path;
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use http::StatusCode;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_service::clock;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::guard::Visitor;

/// Streams that one console serves at once. Whoever comes too late reloads by hand.
const STREAMS_MAX: usize = 256;
/// Of them, those of one token: nobody takes them all.
const STREAMS_OF_TOKEN_MAX: usize = 64;
/// At least so long between two events of a stream.
const PAUSE: Duration = Duration::from_millis(500);
/// States and backlogs change without a word from the log; and a session may have ended.
const TICK: Duration = Duration::from_secs(5);
/// Browsers come back by themselves; so a stream ends before proxies grow tired of it.
const ROUNDS_MAX: u32 = 2_000;

/// The streams that are open, by the token of who follows.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<HashMap<String, usize>>);

impl Streams {
    fn enter(self: Arc<Self>, token: &str) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(token).copied().unwrap_or(0);
        if all >= STREAMS_MAX || own >= STREAMS_OF_TOKEN_MAX {
            return None;
        }
        open.insert(token.to_owned(), own + 1);
        drop(open);
        Some(Place {
            streams: self,
            token: token.to_owned(),
        })
    }
}

/// A place among the open streams, given back when dropped.
#[derive(Debug)]
struct Place {
    streams: Arc<Streams>,
    token: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = self.streams.0.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.token) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.token);
            }
        }
    }
}

struct Follower {
    visitor: Visitor,
    space: Space,
    changes: Receiver<Arc<BTreeSet<String>>>,
    stop: CancellationToken,
    rounds: u32,
    is_over: bool,
    _place: Place,
}

/// The stream of a space.
pub(crate) async fn follow(visitor: Visitor, Path(space): Path<String>) -> Answer {
    let scope = match visitor.caller.token.scopes.contains(&Scope::DeliveriesRead) {
        true => Scope::DeliveriesRead,
        false => Scope::WebhooksRead,
    };
    let space = visitor.space(&space, scope)?;
    let streams = Arc::clone(&visitor.desk.streams);
    let Some(place) = streams.enter(&visitor.session.token_hash) else {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let follower = Follower {
        changes: visitor.desk.app.log.changes(),
        stop: visitor.desk.app.lifecycle.stop.clone(),
        visitor,
        space,
        rounds: 0,
        is_over: false,
        _place: place,
    };
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::default());
    Ok(events.into_response())
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        if self.is_over || self.rounds >= ROUNDS_MAX {
            return None;
        }
        let stop = self.stop.clone();
        let is_change = stop.run_until_cancelled(self.change()).await?;
        self.rounds += 1;
        if !self.is_signed_in().await {
            self.is_over = true;
            return Some(Event::default().event("ended").data("signed out"));
        }
        let word = if is_change { "changed" } else { "tick" };
        // Browsers drop events without data.
        Some(Event::default().event(word).data("now"))
    }

    /// Waits until something changed in the space, or for a tick.
    async fn change(&mut self) -> bool {
        sleep(PAUSE).await;
        let own = async {
            loop {
                match self.changes.recv().await {
                    Ok(spaces) if spaces.contains(self.space.as_str()) => return true,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return std::future::pending().await,
                }
            }
        };
        timeout(TICK, own).await.unwrap_or(false)
    }

    async fn is_signed_in(&self) -> bool {
        let Visitor { desk, session, .. } = &self.visitor;
        let now = clock::now();
        let has_token = desk
            .app
            .tokens
            .find_hash(&session.token_hash, now)
            .is_some();
        // A broker that does not answer is no reason to sign anybody out.
        let found = desk.sessions.find(&self.visitor.cookie).await;
        has_token && session.holds(now) && !matches!(found, Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_for_each_token_and_for_all_and_places_come_back() {
        let streams = Arc::new(Streams::default());
        let take = |token: &str, count: usize| -> Vec<Place> {
            let places = (0..count).map_while(|_| Arc::clone(&streams).enter(token));
            places.collect()
        };
        let mut own = take("a", 1_000);
        assert_eq!(own.len(), STREAMS_OF_TOKEN_MAX);
        let others: Vec<_> = ["b", "c", "d", "e"].map(|token| take(token, 64)).into();
        assert_eq!(
            others.iter().map(Vec::len).sum::<usize>(),
            STREAMS_MAX - own.len()
        );
        own.pop();
        assert_eq!(take("e", 2).len(), 1);
        drop((own, others));
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
