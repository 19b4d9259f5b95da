//! Which webhooks get an event, and why (DESIGN.md section 8).
//!
//! [`Subscriber`] is a webhook as matching needs it, made once for each version of it. It decides
//! about one event, and [`explain`] lets the same code tell what it saw. [`SpaceIndex`] finds the
//! subscribers that may get an event without asking each: it keeps a [`Posting`] of each in lists.

mod explain;
mod group;
mod index;
mod key_map;
mod pin;
mod posting;
mod shared;
mod subscriber;
#[cfg(test)]
mod tests;

pub use explain::{Check, Explanation, Saw, explain};
pub use index::SpaceIndex;
pub use posting::Posting;
pub use shared::Shared;
pub use subscriber::Subscriber;
