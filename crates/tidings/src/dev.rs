//! `tidings dev`: everything in one process tree, with a nats-server of its own.
//!
//! The order of its life: take the data folder, start nats-server, provision, store the admin
//! token, start the services, and at the end all of it backwards. If nats-server dies by itself,
//! everything ends with code 1; what was accepted lies in the data folder, and the next start goes
//! on with it.

mod binary;
mod data_dir;
mod demo;
mod server;
mod services;
mod token;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_nats::jetstream;

use clap::ArgAction;
use tidings_core::duration;
use tidings_core::secret::Secret;
use tidings_nats::connect::{self, NatsArgs};
use tidings_nats::topology::{Topology, provision};
use tidings_sender::args::{List, Network};
use tidings_service::admin;
use tidings_service::lifecycle::Lifecycle;

use crate::listen::print;
use crate::secrets;
use binary::Binary;
use data_dir::DataDir;
use demo::{Demo, Doors, Outcome};
use server::NatsServer;
use services::{Services, Settings};

/// Bytes on disk that all streams may use together.
const STORAGE_BYTES: u64 = 4 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    /// Folder that keeps everything: streams, webhooks, the admin token.
    #[arg(
        long,
        env = "TIDINGS_DATA_DIR",
        value_name = "DIR",
        default_value = "./.tidings"
    )]
    data_dir: PathBuf,
    /// Address at which events are taken over HTTP.
    #[arg(
        long,
        env = "TIDINGS_INGEST_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    ingest_listen: SocketAddr,
    /// Address of the console: dashboard, management API, health and metrics.
    #[arg(
        long,
        env = "TIDINGS_CONSOLE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8081"
    )]
    console_listen: SocketAddr,
    /// Address of nats-server. It asks for no password: keep it on this machine.
    #[arg(
        long,
        env = "TIDINGS_NATS_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:4222"
    )]
    nats_listen: SocketAddr,
    /// nats-server to start [default: the one in .tools/nats, or the first on PATH].
    #[arg(long, env = "TIDINGS_NATS_SERVER", value_name = "FILE")]
    nats_server: Option<PathBuf>,
    /// Admin token [default: that of the last start, or a new one, kept in the data folder].
    #[arg(long, env = "TIDINGS_TOKEN", value_name = "TOKEN", hide_env_values = true,
          value_parser = token::parse)]
    token: Option<Secret>,
    /// File with that token.
    #[arg(
        long,
        env = "TIDINGS_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token"
    )]
    token_file: Option<PathBuf>,
    /// How many senders run.
    #[arg(long, env = "TIDINGS_SENDERS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    senders: u16,
    /// Networks that webhooks may call although they are not public; empty for none.
    #[arg(
        long,
        env = "TIDINGS_EGRESS_ALLOW",
        value_name = "CIDR,…",
        default_value = "127.0.0.0/8,::1/128"
    )]
    egress_allow: List<Network>,
    /// Start a receiver with a webhook to it, publish sample events, and print each webhook as it
    /// arrives.
    #[arg(long, env = "TIDINGS_DEMO", value_name = "BOOL", action = ArgAction::Set,
          default_value = "false", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    demo: bool,
    /// With --demo: end once every webhook has arrived, with code 1 if one has not within 30 s.
    #[arg(long, env = "TIDINGS_EXIT", value_name = "BOOL", action = ArgAction::Set,
          default_value = "false", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, requires = "demo")]
    exit: bool,
    /// How long work in hand may take after Ctrl-C; the rest waits for the next start.
    #[arg(long, env = "TIDINGS_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "25s",
          value_parser = duration::parse)]
    drain_timeout: Duration,
}

/// Runs the command.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let token = match &args.token_file {
        Some(path) => Some(token::read(path)?),
        None => args.token.clone(),
    };
    let lifecycle = Lifecycle::start(args.drain_timeout)?;
    let data = DataDir::open(&args.data_dir).await?;
    let binary = find_binary(&args).await?;
    check_free(args.nats_listen, "nats-listen").await?;
    check_free(args.ingest_listen, "ingest-listen").await?;
    check_free(args.console_listen, "console-listen").await?;
    let started = NatsServer::start(&binary, args.nats_listen, &data, &lifecycle.stop).await?;
    let Some(mut server) = started else {
        return Ok(ExitCode::SUCCESS);
    };
    let home = Home {
        args: &args,
        token,
        data: &data,
        binary: &binary,
        nats_url: server.url(),
    };
    let living = async {
        let lived = Box::pin(live(home, &lifecycle)).await;
        lifecycle.stop.cancel();
        let ended = lifecycle.finish().await;
        lived.map(|code| match code == ExitCode::SUCCESS {
            true => ended,
            false => code,
        })
    };
    let code = tokio::select! {
        code = living => code,
        status = server.ended() => {
            lifecycle.abort.cancel();
            lifecycle.finish().await;
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(anyhow::anyhow!(
                "nats-server ended by itself ({status}): {}; start again to go on",
                server::last_words(&data)
            ))
        }
    };
    server.stop().await;
    code
}

