//! How a process of ours lives: settings, telemetry, health, and an orderly end.
//!
//! Knows nothing of webhooks. A program's `main` is: [`settings::parse`], [`telemetry::start`],
//! [`lifecycle::Lifecycle::start`], its own `run`, [`lifecycle::Lifecycle::finish`].

pub mod admin;
pub mod clock;
pub mod health;
pub mod lifecycle;
pub mod metrics;
pub mod problem;
pub mod settings;
pub mod telemetry;
pub mod trace;

/// A quarter of a sender's time went into the system's allocator (`make bench`, with perf).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
