//! Who may do what on the broker: a user for each service, with the subjects it needs and no more.
//!
//! [`grants`] says it as data, made from the same names that the services use; [`configuration`]
//! writes it as nats-server reads it. Services share one account, which has JetStream. Each space's
//! CMS has an account of its own that may reach nothing but its own way in. Accounts matter there:
//! whoever publishes names the subject that the answer goes to, and in a shared account the broker
//! would send its acknowledgement, or ingest its reply, wherever a CMS points it, such as to another
//! space's webhooks. Between accounts the broker puts a subject of its own in its place.

mod grants;

use std::fmt::Write as _;

use tidings_core::name::{Pool, Space};

pub use grants::{Grants, grants};

/// The account of all services.
pub const ACCOUNT: &str = "TIDINGS";
/// Where the answers to requests of users come in: each user has a place of its own below.
const INBOX: &str = "_INBOX";

/// Who connects to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// `tidings-ingest`.
    Ingest,
    /// `tidings-router`.
    Router,
    /// `tidings-sender` of a pool.
    Sender(Pool),
    /// `tidings console`.
    Console,
    /// `tidings provision`.
    Provision,
    /// A person with the program `tidings`, who may do everything to what Tidings stores.
    Operator,
    /// The CMS of a space.
    Cms(Space),
}

impl User {
    /// What files and folders are called after, such as `sender-default`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Ingest => String::from("ingest"),
            Self::Router => String::from("router"),
            Self::Sender(pool) => format!("sender-{pool}"),
            Self::Console => String::from("console"),
            Self::Provision => String::from("provision"),
            Self::Operator => String::from("operator"),
            Self::Cms(space) => format!("cms-{space}"),
        }
    }

    /// The variable that holds its public key, such as `TIDINGS_NKEY_SENDER_DEFAULT`.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = self.name().replace('-', "_").to_ascii_uppercase();
        format!("TIDINGS_NKEY_{name}")
    }

    /// The beginning of all subjects that answers to it go to. A CMS has an account of its own, in
    /// which it may choose.
    #[must_use]
    pub fn inbox(&self) -> String {
        match self {
            Self::Cms(_) => INBOX.to_owned(),
            // The program's own name, by which `tidings` connects for most commands.
            Self::Operator => format!("{INBOX}.tidings"),
            _ => format!("{INBOX}.tidings-{}", self.name()),
        }
    }
}

/// The `accounts` of nats-server. Each of `users` comes with its public nkey, or with a variable
/// for it (`$NAME`). Pools have `partitions` partitions.
#[must_use]
pub fn configuration(users: &[(User, String)], partitions: u16) -> String {
    let (producers, services): (Vec<_>, Vec<_>) = users
        .iter()
        .partition(|(user, _)| matches!(user, User::Cms(_)));
    let mut text = String::from("accounts {\n");
    write_line(&mut text, 1, &format!("{ACCOUNT} {{"));
    write_line(&mut text, 2, "jetstream: enabled");
    if !producers.is_empty() {
        write_line(&mut text, 2, "exports: [");
        for (user, _) in &producers {
            for subject in ways_in(user) {
                let account = user.name();
                let export = format!("{{ service: \"{subject}\", accounts: [\"{account}\"] }}");
                write_line(&mut text, 3, &export);
            }
        }
        write_line(&mut text, 2, "]");
    }
    write_line(&mut text, 2, "users: [");
    for (user, key) in services {
        write_user(&mut text, user, key, partitions);
    }
    write_line(&mut text, 2, "]");
    write_line(&mut text, 1, "}");
    for (user, key) in producers {
        write_producer(&mut text, user, key, partitions);
    }
    text.push_str("}\n");
    text
}

/// The subjects that a CMS may send to.
fn ways_in(user: &User) -> Vec<String> {
    grants(user, 0).publish
}

fn write_producer(text: &mut String, user: &User, key: &str, partitions: u16) {
    write_line(text, 1, &format!("\"{}\" {{", user.name()));
    write_line(text, 2, "imports: [");
    for subject in ways_in(user) {
        let import = format!("{{ service: {{ account: {ACCOUNT}, subject: \"{subject}\" }} }}");
        write_line(text, 3, &import);
    }
    write_line(text, 2, "]");
    write_line(text, 2, "users: [");
    write_user(text, user, key, partitions);
    write_line(text, 2, "]");
    write_line(text, 1, "}");
}

fn write_user(text: &mut String, user: &User, key: &str, partitions: u16) {
    let Grants {
        publish,
        never_publish,
        subscribe,
    } = grants(user, partitions);
    write_line(text, 3, &format!("{{ # {}", user.name()));
    write_line(text, 4, &format!("nkey: {key}"));
    write_line(text, 4, "permissions: {");
    write_line(text, 5, "publish: {");
    write_list(text, "allow", &publish);
    if !never_publish.is_empty() {
        write_list(text, "deny", &never_publish);
    }
    write_line(text, 5, "}");
    write_line(text, 5, "subscribe: {");
    write_list(text, "allow", &subscribe);
    write_line(text, 5, "}");
    write_line(text, 4, "}");
    write_line(text, 3, "}");
}

fn write_list(text: &mut String, name: &str, subjects: &[String]) {
    write_line(text, 6, &format!("{name}: ["));
    for subject in subjects {
        write_line(text, 7, &format!("\"{subject}\""));
    }
    write_line(text, 6, "]");
}

fn write_line(text: &mut String, depth: usize, line: &str) {
    let indent = depth * 2;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:indent$}{line}", "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_called_the_same_everywhere() {
        let sender = User::Sender("eu-west".parse().unwrap());
        assert_eq!(sender.name(), "sender-eu-west");
        assert_eq!(sender.variable(), "TIDINGS_NKEY_SENDER_EU_WEST");
        assert_eq!(sender.inbox(), "_INBOX.tidings-sender-eu-west");
        assert_eq!(User::Operator.inbox(), "_INBOX.tidings");
    }
}
