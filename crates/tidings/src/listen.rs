//! `tidings listen`: a receiver that prints each webhook, with its signature verified.

pub(crate) mod receiver;
pub(crate) mod text;
pub(crate) mod verify;

mod show;

use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use tidings_core::duration;
use tidings_core::secret::Secret;
use tidings_core::signature::VerifyingKey;
use tidings_service::admin;
use tidings_service::lifecycle::Lifecycle;
use tokio::sync::mpsc;

use receiver::{Behaviour, Received, receiver};
pub(crate) use show::topic;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct ListenArgs {
    /// Address to listen at.
    #[arg(
        long,
        env = "TIDINGS_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:9000"
    )]
    listen: SocketAddr,
    /// Secret to verify signatures with: whsec_…, an ed25519 key (whpk_… or whsk_…), or
    /// Contentful's 64 characters; several with commas between them.
    #[arg(long = "secret", env = "TIDINGS_SECRET", value_name = "SECRET", value_delimiter = ',',
          value_parser = secret, hide_env_values = true)]
    secrets: Vec<Secret>,
    /// Answer with this status instead of 200.
    #[arg(long, env = "TIDINGS_FAIL", value_name = "STATUS", value_parser = final_status)]
    fail: Option<StatusCode>,
    /// Answer so only to the first webhooks, and 200 to the rest.
    #[arg(long, env = "TIDINGS_FAIL_TIMES", value_name = "N", requires = "fail")]
    fail_times: Option<u64>,
    /// Hold every answer back for this long, such as 2s.
    #[arg(long, env = "TIDINGS_DELAY", value_name = "DURATION", default_value = "0s",
          value_parser = duration::parse)]
    delay: Duration,
    /// End after this many webhooks: with code 1 if the signature of one could not be verified.
    #[arg(long, env = "TIDINGS_COUNT", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Runs the command; `as_json` prints one JSON object a line.
pub(crate) async fn run(args: ListenArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::start(DRAIN_TIMEOUT)?;
    let behaviour = Behaviour {
        keys: signing_keys(&args.secrets)?,
        fail: args.fail,
        fail_times: args.fail_times,
        delay: args.delay,
    };
    let listener = admin::listen(args.listen, "listen").await?;
    let (routes, mut arrived) = receiver(behaviour, lifecycle.stop.clone());
    admin::serve(listener, routes, "receiver", &lifecycle)?;
    let show = match as_json {
        true => show::machine,
        false => show::human,
    };
    let is_verified = print_all(&mut arrived, args.count, show, &lifecycle).await?;
    drop(arrived);
    lifecycle.stop.cancel();
    let ended = lifecycle.finish().await;
    match is_verified || args.count.is_none() {
        true => Ok(ended),
        false => Ok(ExitCode::FAILURE),
    }
}

/// Prints webhooks until there were `count`, or the process is asked to stop, or nobody reads any
/// more. Returns whether no signature was found to be wrong.
async fn print_all(
    arrived: &mut mpsc::Receiver<Received>,
    count: Option<u64>,
    show: fn(&Received) -> String,
    lifecycle: &Lifecycle,
) -> anyhow::Result<bool> {
    let mut is_verified = true;
    let mut printed = 0;
    while count.is_none_or(|count| printed < count) {
        let Some(Some(received)) = lifecycle.stop.run_until_cancelled(arrived.recv()).await else {
            break;
        };
        is_verified &= !received.check.is_failed();
        printed += 1;
        if !print(&show(&received))? {
            break;
        }
    }
    Ok(is_verified)
}

/// Writes to standard output; `false` once nobody reads it any more.
///
/// # Errors
/// It cannot be written to.
pub(crate) fn print(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

fn signing_keys(secrets: &[Secret]) -> anyhow::Result<Vec<VerifyingKey>> {
    let keys = secrets.iter().map(VerifyingKey::parse);
    keys.collect::<Result<_, _>>()
        .context("--secret cannot be used")
}

/// Never fails, so that no message shows the secret: whether it is one is looked at later.
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.trim()))
}

fn final_status(text: &str) -> Result<StatusCode, &'static str> {
    text.parse()
        .ok()
        .filter(|status: &StatusCode| (200..=599).contains(&status.as_u16()))
        .ok_or("give a status from 200 to 599")
}
