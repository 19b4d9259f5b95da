//! How each process is started, and when it is ready.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use http::StatusCode;
use tidings_testkit::{Launch, Process};
use tokio::time::{Instant, sleep};

use super::Role;
use crate::farm::FarmArgs;
use crate::floor::READY;
use crate::http::Http;
use crate::load::{LoadArgs, Loaded, RESULT};
use crate::sink::LISTENING;

/// Starting takes milliseconds; loading thousands of webhooks in a debug build takes longer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The producer has nothing left to do but write its result once all deliveries have arrived.
const LOADED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOG_LINES: usize = 15;

/// Nothing per request, but the address that the system chose.
const SERVICE_LOG: &str = "warn,tidings_service::admin=info,tidings_ingest=info";

/// One of the product's own programs, with its own defaults and these variables.
pub(super) fn start_service(
    role: Role,
    nats_url: &str,
    env: &[(&'static str, String)],
) -> anyhow::Result<Process> {
    let set = |launch: Launch, (name, value): &(&str, String)| launch.env(name, value);
    Ok(env.iter().fold(service(role, nats_url, &[])?, set).start())
}

/// The same, with options.
pub(crate) fn start_service_with(
    role: Role,
    nats_url: &str,
    options: &[String],
) -> anyhow::Result<Process> {
    Ok(service(role, nats_url, options)?.start())
}

fn service(role: Role, nats_url: &str, options: &[String]) -> anyhow::Result<Launch> {
    let binary = service_binary(&role.to_string())?;
    let launch = Process::launch(binary)
        .args(["--nats-url", nats_url])
        .args(["--listen", "127.0.0.1:0"])
        .args(["--log", SERVICE_LOG])
        .args(options);
    Ok(match role {
        // The sink is on loopback, which is forbidden unless allowed.
        Role::Sender => launch.args(["--egress-allow", "127.0.0.0/8"]),
        _ => launch,
    })
}

/// What tells a program of the collector at `url`: all metrics, and `part` of all traces.
pub(super) fn telemetry(url: &str, part: f64) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.to_owned()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", String::from("http/protobuf")),
        (
            "OTEL_TRACES_SAMPLER",
            String::from("parentbased_traceidratio"),
        ),
        ("OTEL_TRACES_SAMPLER_ARG", part.to_string()),
        ("OTEL_METRIC_EXPORT_INTERVAL", String::from("10000")),
    ]
}

