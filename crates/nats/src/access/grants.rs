//! What each user may publish and subscribe to, made from what the services do.

use tidings_core::name::Pool;

use super::User;
use crate::subject;
use crate::topology::{
    ATTEMPTS, AUDIT, BUCKETS, DEAD_LETTERS, DELIVERIES, EGRESS_BUCKET, ENDPOINT_STATE_BUCKET,
    EVENTS, MEMBERS_BUCKET, RETRIES, ROUTER_CONSUMER, SEALING_KEY, SECRET_KEYS_BUCKET,
    SPACES_BUCKET, TOKENS_BUCKET, WEBHOOKS_BUCKET, delivery_consumer, retry_consumer,
};

/// What every service looks at to know how the broker is laid out.
const LAYOUT: [&str; 5] = [EVENTS, DELIVERIES, RETRIES, ATTEMPTS, DEAD_LETTERS];
const STREAMS: [&str; 6] = [EVENTS, DELIVERIES, RETRIES, ATTEMPTS, DEAD_LETTERS, AUDIT];

/// The subjects of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// What it may publish to.
    pub publish: Vec<String>,
    /// What it may not publish to although `publish` covers it.
    pub never_publish: Vec<String>,
    /// What it may subscribe to.
    pub subscribe: Vec<String>,
}

/// What `user` may do where pools have `partitions` partitions.
#[must_use]
pub fn grants(user: &User, partitions: u16) -> Grants {
    let grants = match user {
        User::Ingest => ingest(),
        User::Router => router(),
        User::Sender(pool) => sender(pool, partitions),
        User::Console => console(),
        User::Provision => provision(),
        User::Operator => operator(),
        User::Cms(space) => Grants::default()
            .publish(format!("tidings.event.{space}.*.*.*"))
            .publish(format!("{}.{space}", subject::INGEST)),
    };
    grants.subscribe(format!("{}.>", user.inbox()))
}

/// Takes events in, and compares a repeated one with what is stored.
fn ingest() -> Grants {
    Grants::default()
        .layout()
        .publish("tidings.event.*.*.*.*")
        .publish(format!("$JS.API.DIRECT.GET.{EVENTS}"))
        .follow(TOKENS_BUCKET)
        .follow(SPACES_BUCKET)
        // Replies, and nothing but replies: of its own account, and of the CMSs' accounts.
        .publish("_INBOX.>")
        .publish("_R_.>")
        .subscribe(format!("{}.*", subject::INGEST))
        .subscribe("$SRV.>")
}

/// Takes events out, stores deliveries, forgets what is routed, sweeps what is settled.
fn router() -> Grants {
    let mut grants = Grants::default()
        .layout()
        .take(EVENTS, ROUTER_CONSUMER)
        .publish(format!("$JS.API.CONSUMER.NAMES.{EVENTS}"))
        .publish(format!("$JS.API.STREAM.PURGE.{EVENTS}"))
        .publish(format!("$JS.API.STREAM.MSG.GET.{EVENTS}"))
        .publish(format!("$JS.API.DIRECT.GET.{EVENTS}"))
        .publish("tidings.delivery.*.*")
        .publish("tidings.dead.*.*");
    for queue in [DELIVERIES, RETRIES] {
        grants = grants
            .publish(format!("$JS.API.CONSUMER.INFO.{queue}.*"))
            .publish(format!("$JS.API.CONSUMER.LIST.{queue}"))
            .publish(format!("$JS.API.STREAM.MSG.GET.{queue}"))
            .publish(format!("$JS.API.STREAM.MSG.DELETE.{queue}"));
    }
    for bucket in [WEBHOOKS_BUCKET, ENDPOINT_STATE_BUCKET, MEMBERS_BUCKET] {
        grants = grants.follow(bucket);
    }
    grants
}

/// Takes deliveries of its own pool, and records what became of them.
fn sender(pool: &Pool, partitions: u16) -> Grants {
    let mut grants = Grants::default()
        .layout()
        // Events that are too large to travel in a delivery.
        .publish(format!("$JS.API.DIRECT.GET.{EVENTS}"))
        .publish(format!("tidings.later.{pool}.>"))
        .publish(format!("tidings.retry.{pool}.*"))
        .publish("tidings.attempt.*.*")
        .publish("tidings.dead.*.*");
    // Operational events, and no event of a CMS.
    for topic in [
        "Webhook.paused",
        "Webhook.resumed",
        "Webhook.disabled",
        "Delivery.exhausted",
    ] {
        grants = grants.publish(format!("tidings.event.*.*.{topic}"));
    }
    for queue in [DELIVERIES, RETRIES] {
        grants = grants.publish(format!("$JS.API.CONSUMER.NAMES.{queue}"));
    }
    for bucket in [WEBHOOKS_BUCKET, ENDPOINT_STATE_BUCKET, MEMBERS_BUCKET] {
        grants = grants.follow(bucket);
    }
    grants = grants
        .look_up(EGRESS_BUCKET)
        .publish(format!("$KV.{ENDPOINT_STATE_BUCKET}.*.*"))
        .publish(format!("$KV.{MEMBERS_BUCKET}.{pool}.*"))
        .publish(format!("$KV.{EGRESS_BUCKET}.{pool}.>"));
    for partition in 0..partitions {
        grants = grants
            .take(DELIVERIES, &delivery_consumer(pool, partition))
            .take(RETRIES, &retry_consumer(pool, partition));
    }
    grants
}

