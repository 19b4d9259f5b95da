//! The command-line client as a person or a script runs it, against a real nats-server.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod broker;
mod dead_letter;
mod delivery;
mod egress;
mod event;
mod explain;
mod formats;
mod operate;
mod provision;
mod secrets;
mod settings;
mod terminal;
mod token;
mod webhook;
