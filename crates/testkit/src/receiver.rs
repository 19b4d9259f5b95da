//! A webhook endpoint for tests: a real HTTP server that answers by script and records what came.

mod answer;
mod request;
mod serve;

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::listening::{ConnectionCount, Listening};
use crate::receiver::answer::Routes;
pub use crate::receiver::answer::{Answer, Answers};
use crate::receiver::request::{Account, Keep};
pub use crate::receiver::request::{Counts, Request};

/// The largest request body; a larger one ends its connection.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a [`Receiver`] is to be set up.
#[derive(Debug)]
pub struct ReceiverBuilder {
    address: SocketAddr,
    routes: Routes,
    keep: Keep,
    tls: Option<Arc<ServerConfig>>,
}

impl ReceiverBuilder {
    /// The answers for every path without answers of its own; 204 unless set.
    #[must_use]
    pub fn answers(mut self, answers: impl Into<Answers>) -> Self {
        self.routes.set_everything(answers.into());
        self
    }

    /// The answers for a path, or for all paths below it if it ends with `/*`. The first route
    /// that matches counts.
    #[must_use]
    pub fn on(mut self, path: &str, answers: impl Into<Answers>) -> Self {
        self.routes.set(path, answers.into());
        self
    }

    /// Speaks TLS; HTTP/2 if the configuration offers `h2` and the client takes it.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Listens here rather than on a free port of 127.0.0.1.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Keeps requests without their bodies. Rules still see them.
    #[must_use]
    pub fn without_bodies(mut self) -> Self {
        self.keep = Keep::AllButBodies;
        self
    }

    /// Keeps no requests, only how often each delivery came, for load. Bodies are not even
    /// collected.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.keep = Keep::Counts;
        self
    }

    /// Starts it.
    pub async fn start(self) -> Receiver {
        let shared = Arc::new(Shared {
            routes: RwLock::new(self.routes),
            keep: self.keep,
            account: Mutex::new(Account::new(self.keep)),
            arrivals: watch::Sender::new(()),
        });
        let connections = ConnectionCount::new(watch::Sender::new(0));
        let listening = listen(self.address, &connections, &shared, self.tls.clone()).await;
        let address = listening.address();
        Receiver {
            shared,
            address,
            tls: self.tls,
            connections,
            listening: Some(listening),
        }
    }
}

/// A webhook endpoint on loopback: HTTP/1.1 and HTTP/2, with or without TLS. Closed, with all its
/// connections, when dropped.
///
/// A request is recorded once it has arrived whole, before it is answered. What arrives in part is
/// not recorded.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    connections: ConnectionCount,
    listening: Option<Listening>,
}

impl Receiver {
    /// A receiver that answers 204 to everything.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A receiver with these answers: a status, a list of them (the last repeats), or [`Answers`].
    pub async fn answering(answers: impl Into<Answers>) -> Self {
        Self::builder().answers(answers).start().await
    }

    /// A receiver for load, which answers 204 and only counts.
    pub async fn counting() -> Self {
        Self::builder().counting().start().await
    }

