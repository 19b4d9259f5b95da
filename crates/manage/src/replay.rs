//! Replays: sending many deliveries again, slowly. A replay is a record in its bucket; which
//! process works on it is decided by a lease that ends by itself, so a replay goes on wherever a
//! console runs.

use async_nats::jetstream::kv::{CreateErrorKind, Operation, UpdateErrorKind};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::topic::TopicPattern;
use tidings_nats::topology::{LEASES_BUCKET, REPLAYS_BUCKET};
use tidings_service::clock;

use crate::audit::Change;
use crate::{Actor, Error, Manage, Result, new_ulid};

/// How long an ended replay is kept to look at.
const KEPT_DAYS: i64 = 7;
const TRIES: usize = 8;

/// Which deliveries are sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// Those of this webhook; of all webhooks of the space if absent.
    pub webhook: Option<WebhookId>,
    /// Those that began then or later.
    pub from: Timestamp,
    /// Those that began before.
    pub to: Timestamp,
    /// Those of events with one of these topics; of all if empty.
    #[serde(default)]
    pub topics: Vec<TopicPattern>,
    /// Only those that ended without success.
    #[serde(default)]
    pub only_failed: bool,
}

/// How much a replay does.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many deliveries per second at most.
    pub rate: u32,
    /// How many deliveries there are, if that was counted.
    pub total: Option<u64>,
    /// Whether they are only counted.
    pub only_count: bool,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on, now or as soon as a console runs.
    Running,
    /// Everything was sent again that could be.
    Done,
    /// A person stopped it.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// A replay as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// Its space.
    pub space: Space,
    /// What it sends again.
    pub range: Range,
    /// How many deliveries per second at most.
    pub rate: u32,
    /// How it stands.
    pub state: State,
    /// Why it failed.
    #[serde(default)]
    pub detail: String,
    /// Whether deliveries are only counted.
    #[serde(default)]
    pub only_count: bool,
    /// How many deliveries there were when it began; absent until somebody has counted.
    #[serde(default)]
    pub total: Option<u64>,
    /// How many were sent again.
    pub sent: u64,
    /// How many could not be, such as those whose event is no longer kept.
    pub skipped: u64,
    /// Why the last of these could not be.
    #[serde(default)]
    pub last_skipped: String,
    /// The last delivery that was looked at.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Who asked for it.
    pub by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// When it last went on.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

/// The right to work on something for a while.
#[derive(Debug)]
pub struct Lease {
    key: String,
    revision: u64,
}

