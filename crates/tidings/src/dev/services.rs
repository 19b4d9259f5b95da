//! The services, all in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Command;
use tidings_console::ConsoleArgs;
use tidings_ingest::IngestArgs;
use tidings_nats::connect::NatsArgs;
use tidings_router::RouterArgs;
use tidings_sender::SenderArgs;
use tidings_sender::args::{List, Network};
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const SUMMARISE_EVERY: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the services are to be told; everything else is as their own options say.
#[derive(Debug)]
pub(super) struct Settings {
    /// Where ingest listens.
    pub(super) ingest: SocketAddr,
    /// Where the console listens.
    pub(super) console: SocketAddr,
    /// Where the console keeps its delivery log.
    pub(super) console_data_dir: PathBuf,
    /// How many senders there are.
    pub(super) senders: u16,
    /// Which networks may be called although they are not public.
    pub(super) egress_allow: List<Network>,
    /// What opens the secrets of webhooks.
    pub(super) secret_key_file: PathBuf,
    /// How NATS is reached.
    pub(super) nats: NatsArgs,
}

/// The services that run. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Services {
    ingest: SocketAddr,
    console: SocketAddr,
    parts: Arc<Vec<(&'static str, Health)>>,
    /// What the console tells of all of them, and of itself.
    whole: Health,
}

impl Settings {
    async fn start_console(
        &self,
        whole: Health,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<SocketAddr> {
        let mut console: ConsoleArgs = defaults("tidings console")?;
        console.listen = self.console;
        console.data_dir = self.console_data_dir.clone();
        console.reach.egress.egress_allow = vec![self.egress_allow.clone()];
        // What may be called here is on this machine.
        console.reach.allow_local = true;
        Box::pin(tidings_console::start(
            console, &self.nats, whole, lifecycle,
        ))
        .await
    }
}

impl Services {
    /// Starts ingest, router and senders on `lifecycle`.
    ///
    /// # Errors
    /// An environment variable of a service is wrong, or an address cannot be used.
    pub(super) async fn start(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        let mut part = |name| {
            let health = Health::new();
            parts.push((name, health.clone()));
            health
        };
        let ingest = IngestArgs {
            listen: settings.ingest,
            nats: settings.nats.clone(),
            ..defaults("tidings-ingest")?
        };
        let ingest = tidings_ingest::start(ingest, part("ingest"), lifecycle).await?;
        let router = RouterArgs {
            listen: None,
            nats: settings.nats.clone(),
            ..defaults("tidings-router")?
        };
        tidings_router::run(router, part("router"), lifecycle).await?;
        for _ in 0..settings.senders {
            let mut sender: SenderArgs = defaults("tidings-sender")?;
            sender.listen = None;
            // Each has its own; a name from the environment would be everybody's.
            sender.name = None;
            sender.nats = settings.nats.clone();
            sender.secrets.secret_key_file = Some(settings.secret_key_file.clone());
            sender.egress.egress_allow = vec![settings.egress_allow.clone()];
            tidings_sender::run(sender, part("sender"), lifecycle).await?;
        }
        let whole = Health::new();
        let console = settings.start_console(whole.clone(), lifecycle).await?;
        let services = Self {
            ingest,
            console,
            parts: Arc::new(parts),
            whole,
        };
        services.look_after(lifecycle);
        Ok(services)
    }

    /// Where ingest listens.
    pub(super) fn ingest(&self) -> SocketAddr {
        self.ingest
    }

    /// Where the console listens.
    pub(super) fn console(&self) -> SocketAddr {
        self.console
    }

    /// Waits until all of them can work; `false` if the process is asked to stop before.
    ///
    /// # Errors
    /// One of them cannot within a minute.
    pub(super) async fn ready(&self, lifecycle: &Lifecycle) -> anyhow::Result<bool> {
        let waiting = async {
            while !self.parts.iter().all(|(_, health)| is_ready(health)) || !is_ready(&self.whole) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let waited = tokio::time::timeout(READY_TIMEOUT, waiting);
        match lifecycle.stop.run_until_cancelled(waited).await {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(_)) => bail!("not ready after {READY_TIMEOUT:?}: {}", self.reasons()),
        }
    }

    /// Keeps what each service says of itself in `whole`, a check a service.
    fn look_after(&self, lifecycle: &Lifecycle) {
        let (services, stop) = (self.clone(), lifecycle.stop.clone());
        services.summarise();
        lifecycle.tasks.spawn(async move {
            let looking = async {
                loop {
                    services.summarise();
                    tokio::time::sleep(SUMMARISE_EVERY).await;
                }
            };
            stop.run_until_cancelled(looking).await;
        });
    }

    fn summarise(&self) {
        for name in ["ingest", "router", "sender"] {
            let of_name = self.parts.iter().filter(|(part, _)| *part == name);
            let reasons: Vec<String> = of_name.flat_map(|(_, health)| faults(health)).collect();
            match reasons.is_empty() {
                true => self.whole.ready(name),
                false => self.whole.unready(name, reasons.join("; ")),
            }
        }
    }

    fn reasons(&self) -> String {
        let told = self.parts.iter().flat_map(|(name, health)| {
            faults(health)
                .into_iter()
                .map(move |fault| format!("{name}: {fault}"))
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

/// A service that has not yet said what it needs is not ready.
fn is_ready(health: &Health) -> bool {
    let checks = health.checks();
    !checks.is_empty() && checks.values().all(Result::is_ok)
}

fn faults(health: &Health) -> Vec<String> {
    let told = health.checks().into_iter();
    told.filter_map(|(check, state)| Some(format!("{check}: {}", state.err()?)))
        .collect()
}

/// The options of a service as its environment variables and defaults say.
fn defaults<A: clap::Args>(program: &'static str) -> anyhow::Result<A> {
    let command = A::augment_args(Command::new(program).no_binary_name(true));
    let parsed = command
        .try_get_matches_from(std::iter::empty::<&str>())
        .and_then(|matches| A::from_arg_matches(&matches));
    parsed
        .map_err(|error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            anyhow::anyhow!("{}", line.trim_start_matches("error: ").to_owned())
        })
        .with_context(|| format!("a setting of {program} cannot be used"))
}
