//! Subjects: how they are made and read. Only checked names become tokens.

use tidings_core::id::WebhookId;
use tidings_core::name::{Environment, Pool, Space};
use tidings_core::topic::Topic;

/// All events.
pub const EVENTS: &str = "tidings.event.>";
/// All deliveries that wait for their first attempt.
pub const DELIVERIES: &str = "tidings.delivery.>";
/// All deliveries that wait for a retry that is not due yet.
pub const LATER: &str = "tidings.later.>";
/// All deliveries whose retry is due.
pub const RETRIES: &str = "tidings.retry.>";
/// All deliveries that leave their payload in the stream of events, in whichever work queue they wait.
pub const REFERENCES: &str = "tidings.*.*.*.ref.>";
/// All attempts.
pub const ATTEMPTS: &str = "tidings.attempt.>";
/// The header of a message in RETRIES that tells what kept its delivery from its first attempt.
pub const WAITS_HEADER: &str = "Tidings-Waits";
/// All dead letters.
pub const DEAD_LETTERS: &str = "tidings.dead.>";
/// All records of what people changed.
pub const AUDIT: &str = "tidings.audit.>";
/// The NATS service that takes events, with the space behind it.
pub const INGEST: &str = "tidings.ingest.v1";

/// Where an event lies: `tidings.event.<space>.<environment>.<Entity>.<action>`.
#[must_use]
pub fn event(space: &Space, environment: &Environment, topic: &Topic) -> String {
    format!("tidings.event.{space}.{environment}.{topic}")
}

/// What an event's subject says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSubject<'a> {
    /// The space's name, unchecked.
    pub space: &'a str,
    /// The environment's name, unchecked.
    pub environment: &'a str,
    /// The topic, unchecked.
    pub topic: &'a str,
}

/// Reads an event's subject; `None` if it is of another form.
#[must_use]
pub fn read_event(subject: &str) -> Option<EventSubject<'_>> {
    let rest = subject.strip_prefix("tidings.event.")?;
    let (space, rest) = rest.split_once('.')?;
    let (environment, topic) = rest.split_once('.')?;
    (topic.split('.').count() == 2).then_some(EventSubject {
        space,
        environment,
        topic,
    })
}

/// Where a delivery waits for its first attempt.
#[must_use]
pub fn delivery(pool: &Pool, partition: u16) -> String {
    format!("tidings.delivery.{pool}.{partition}")
}

/// Where a delivery waits until its next attempt is due: `<delivery>.<attempt>` for a retry,
/// `<delivery>.<attempt>.<tag>` for an attempt that was put off.
///
/// A subject holds one schedule, and a new one replaces it. So the subject is as specific as the
/// message's id: a schedule is replaced by nothing but itself, and one that the stream refuses as a
/// duplicate is still there, or has fired.
#[must_use]
pub fn later(pool: &Pool, partition: u16, message_id: &str) -> String {
    format!("tidings.later.{pool}.{partition}.{message_id}")
}

/// Where a delivery comes back when its retry is due.
#[must_use]
pub fn retry(pool: &Pool, partition: u16) -> String {
    format!("tidings.retry.{pool}.{partition}")
}

/// The same for a delivery whose payload is left at `event_sequence` of the stream of events. The
/// subject tells whoever looks after that stream, so the message itself keeps what it refers to.
#[must_use]
pub fn delivery_by_reference(pool: &Pool, partition: u16, event_sequence: u64) -> String {
    format!("{}.ref.{event_sequence}", delivery(pool, partition))
}

/// As [`later`], for a delivery whose payload is left at `event_sequence`.
#[must_use]
pub fn later_by_reference(
    pool: &Pool,
    partition: u16,
    event_sequence: u64,
    message_id: &str,
) -> String {
    format!("tidings.later.{pool}.{partition}.ref.{event_sequence}.{message_id}")
}

/// As [`retry`], for a delivery whose payload is left at `event_sequence`.
#[must_use]
pub fn retry_by_reference(pool: &Pool, partition: u16, event_sequence: u64) -> String {
    format!("{}.ref.{event_sequence}", retry(pool, partition))
}

/// What the consumer of a partition takes, whose deliveries lie on `subject`.
#[must_use]
pub fn with_references(subject: String) -> Vec<String> {
    let references = format!("{subject}.ref.*");
    vec![subject, references]
}

/// The place in the stream of events that a delivery's subject refers to; `None` if it carries its
/// payload.
#[must_use]
pub fn read_reference(subject: &str) -> Option<u64> {
    let mut tokens = subject.split('.').skip(4);
    let is_reference = tokens.next() == Some("ref");
    tokens.next().filter(|_| is_reference)?.parse().ok()
}

/// Pool and partition that the subject of a work queue names, as in `default.0`.
#[must_use]
pub fn read_partition(subject: &str) -> Option<(&str, &str)> {
    let mut tokens = subject.split('.').skip(2);
    Some((tokens.next()?, tokens.next()?))
}

/// Where attempts of a webhook are recorded.
#[must_use]
pub fn attempt(space: &Space, webhook: &WebhookId) -> String {
    format!("tidings.attempt.{space}.{webhook}")
}

/// Where dead letters lie; `_` stands for what is not known.
#[must_use]
pub fn dead_letter(space: Option<&Space>, webhook: Option<&WebhookId>) -> String {
    let space = space.map_or("_", Space::as_str);
    let webhook = webhook.map_or("_", WebhookId::as_str);
    format!("tidings.dead.{space}.{webhook}")
}

/// Where records of changes lie: those in a space, or those of the installation.
#[must_use]
pub fn audit(space: Option<&Space>) -> String {
    match space {
        Some(space) => format!("tidings.audit.space.{space}"),
        None => String::from("tidings.audit.installation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_and_an_attempt_that_was_put_off_do_not_share_a_subject() {
        let pool = Pool::default();
        let [retry, put_off] = ["dlv_1.3", "dlv_1.2.r7"].map(|id| later(&pool, 0, id));
        assert_eq!(retry, "tidings.later.default.0.dlv_1.3");
        assert_eq!(put_off, "tidings.later.default.0.dlv_1.2.r7");
    }

    #[test]
    fn what_refers_to_an_event_says_so_wherever_it_waits() {
        let pool = Pool::default();
        for subject in [
            delivery_by_reference(&pool, 3, 17),
            later_by_reference(&pool, 3, 17, "dlv_1.2.r7"),
            retry_by_reference(&pool, 3, 17),
        ] {
            assert_eq!(read_reference(&subject), Some(17), "{subject}");
            assert_eq!(read_partition(&subject), Some(("default", "3")));
        }
        for subject in [
            delivery(&pool, 3),
            later(&pool, 3, "dlv_1.17"),
            retry(&pool, 3),
        ] {
            assert_eq!(read_reference(&subject), None, "{subject}");
            assert_eq!(read_partition(&subject), Some(("default", "3")));
        }
    }

    #[test]
    fn an_events_subject_reads_back() {
        let made = event(
            &"acme".parse().unwrap(),
            &Environment::default(),
            &"Entry.publish".parse().unwrap(),
        );
        let read = EventSubject {
            space: "acme",
            environment: "master",
            topic: "Entry.publish",
        };
        assert_eq!(read_event(&made), Some(read));
        for other in [
            "tidings.event.a.b.c",
            "tidings.event.a.b.c.d.e",
            "tidings.dead.a.b.c.d",
        ] {
            assert_eq!(read_event(other), None, "{other}");
        }
    }
}