impl Manage {
    /// Stores a new replay; a console takes it up.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn create_replay(
        &self,
        actor: &Actor,
        space: &Space,
        range: Range,
        size: Size,
    ) -> Result<Replay> {
        let now = clock::now();
        let replay = Replay {
            id: format!("rpl_{}", new_ulid(now)),
            space: space.clone(),
            range,
            rate: size.rate,
            state: State::Running,
            detail: String::new(),
            only_count: size.only_count,
            total: size.total,
            sent: 0,
            skipped: 0,
            last_skipped: String::new(),
            cursor: None,
            by: actor.clone(),
            created_at: now,
            updated_at: now,
            ended_at: None,
        };
        let bucket = self.bucket(REPLAYS_BUCKET).await?;
        let created = bucket.create(key(space, &replay.id), stored(&replay)).await;
        created.map_err(|error| Error::broker("the replay was not stored", error))?;
        if !replay.only_count {
            self.record_replay(actor, &replay, "replay.start").await;
        }
        Ok(replay)
    }

    /// A replay.
    ///
    /// # Errors
    /// There is none of this id, or the broker does not answer.
    pub async fn replay(&self, space: &Space, id: &str) -> Result<Replay> {
        Ok(self.replay_entry(space, id).await?.0)
    }

    /// The replays of a space, the newest first; or all.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn replays(&self, space: Option<&Space>) -> Result<Vec<Replay>> {
        let failed = |error: &dyn std::fmt::Display| Error::broker(REPLAYS_BUCKET, error);
        let bucket = self.bucket(REPLAYS_BUCKET).await?;
        let prefix = space.map_or_else(String::new, |space| format!("{space}."));
        let keys = bucket.keys().await.map_err(|error| failed(&error))?;
        let keys: Result<Vec<String>, _> = keys.try_collect().await;
        let mut replays = Vec::new();
        for key in keys.map_err(|error| failed(&error))? {
            if !key.starts_with(&prefix) {
                continue;
            }
            let value = bucket.get(&key).await.map_err(|error| failed(&error))?;
            let read = value.and_then(|value| serde_json::from_slice::<Replay>(&value).ok());
            replays.extend(read);
        }
        replays.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(replays)
    }

    /// Stops a replay. What was sent again stays so.
    ///
    /// # Errors
    /// There is none of this id, it has ended, or the broker does not answer.
    pub async fn cancel_replay(&self, actor: &Actor, space: &Space, id: &str) -> Result<Replay> {
        let cancelled = self.change_replay(space, id, |replay| {
            if replay.state != State::Running {
                let detail = format!("the replay {id} has ended already");
                return Err(Error::conflict("ended", detail));
            }
            replay.state = State::Cancelled;
            replay.ended_at = Some(clock::now());
            Ok(())
        });
        let replay = cancelled.await?;
        self.record_replay(actor, &replay, "replay.cancel").await;
        Ok(replay)
    }

    /// Changes a replay, whatever somebody else changes meanwhile. Returns what it is now.
    ///
    /// # Errors
    /// `change` refuses, there is none of this id, or the broker does not answer.
    pub async fn change_replay(
        &self,
        space: &Space,
        id: &str,
        change: impl Fn(&mut Replay) -> Result<()>,
    ) -> Result<Replay> {
        let bucket = self.bucket(REPLAYS_BUCKET).await?;
        for _ in 0..TRIES {
            let (mut replay, revision) = self.replay_entry(space, id).await?;
            change(&mut replay)?;
            replay.updated_at = clock::now();
            match bucket
                .update(key(space, id), stored(&replay), revision)
                .await
            {
                Ok(_) => return Ok(replay),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(Error::broker("the replay was not stored", error)),
            }
        }
        let detail = "others keep changing the replay";
        Err(Error::Unavailable(detail.to_owned()))
    }

    /// Removes replays that ended long ago.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn forget_replays(&self, replays: &[Replay]) -> Result<()> {
        let now = clock::now().as_second();
        let is_old = |end: Timestamp| now - end.as_second() > KEPT_DAYS * 24 * 60 * 60;
        let bucket = self.bucket(REPLAYS_BUCKET).await?;
        for replay in replays
            .iter()
            .filter(|replay| replay.ended_at.is_some_and(is_old))
        {
            let purged = bucket.purge(key(&replay.space, &replay.id)).await;
            purged.map_err(|error| Error::broker(REPLAYS_BUCKET, error))?;
        }
        Ok(())
    }

    /// Takes the lease of `what` as `who`; `None` while somebody else has it.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn lease(&self, what: &str, who: &str) -> Result<Option<Lease>> {
        let bucket = self.bucket(LEASES_BUCKET).await?;
        match bucket.create(what, Bytes::from(who.to_owned())).await {
            Ok(revision) => Ok(Some(Lease {
                key: what.to_owned(),
                revision,
            })),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(Error::broker(LEASES_BUCKET, error)),
        }
    }

    /// Renews a lease.
    ///
    /// # Errors
    /// It has ended, or the broker does not answer: whoever had it has it no longer.
    pub async fn renew(&self, lease: &mut Lease, who: &str) -> Result<()> {
        let bucket = self.bucket(LEASES_BUCKET).await?;
        let value = Bytes::from(who.to_owned());
        let renewed = bucket.update(&lease.key, value, lease.revision).await;
        lease.revision = renewed.map_err(|error| Error::broker(LEASES_BUCKET, error))?;
        Ok(())
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The broker does not answer; it ends by itself then.
    pub async fn release(&self, lease: Lease) -> Result<()> {
        let bucket = self.bucket(LEASES_BUCKET).await?;
        let deleted = bucket.delete_expect_revision(&lease.key, Some(lease.revision));
        deleted
            .await
            .map_err(|error| Error::broker(LEASES_BUCKET, error))
    }

    async fn replay_entry(&self, space: &Space, id: &str) -> Result<(Replay, u64)> {
        let missing = || Error::not_found("replay", id);
        if tidings_core::name::check_word(id, 64).is_err() {
            return Err(missing());
        }
        let bucket = self.bucket(REPLAYS_BUCKET).await?;
        let entry = bucket.entry(key(space, id)).await;
        let entry = entry.map_err(|error| Error::broker(REPLAYS_BUCKET, error))?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        let entry = entry.ok_or_else(missing)?;
        let replay = serde_json::from_slice(&entry.value);
        let replay = replay.map_err(|error| Error::broker("the replay cannot be read", error))?;
        Ok((replay, entry.revision))
    }

    async fn record_replay(&self, actor: &Actor, replay: &Replay, action: &'static str) {
        self.record(Change {
            actor,
            space: Some(&replay.space),
            action,
            target: &replay.id,
            old: Value::Null,
            new: json!({ "range": replay.range, "total": replay.total, "sent": replay.sent }),
        })
        .await;
    }
}

fn key(space: &Space, id: &str) -> String {
    format!("{space}.{id}")
}

fn stored(replay: &Replay) -> Bytes {
    let value = serde_json::to_vec(replay);
    Bytes::from(value.expect("a replay has only serialisable values and text keys"))
}