/// Reads everything but takes nothing that others work on; keeps webhooks, tokens and spaces;
/// redelivers.
fn console() -> Grants {
    let mut grants = Grants::default()
        .layout()
        .publish(format!("$JS.API.STREAM.INFO.{AUDIT}"));
    for stream in [EVENTS, ATTEMPTS, DEAD_LETTERS, AUDIT] {
        grants = grants
            .publish(format!("$JS.API.CONSUMER.CREATE.{stream}.>"))
            .publish(format!("$JS.API.CONSUMER.DELETE.{stream}.*"))
            .publish(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.*"))
            .publish(format!("$JS.ACK.{stream}.>"));
    }
    for never in [
        format!("$JS.API.CONSUMER.CREATE.{EVENTS}.{ROUTER_CONSUMER}"),
        format!("$JS.API.CONSUMER.CREATE.{EVENTS}.{ROUTER_CONSUMER}.>"),
        format!("$JS.API.CONSUMER.DELETE.{EVENTS}.{ROUTER_CONSUMER}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{ROUTER_CONSUMER}"),
        format!("$JS.ACK.{EVENTS}.{ROUTER_CONSUMER}.>"),
    ] {
        grants.never_publish.push(never);
    }
    for stream in STREAMS {
        grants = grants
            .publish(format!("$JS.API.CONSUMER.INFO.{stream}.*"))
            .publish(format!("$JS.API.CONSUMER.NAMES.{stream}"))
            .publish(format!("$JS.API.CONSUMER.LIST.{stream}"))
            .publish(format!("$JS.API.STREAM.MSG.GET.{stream}"))
            .publish(format!("$JS.API.DIRECT.GET.{stream}"))
            .publish(format!("$JS.API.DIRECT.GET.{stream}.>"));
    }
    for bucket in BUCKETS {
        grants = grants.follow(bucket);
        // Senders alone say that they live; whoever sets the key that seals could read secrets.
        if bucket != MEMBERS_BUCKET && bucket != SECRET_KEYS_BUCKET {
            grants = grants.publish(format!("$KV.{bucket}.>"));
        }
    }
    grants
        .publish(format!("$JS.API.STREAM.PURGE.KV_{WEBHOOKS_BUCKET}"))
        .publish(format!("$JS.API.STREAM.MSG.DELETE.{DEAD_LETTERS}"))
        // A delivery that is sent again at once waits for nothing any more.
        .publish(format!("$JS.API.STREAM.PURGE.{RETRIES}"))
        .publish(subject::AUDIT)
        .publish("tidings.event.*.*.Webhook.test")
        .publish("tidings.delivery.*.*")
        .publish("tidings.later.*.*.>")
        .publish("tidings.retry.*.*")
}

/// Creates and updates what is provisioned, and looks whether that harms anything. Deletes, purges
/// and takes nothing.
fn provision() -> Grants {
    let mut grants = Grants::default()
        .layout()
        .publish("$JS.API.INFO")
        .publish(format!("$JS.API.STREAM.INFO.{AUDIT}"));
    for stream in STREAMS {
        grants = grants
            .publish(format!("$JS.API.STREAM.CREATE.{stream}"))
            .publish(format!("$JS.API.STREAM.UPDATE.{stream}"))
            .publish(format!("$JS.API.DIRECT.GET.{stream}.>"));
    }
    for queue in [EVENTS, DELIVERIES, RETRIES] {
        grants = grants
            .publish(format!("$JS.API.CONSUMER.CREATE.{queue}.>"))
            .publish(format!("$JS.API.CONSUMER.DURABLE.CREATE.{queue}.*"))
            .publish(format!("$JS.API.CONSUMER.INFO.{queue}.*"));
    }
    for bucket in BUCKETS {
        grants = grants
            .publish(format!("$JS.API.STREAM.INFO.KV_{bucket}"))
            .publish(format!("$JS.API.STREAM.CREATE.KV_{bucket}"))
            .publish(format!("$JS.API.STREAM.UPDATE.KV_{bucket}"));
    }
    grants
        .follow(WEBHOOKS_BUCKET)
        .look_up(SECRET_KEYS_BUCKET)
        .publish(format!("$KV.{SECRET_KEYS_BUCKET}.{SEALING_KEY}"))
}

/// Everything that can be done to what Tidings stores.
fn operator() -> Grants {
    let all = [
        "$JS.API.>",
        "$JS.ACK.>",
        "$JS.FC.>",
        "$KV.>",
        "$SRV.>",
        "tidings.>",
    ];
    let grants = all.into_iter().fold(Grants::default(), Grants::publish);
    grants.subscribe(format!("{}.>", User::Provision.inbox()))
}

impl Grants {
    fn publish(mut self, subject: impl Into<String>) -> Self {
        self.publish.push(subject.into());
        self
    }

    fn subscribe(mut self, subject: impl Into<String>) -> Self {
        self.subscribe.push(subject.into());
        self
    }

    /// Looking whether and how the streams are laid out.
    fn layout(self) -> Self {
        let info = |stream| format!("$JS.API.STREAM.INFO.{stream}");
        LAYOUT.map(info).into_iter().fold(self, Self::publish)
    }

    /// Taking work from a durable consumer, and settling it.
    fn take(self, stream: &str, consumer: &str) -> Self {
        self.publish(format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"))
            .publish(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"))
            .publish(format!("$JS.ACK.{stream}.{consumer}.>"))
    }

    /// Reading single entries of a bucket.
    fn look_up(self, bucket: &str) -> Self {
        self.publish(format!("$JS.API.STREAM.INFO.KV_{bucket}"))
            .publish(format!("$JS.API.DIRECT.GET.KV_{bucket}.>"))
    }

    /// Reading a bucket and following its changes.
    fn follow(self, bucket: &str) -> Self {
        self.look_up(bucket)
            .publish(format!("$JS.API.CONSUMER.CREATE.KV_{bucket}"))
            .publish(format!("$JS.API.CONSUMER.CREATE.KV_{bucket}.>"))
            .publish(format!("$JS.API.CONSUMER.DELETE.KV_{bucket}.*"))
            .publish(format!("$JS.FC.KV_{bucket}.>"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_publish(user: &User, subject: &str) -> bool {
        let grants = grants(user, 16);
        let covers = |pattern: &String| matches(pattern, subject);
        grants.publish.iter().any(covers) && !grants.never_publish.iter().any(covers)
    }

    fn matches(pattern: &str, subject: &str) -> bool {
        let mut subject = subject.split('.');
        for part in pattern.split('.') {
            match (part, subject.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (part, Some(is)) if part == is => {}
                _ => return false,
            }
        }
        subject.next().is_none()
    }

    fn services() -> Vec<User> {
        let sender = User::Sender(Pool::default());
        vec![User::Ingest, User::Router, sender, User::Console]
    }

    #[test]
    fn only_ingest_publishes_what_cmss_say() {
        for user in services() {
            let may = may_publish(&user, "tidings.event.acme.master.Entry.publish");
            assert_eq!(may, user == User::Ingest, "{user:?}");
        }
    }

    #[test]
    fn only_the_owner_of_a_consumer_takes_from_it_and_settles() {
        for user in services() {
            for subject in [
                "$JS.API.CONSUMER.MSG.NEXT.EVENTS.router",
                "$JS.ACK.EVENTS.router.1.1.1.1.1",
            ] {
                assert_eq!(
                    may_publish(&user, subject),
                    user == User::Router,
                    "{user:?}"
                );
            }
            for subject in [
                "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.sender-default-3",
                "$JS.ACK.RETRIES.retry-default-15.1.1.1.1.1",
            ] {
                let is_sender = matches!(user, User::Sender(_));
                assert_eq!(may_publish(&user, subject), is_sender, "{user:?}");
            }
        }
    }

    #[test]
    fn a_sender_works_for_its_own_pool_only() {
        let sender = User::Sender("eu".parse().unwrap());
        for subject in [
            "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.sender-default-3",
            "$KV.tidings_members.default.me",
            "tidings.later.default.0.dlv.1",
        ] {
            assert!(!may_publish(&sender, subject), "{subject}");
            assert!(
                may_publish(&sender, &subject.replace("default", "eu")),
                "{subject}"
            );
        }
    }

    #[test]
    fn no_service_deletes_a_stream_or_a_consumer_of_work() {
        for user in services().into_iter().chain([User::Provision]) {
            for stream in STREAMS {
                let delete = format!("$JS.API.STREAM.DELETE.{stream}");
                assert!(!may_publish(&user, &delete), "{user:?}");
            }
            for consumer in ["EVENTS.router", "DELIVERIES.sender-default-0"] {
                let delete = format!("$JS.API.CONSUMER.DELETE.{consumer}");
                assert!(!may_publish(&user, &delete), "{user:?}");
            }
        }
    }
}