/// Waits until a service is ready. Returns its address, such as `http://127.0.0.1:8080`.
pub(crate) async fn until_ready(service: &Process) -> anyhow::Result<String> {
    let line = logged(service, LISTENING, READY_WITHIN).await?;
    let url = address_in(&line).context("no address in the log")?;
    let mut http = Http::new(&url)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let answer = http.get("/readyz").await?;
        if answer.status == StatusCode::OK {
            return Ok(url);
        }
        if Instant::now() > deadline {
            bail!(
                "{service} is not ready: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

pub(super) async fn start_sink(events: u64, fan_out: u64) -> anyhow::Result<(Process, String)> {
    let sink = own("sink")?
        .args(["--events", &events.to_string()])
        .args(["--fan-out", &fan_out.to_string()])
        .start();
    let line = logged(&sink, LISTENING, READY_WITHIN).await?;
    let url = address_in(&line).context("the sink writes its address")?;
    Ok((sink, url))
}

pub(crate) async fn start_farm(farm: &FarmArgs) -> anyhow::Result<(Process, String)> {
    let process = own("farm")?
        .args(["--hosts", &farm.hosts.to_string()])
        .args(["--slow-ms", &farm.slow_ms.to_string()])
        .args(["--hold", &farm.hold.to_string()])
        .start();
    let line = logged(&process, LISTENING, READY_WITHIN).await?;
    let url = address_in(&line).context("the farm writes its address")?;
    Ok((process, url))
}

pub(super) async fn start_floor_router(nats: &str, fan_out: u64) -> anyhow::Result<Process> {
    let stage = own("floor-router")?
        .args(["--nats", nats])
        .args(["--fan-out", &fan_out.to_string()])
        .start();
    logged(&stage, READY, READY_WITHIN).await?;
    Ok(stage)
}

pub(super) async fn start_floor_sender(nats: &str, sink: &str) -> anyhow::Result<Process> {
    let stage = own("floor-sender")?
        .args(["--nats", nats])
        .args(["--sink", sink])
        .start();
    logged(&stage, READY, READY_WITHIN).await?;
    Ok(stage)
}

pub(super) fn start_producer(load: &LoadArgs) -> anyhow::Result<Process> {
    let way = load
        .way
        .to_possible_value()
        .context("every way has a name")?;
    let mut launch = own("load")?
        .args(["--way", way.get_name()])
        .args(["--url", &load.url])
        .args(["--token", &load.token])
        .args(["--first", &load.first.to_string()])
        .args(["--events", &load.events.to_string()]);
    if let Some(per_second) = load.per_second {
        launch = launch.args(["--per-second", &per_second.to_string()]);
    }
    Ok(launch.start())
}

/// What the producer says it did.
pub(super) async fn loaded(producer: &Process) -> anyhow::Result<Loaded> {
    let line = logged(producer, RESULT, LOADED_WITHIN).await?;
    let json = line
        .strip_prefix(RESULT)
        .context("the result begins its line")?;
    Ok(serde_json::from_str(json)?)
}

/// The end of a process's log, if it wrote anything.
pub(super) fn log_tail(log: &str) -> Option<String> {
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| !line.starts_with(RESULT))
        .collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
    (!tail.is_empty()).then(|| tail.join("\n"))
}

/// This program again, as another process of the measurement.
fn own(command: &str) -> anyhow::Result<Launch> {
    let program = std::env::current_exe().context("this program's own path")?;
    Ok(Process::launch(program).arg(command))
}

/// A service of the same build as this program.
fn service_binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path")?;
    let binary = own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        binary.is_file(),
        "{} is missing: build all programs first, `cargo build --release --bins`",
        binary.display()
    );
    Ok(binary)
}

/// Waits for a line with `text`; an end of the process is an error, not a panic, so that the other
/// processes' logs are shown too.
async fn logged(process: &Process, text: &str, within: Duration) -> anyhow::Result<String> {
    let deadline = Instant::now() + within;
    loop {
        let exited = process.exited();
        if let Some(line) = complete_lines(&process.log()).find(|line| line.contains(text)) {
            return Ok(line.to_owned());
        }
        if let Some(status) = exited {
            bail!(
                "{process} ended with {status} before it wrote `{text}`:\n{}",
                process.log()
            );
        }
        if Instant::now() > deadline {
            bail!(
                "{process} did not write `{text}` within {within:?}:\n{}",
                process.log()
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A line without its end may be written to still.
fn complete_lines(log: &str) -> impl Iterator<Item = &str> {
    let end = log.rfind('\n').unwrap_or(0);
    log[..end].lines()
}

/// `… listening on http://127.0.0.1:1234 …`; colours may stand around it.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(LISTENING)?;
    let end = rest
        .find(|sign: char| sign.is_whitespace() || sign.is_control())
        .unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_among_fields_and_colours() {
        let line = "INFO tidings-router listening on http://127.0.0.1:80\u{1b}[0m listen.address=x";
        assert_eq!(address_in(line).as_deref(), Some("http://127.0.0.1:80"));
        assert_eq!(
            address_in("listening on http://[::1]:1").as_deref(),
            Some("http://[::1]:1")
        );
        assert_eq!(address_in("ready"), None);
    }

    #[test]
    fn half_a_line_is_no_line() {
        assert_eq!(complete_lines("a\nb\nc").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(complete_lines("a").count(), 0);
    }
}
