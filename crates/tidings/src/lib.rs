//! The operator's program: everything in one process tree (`dev`), a receiver to look at webhooks
//! with (`listen`), the layout of the broker (`provision`), and the command-line client.
//!
//! Read [`cli`] first: it lists the commands. Each command is a file of that name; what they share
//! is in `client` (how they reach the broker) and `output` (how they answer).

pub mod cli;
mod client;
mod console;
mod dead_letter;
mod delivery;
mod dev;
mod egress;
mod event;
mod fixtures;
mod healthcheck;
mod input;
mod listen;
mod nats_users;
mod output;
mod provision;
mod replay;
mod scan;
mod secrets;
mod space;
mod status;
mod token;
mod webhook;
