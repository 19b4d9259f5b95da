//! What a receiver does with a request: one answer, or a script of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::receiver::request::Request;

/// What happens to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) delay: Duration,
    pub(super) ending: Ending,
}

#[derive(Clone, Debug)]
pub(super) enum Ending {
    Respond {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    Hang,
    Close,
    Reset,
}

impl Answer {
    /// A response with this status and nothing else; add [`header`](Self::header)s and a
    /// [`body`](Self::body).
    ///
    /// # Panics
    /// If the status is not within 200 to 999: for others there is [`RawReceiver`](crate::RawReceiver).
    pub fn status(code: u16) -> Self {
        let status = StatusCode::from_u16(code)
            .ok()
            .filter(|status| !status.is_informational());
        let status = status.unwrap_or_else(|| panic!("{code} is no final status"));
        Self::new(Ending::Respond {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    /// No answer, for as long as the client waits.
    pub fn hang() -> Self {
        Self::new(Ending::Hang)
    }

    /// No answer: the connection is closed in good order (FIN).
    pub fn close() -> Self {
        Self::new(Ending::Close)
    }

    /// No answer: the connection is reset (RST).
    pub fn reset() -> Self {
        Self::new(Ending::Reset)
    }

    /// Adds a header to a response.
    ///
    /// # Panics
    /// If it is not a valid header, or this answer is no response.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let Ending::Respond { headers, .. } = &mut self.ending else {
            panic!("only a response has headers");
        };
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a valid header name");
        headers.append(
            name,
            HeaderValue::from_bytes(value.as_ref()).expect("a valid value"),
        );
        self
    }

    /// Sets the body of a response.
    ///
    /// # Panics
    /// If this answer is no response.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        let Ending::Respond { body, .. } = &mut self.ending else {
            panic!("only a response has a body");
        };
        *body = bytes.into();
        self
    }

    /// Waits so long before it happens, counted from the end of the request.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn new(ending: Ending) -> Self {
        Self {
            delay: Duration::ZERO,
            ending,
        }
    }
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

/// Answers to many requests. A list gives them in turn, and its last one for ever.
pub struct Answers(Script);

enum Script {
    InTurn {
        answers: Vec<Answer>,
        next: AtomicUsize,
    },
    PerDelivery(Vec<Answer>),
    Rule(Box<dyn Fn(&Request) -> Answer + Send + Sync>),
}

impl Answers {
    /// Each delivery (`webhook-id`) gets the list from its beginning, its last answer for ever.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn per_delivery<A: Into<Answer>>(answers: impl IntoIterator<Item = A>) -> Self {
        Self(Script::PerDelivery(list(answers)))
    }

    /// Asks a function, which may look at the receiver itself. If it panics, the client sees a
    /// closed connection, and the request is counted but not kept.
    pub fn rule(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(Script::Rule(Box::new(rule)))
    }

    pub(super) fn answer(&self, request: &Request) -> Answer {
        match &self.0 {
            Script::InTurn { answers, next } => pick(answers, next.fetch_add(1, Ordering::Relaxed)),
            Script::PerDelivery(answers) => pick(answers, request.repeat),
            Script::Rule(rule) => rule(request),
        }
    }

    fn in_turn<A: Into<Answer>>(answers: impl IntoIterator<Item = A>) -> Self {
        Self(Script::InTurn {
            answers: list(answers),
            next: AtomicUsize::new(0),
        })
    }
}

impl<A: Into<Answer>, const N: usize> From<[A; N]> for Answers {
    fn from(answers: [A; N]) -> Self {
        Self::in_turn(answers)
    }
}

impl<A: Into<Answer>> From<Vec<A>> for Answers {
    fn from(answers: Vec<A>) -> Self {
        Self::in_turn(answers)
    }
}

impl From<Answer> for Answers {
    fn from(answer: Answer) -> Self {
        Self::in_turn([answer])
    }
}

impl From<u16> for Answers {
    fn from(status: u16) -> Self {
        Self::in_turn([status])
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Script::InTurn { answers, .. } => f.debug_tuple("InTurn").field(answers).finish(),
            Script::PerDelivery(answers) => f.debug_tuple("PerDelivery").field(answers).finish(),
            Script::Rule(_) => f.write_str("Rule"),
        }
    }
}

/// Answers by path: the first matching route, else the answers for everything.
#[derive(Debug)]
pub(super) struct Routes {
    routes: Vec<(String, Arc<Answers>)>,
    everything: Arc<Answers>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            routes: Vec::new(),
            everything: Arc::new(Answers::from(204)),
        }
    }

    pub(super) fn set_everything(&mut self, answers: Answers) {
        self.everything = Arc::new(answers);
    }

    /// Sets the answers of a path, or of all paths below it if it ends with `/*`. Keeps the place
    /// of a route that was there before.
    pub(super) fn set(&mut self, path: &str, answers: Answers) {
        let answers = Arc::new(answers);
        match self.routes.iter_mut().find(|(route, _)| route == path) {
            Some(route) => route.1 = answers,
            None => self.routes.push((path.to_owned(), answers)),
        }
    }

    pub(super) fn find(&self, path: &str) -> Arc<Answers> {
        let route = self.routes.iter().find(|(route, _)| matches(route, path));
        Arc::clone(route.map_or(&self.everything, |(_, answers)| answers))
    }
}

fn matches(route: &str, path: &str) -> bool {
    match route.strip_suffix('*') {
        Some(start) if start.ends_with('/') => path.starts_with(start),
        _ => route == path,
    }
}

fn list<A: Into<Answer>>(answers: impl IntoIterator<Item = A>) -> Vec<Answer> {
    let answers: Vec<Answer> = answers.into_iter().map(Into::into).collect();
    assert!(!answers.is_empty(), "a script needs at least one answer");
    answers
}

fn pick(answers: &[Answer], index: usize) -> Answer {
    answers[index.min(answers.len() - 1)].clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_every_path_below() {
        assert!(matches("/fail/*", "/fail/a/b"));
        assert!(!matches("/fail/*", "/fail"));
        assert!(!matches("/fail/*", "/failing"));
        assert!(matches("/ok", "/ok"));
        assert!(!matches("/ok", "/ok/more"));
    }
}
