//! What the figures were measured on.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use anyhow::Context as _;
use tidings_testkit::nats_server_binary;
use tokio::time::Instant;

use crate::stats::median;

const FSYNCS: usize = 200;
const FSYNC_BYTES: [u8; 1_024] = [b'x'; 1_024];

/// One line a fact, as a Markdown list.
///
/// # Errors
/// The temporary folder cannot be written to, or there is no nats-server.
pub(crate) fn describe() -> anyhow::Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let cpu = cpu_model(&read("/proc/cpuinfo"));
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let build = match cfg!(debug_assertions) {
        true => "debug: only good for trying the measurement itself",
        false => "release",
    };
    Ok([
        format!("- machine: {cores} cores, {cpu}, Linux {}", kernel.trim()),
        format!("- load average at the start: {}", load.trim()),
        format!("- broker: {}, one node", nats_version()?),
        format!(
            "- disk: append 1 KiB and fsync, median of {FSYNCS}: {:.2} ms",
            fsync_ms()?
        ),
        format!("- build: {build}"),
    ]
    .join("\n"))
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(':'));
    model.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

fn nats_version() -> anyhow::Result<String> {
    let output = Command::new(nats_server_binary())
        .arg("--version")
        .output()
        .context("cannot ask nats-server for its version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// In the temporary folder, where the brokers' stores lie as well.
fn fsync_ms() -> anyhow::Result<f64> {
    let mut file: File = tempfile::tempfile()?;
    let mut all = Vec::with_capacity(FSYNCS);
    for _ in 0..FSYNCS {
        let begun = Instant::now();
        file.write_all(&FSYNC_BYTES)?;
        file.sync_all()?;
        all.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(median(all))
}
