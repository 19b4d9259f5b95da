//! A terminal that a command writes to, as a person would see it.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::Command;

use crate::broker::{Broker, ENDS_WITHIN};

/// Runs `tidings` with a terminal for its standard error, and returns everything it wrote there.
pub(crate) async fn seen(broker: &Broker, arguments: &[&str]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
    let terminal = OpenOptions::new().read(true).write(true).open(path);
    let mut process = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(arguments)
        .env_clear()
        .env("TIDINGS_NATS_URL", broker.server.url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal.unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let reading = tokio::task::spawn_blocking(move || read(File::from(master)));
    let status = tokio::time::timeout(ENDS_WITHIN, process.wait()).await;
    let status = status.expect("the command ends in time").unwrap();
    let seen = reading.await.unwrap();
    assert!(status.success(), "{seen}");
    seen
}

/// Until nobody has the terminal open any more, which is an error to its other end.
fn read(mut terminal: File) -> String {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4_096]);
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}