    /// A receiver to be set up and started.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            routes: Routes::new(),
            keep: Keep::Everything,
            tls: None,
        }
    }

    /// Its URL with this path: `http://127.0.0.1:PORT/path`, or `https:`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Where it listens; the same over [`restart`](Self::restart).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        *self.connections.borrow()
    }

    /// Changes the answers for every path without answers of its own.
    pub fn set_answers(&self, answers: impl Into<Answers>) {
        self.shared
            .change(|routes| routes.set_everything(answers.into()));
    }

    /// Changes the answers for a path, as [`ReceiverBuilder::on`].
    pub fn set_answers_on(&self, path: &str, answers: impl Into<Answers>) {
        self.shared
            .change(|routes| routes.set(path, answers.into()));
    }

    /// Everything that has arrived, in order.
    ///
    /// # Panics
    /// If it only counts.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.account().requests().to_vec()
    }

    /// How often each delivery has arrived.
    pub fn counts(&self) -> Counts {
        self.shared.account().counts().clone()
    }

    /// Waits for `count` requests in all, and returns everything that has arrived by then.
    ///
    /// # Panics
    /// After `within`, with what did arrive.
    #[track_caller]
    pub fn wait_for(&self, count: usize, within: Duration) -> impl Future<Output = Vec<Request>> {
        self.shared
            .wait(within, format!("{count} requests"), move |account| {
                let requests = account.requests();
                (requests.len() >= count).then(|| requests.to_vec())
            })
    }

    /// Waits until what has arrived satisfies `enough`, and returns it.
    ///
    /// # Panics
    /// After `within`, with what did arrive.
    #[track_caller]
    pub fn wait_until(
        &self,
        enough: impl Fn(&[Request]) -> bool,
        within: Duration,
    ) -> impl Future<Output = Vec<Request>> {
        self.shared
            .wait(within, "the awaited requests".to_owned(), move |account| {
                let requests = account.requests();
                enough(requests).then(|| requests.to_vec())
            })
    }

    /// Waits until `count` different deliveries have arrived at least once.
    ///
    /// # Panics
    /// After `within`, with what did arrive.
    #[track_caller]
    pub fn wait_for_deliveries(
        &self,
        count: usize,
        within: Duration,
    ) -> impl Future<Output = Counts> {
        self.shared
            .wait(within, format!("{count} deliveries"), move |account| {
                let counts = account.counts();
                (counts.deliveries() >= count).then(|| counts.clone())
            })
    }

    /// Watches that nothing more arrives for as long as `during`.
    ///
    /// # Panics
    /// As soon as something does.
    #[track_caller]
    pub fn assert_quiet(&self, during: Duration) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let before = self.shared.account().counts().requests;
        async move {
            let deadline = Instant::now() + during;
            let more = self.shared.look_until(deadline, |account| {
                (account.counts().requests > before).then(|| account.summary())
            });
            if let Some(summary) = more.await {
                panic!("{caller}: more than the {before} requests before: {summary}");
            }
        }
    }

    /// Closes the listener and every connection, and waits until they are closed: connections are
    /// refused from now on. What has arrived stays.
    pub async fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.stop().await;
        }
    }

    /// Listens again on the same address, after [`stop`](Self::stop) if it still does.
    pub async fn restart(&mut self) {
        self.stop().await;
        let tls = self.tls.clone();
        self.listening = Some(listen(self.address, &self.connections, &self.shared, tls).await);
    }
}

async fn listen(
    address: SocketAddr,
    connections: &ConnectionCount,
    shared: &Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
) -> Listening {
    let tls = tls.map(TlsAcceptor::from);
    let shared = Arc::clone(shared);
    Listening::start(address, Arc::clone(connections), move |accepted| {
        serve::serve(accepted, Arc::clone(&shared), tls.clone())
    })
    .await
}

/// What the connections of a receiver have in common with it.
#[derive(Debug)]
struct Shared {
    routes: RwLock<Routes>,
    keep: Keep,
    account: Mutex<Account>,
    arrivals: watch::Sender<()>,
}

impl Shared {
    fn reads_bodies(&self) -> bool {
        self.keep != Keep::Counts
    }

    /// Records a request and says what is to be answered. No lock is held while a rule is asked,
    /// so that it may look at the receiver itself.
    fn take(&self, mut request: Request) -> Answer {
        request.repeat = self.account().count(&request.headers);
        let answer = self.answers(request.path()).answer(&request);
        self.account().keep(request);
        self.arrivals.send_replace(());
        answer
    }

    fn answers(&self, path: &str) -> Arc<Answers> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.find(path)
    }

    fn change(&self, change: impl FnOnce(&mut Routes)) {
        change(&mut self.routes.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn wait<T>(
        &self,
        within: Duration,
        what: String,
        look: impl Fn(&Account) -> Option<T>,
    ) -> impl Future<Output = T> {
        let caller = Location::caller();
        async move {
            let found = self.look_until(Instant::now() + within, look).await;
            found.unwrap_or_else(|| {
                let seen = self.account().summary();
                panic!("{caller}: no {what} within {within:?} but {seen}")
            })
        }
    }

    /// Looks now and after each arrival until there is something, or the deadline has passed.
    async fn look_until<T>(
        &self,
        deadline: Instant,
        look: impl Fn(&Account) -> Option<T>,
    ) -> Option<T> {
        let mut arrivals = self.arrivals.subscribe();
        loop {
            if let Some(found) = look(&self.account()) {
                return Some(found);
            }
            timeout_at(deadline, arrivals.changed()).await.ok()?.ok()?;
        }
    }
}