/// What is settled before the services start.
struct Home<'a> {
    args: &'a DevArgs,
    /// The admin token that was given.
    token: Option<Secret>,
    data: &'a DataDir,
    binary: &'a Binary,
    nats_url: String,
}

/// Makes sure that `address` can be listened at. It is free again at once, for the one who will.
async fn check_free(address: SocketAddr, option: &str) -> anyhow::Result<()> {
    admin::listen(address, option).await.map(drop)
}

async fn find_binary(args: &DevArgs) -> anyhow::Result<Binary> {
    let executable = std::env::current_exe().ok();
    let places: Vec<PathBuf> = std::env::current_dir()
        .into_iter()
        .chain(executable)
        .collect();
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let search_path: Vec<PathBuf> = std::env::split_paths(&search_path).collect();
    Ok(binary::find(args.nats_server.as_deref(), &places, &search_path).await?)
}

/// Everything between the start of nats-server and its end.
async fn live(home: Home<'_>, lifecycle: &Lifecycle) -> anyhow::Result<ExitCode> {
    let nats = NatsArgs::at(&home.nats_url);
    let client = connect::connect_within(&nats, "tidings-dev", CONNECT_TIMEOUT).await?;
    let jetstream = connect::jetstream(&client);
    let token = prepare(&home, &jetstream).await?;
    let egress_allow = home.args.egress_allow.clone();
    let mut demo = match home.args.demo {
        true => Some(Demo::prepare(&jetstream, egress_allow.clone(), lifecycle).await?),
        false => None,
    };
    let settings = Settings {
        ingest: home.args.ingest_listen,
        console: home.args.console_listen,
        console_data_dir: home.data.join("console"),
        senders: home.args.senders,
        egress_allow,
        secret_key_file: home.data.secret_keys_path(),
        nats,
    };
    let services = Services::start(&settings, lifecycle).await?;
    let banner = banner(&home, services.ingest(), services.console(), &token);
    if !services.ready(lifecycle).await? {
        return Ok(ExitCode::SUCCESS);
    }
    print(&banner)?;
    let Some(demo) = &mut demo else {
        lifecycle.stop.cancelled().await;
        return Ok(ExitCode::SUCCESS);
    };
    let doors = Doors {
        ingest: services.ingest(),
        token,
        nats: client,
        jetstream,
    };
    show(demo, &doors, home.args.exit, lifecycle).await
}

/// Makes the layout and stores the admin token's hash, so that the services find both.
async fn prepare(home: &Home<'_>, jetstream: &jetstream::Context) -> anyhow::Result<Secret> {
    let topology = Topology {
        sync_always: true,
        storage_bytes: STORAGE_BYTES,
        ..Topology::default()
    };
    provision(jetstream, &topology).await?;
    let path = home.data.secret_keys_path();
    let keys = match path.try_exists()? {
        true => tidings_vault::read(&path)?,
        false => tidings_vault::append(&path)?,
    };
    if let Some(newest) = keys.newest() {
        secrets::store(jetstream, newest).await?;
    }
    token::settle(home.token.clone(), home.data, jetstream).await
}

/// Runs the demo, and goes on printing unless it is to end with it.
async fn show(
    demo: &mut Demo,
    doors: &Doors,
    ends: bool,
    lifecycle: &Lifecycle,
) -> anyhow::Result<ExitCode> {
    let outcome = demo.run(doors, lifecycle).await;
    if ends {
        return Ok(match outcome? {
            Outcome::Complete => ExitCode::SUCCESS,
            Outcome::Incomplete => ExitCode::FAILURE,
        });
    }
    if let Err(error) = outcome {
        print(&format!("demo: {error:#}\n"))?;
    }
    demo.watch(lifecycle).await?;
    Ok(ExitCode::SUCCESS)
}

fn banner(home: &Home<'_>, ingest: SocketAddr, console: SocketAddr, token: &Secret) -> String {
    format!(
        "Tidings {version} is ready; Ctrl-C ends it.

  events    http://{ingest}/v1/events
  console   http://{console}/  (sign in with the token)
  NATS      {nats}  (nats-server {nats_version}, {path})
  data      {data}
  token     {token}  (admin; also in {token_path})

",
        version = env!("CARGO_PKG_VERSION"),
        nats = home.nats_url,
        nats_version = home.binary.version,
        path = home.binary.path.display(),
        data = home.data.path().display(),
        token = token.expose(),
        token_path = home.data.token_path().display(),
    )
}
