//! The file and its tables.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::LogError;

/// A file with another version is deleted and built again.
const VERSION: i64 = 4;

// Topics are the same whatever their case (CONTRACT.md section 1).
const TABLES: &str = "
CREATE TABLE positions (stream TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY, space TEXT NOT NULL, environment TEXT NOT NULL, id TEXT NOT NULL,
  topic TEXT NOT NULL COLLATE NOCASE, at INTEGER NOT NULL);
CREATE INDEX events_id ON events (space, id);
CREATE INDEX events_space ON events (space, sequence);
CREATE INDEX events_topic ON events (space, topic, sequence);
CREATE TABLE deliveries (
  row INTEGER PRIMARY KEY, space TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL,
  environment TEXT NOT NULL, event TEXT NOT NULL, event_sequence INTEGER NOT NULL,
  topic TEXT NOT NULL COLLATE NOCASE, at INTEGER NOT NULL, last_number INTEGER NOT NULL,
  last_at INTEGER NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL,
  waits_until INTEGER NOT NULL,
  UNIQUE (space, id));
CREATE INDEX deliveries_age ON deliveries (at);
CREATE INDEX deliveries_space ON deliveries (space, at, id);
CREATE INDEX deliveries_webhook ON deliveries (space, webhook, at, id);
CREATE INDEX deliveries_status ON deliveries (space, status, at, id);
CREATE INDEX deliveries_webhook_status ON deliveries (space, webhook, status, at, id);
CREATE INDEX deliveries_topic ON deliveries (space, topic, at, id);
CREATE INDEX deliveries_event ON deliveries (space, event, at, id);
CREATE TABLE attempts (
  delivery INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, space TEXT NOT NULL,
  webhook TEXT NOT NULL, delivered INTEGER NOT NULL, total_us INTEGER NOT NULL,
  record BLOB NOT NULL);
CREATE UNIQUE INDEX attempts_delivery ON attempts (delivery, number, at);
CREATE TABLE letters (
  sequence INTEGER PRIMARY KEY, space TEXT NOT NULL, webhook TEXT NOT NULL,
  delivery TEXT NOT NULL, event TEXT NOT NULL, topic TEXT NOT NULL COLLATE NOCASE, at INTEGER NOT NULL,
  attempts INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX letters_space ON letters (space, sequence);
CREATE INDEX letters_webhook ON letters (space, webhook, sequence);
CREATE INDEX letters_delivery ON letters (space, delivery, sequence);
CREATE INDEX attempts_health ON attempts (space, webhook, at, delivered, total_us);
";

/// Opens the connection that writes.
pub(super) fn open(path: &Path) -> Result<Connection, LogError> {
    if let Ok(connection) = open_writer(path)
        && version(&connection).is_ok_and(|version| version == VERSION)
    {
        return Ok(connection);
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let connection = open_writer(path)?;
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
    ))?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn open_writer(path: &Path) -> Result<Connection, LogError> {
    let connection = Connection::open(path)?;
    // A lost tail is read again from the streams, so a sync at each checkpoint is enough.
    connection.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = -65536;",
    )?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA cache_size = -16384;")?;
    Ok(connection)
}
