//! Replays: counted, begun, and worked on.
//!
//! The console that holds a replay's lease walks through the log, the oldest delivery first, and
//! keeps its place in the replay's record. When it dies its lease ends, and another console, or
//! itself after a restart, goes on from there; a few deliveries may be sent twice then.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::topic::{Topic, TopicPattern};
use tidings_manage::redeliver::Redelivery;
use tidings_manage::replay::{Lease, Range, Replay, Size, State};
use tidings_manage::{Actor, Error, Result, new_ulid};
use tidings_service::clock;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::App;
use crate::log::{Cursor, Delivery, DeliveryFilter, Status};

/// How often is looked for replays that nobody works on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the place is kept, and the lease renewed.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// While more than this waits beside a replay's deliveries, the replay holds still.
const WAITING_MAX: u64 = 256;
/// How often is looked whether that is so.
const YIELD_EVERY: Duration = Duration::from_millis(500);
const PAGE: usize = 100;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// Of this webhook; of all webhooks of the space if absent.
    pub webhook: Option<WebhookId>,
    /// Deliveries that began then or later.
    pub from: Timestamp,
    /// Deliveries that began before; until now if absent.
    pub to: Option<Timestamp>,
    /// Of events with one of these topics; of all if empty.
    pub topics: Vec<TopicPattern>,
    /// Only those that ended without success.
    pub only_failed: bool,
}

impl NewReplay {
    fn range(&self) -> Result<Range> {
        let to = self.to.unwrap_or_else(clock::now);
        if to <= self.from {
            let detail = "it is not after `from`; nothing lies between them";
            return Err(Error::field("/to", "bad_value", detail));
        }
        Ok(Range {
            webhook: self.webhook.clone(),
            from: self.from,
            to,
            topics: self.topics.clone(),
            only_failed: self.only_failed,
        })
    }
}

impl App {
    /// How many deliveries a replay would send again.
    ///
    /// # Errors
    /// The range is empty, the webhook is not there, or something does not answer.
    pub async fn count_replay(&self, space: &Space, wanted: &NewReplay) -> Result<u64> {
        let range = wanted.range()?;
        if let Some(webhook) = &range.webhook {
            self.manage.webhook(space, webhook).await?;
        }
        self.catch_up().await;
        self.count(space, &range).await
    }

    /// Begins a replay.
    ///
    /// # Errors
    /// The range is empty, the webhook is not there or disabled, or something does not answer.
    pub async fn start_replay(
        &self,
        actor: &Actor,
        space: &Space,
        wanted: &NewReplay,
    ) -> Result<Replay> {
        let range = wanted.range()?;
        if let Some(webhook) = &range.webhook {
            self.manage.webhook(space, webhook).await?;
            self.manage
                .redelivery()
                .await?
                .webhook(space, webhook)
                .await?;
        }
        self.catch_up().await;
        let total = self.count(space, &range).await?;
        let size = Size {
            rate: self.args.replay_rate.get(),
            total: Some(total),
            only_count: false,
        };
        self.manage.create_replay(actor, space, range, size).await
    }

    async fn count(&self, space: &Space, range: &Range) -> Result<u64> {
        if range.topics.is_empty() {
            let counted = self.log.count(space.as_str(), filter(range)).await;
            return Ok(counted?);
        }
        // Patterns are no index: everything in the range is looked at.
        let (mut count, mut cursor) = (0, None);
        loop {
            let page = self.page(space, range, cursor, 200).await?;
            let meant = page
                .items
                .iter()
                .filter(|delivery| is_meant(range, delivery));
            count += meant.count() as u64;
            cursor = page.next;
            if cursor.is_none() {
                return Ok(count);
            }
        }
    }

    async fn page(
        &self,
        space: &Space,
        range: &Range,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<crate::log::Page<Delivery>> {
        let page = self
            .log
            .deliveries_oldest_first(space.as_str(), filter(range), after, limit)
            .await;
        Ok(page?)
    }
}

fn filter(range: &Range) -> DeliveryFilter {
    DeliveryFilter {
        webhook: range.webhook.as_ref().map(WebhookId::to_string),
        status: range.only_failed.then_some(Status::Dead),
        from: Some(range.from.as_microsecond()),
        to: Some(range.to.as_microsecond()),
        ..DeliveryFilter::default()
    }
}

fn is_meant(range: &Range, delivery: &Delivery) -> bool {
    if range.topics.is_empty() {
        return true;
    }
    let topic = delivery.topic.parse::<Topic>();
    topic.is_ok_and(|topic| range.topics.iter().any(|pattern| pattern.matches(&topic)))
}

/// Works on replays that nobody else works on, until `stop`.
pub async fn lead(app: Arc<App>, stop: CancellationToken) {
    let me = format!("console_{}", new_ulid(clock::now()));
    let busy: Arc<Mutex<HashSet<String>>> = Arc::default();
    let forever = async {
        loop {
            if let Err(error) = look(&app, &me, &busy, &stop).await {
                warn!(%error, "cannot look for replays: {error}");
            }
            sleep(LOOK_EVERY).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}

async fn look(
    app: &Arc<App>,
    me: &str,
    busy: &Arc<Mutex<HashSet<String>>>,
    stop: &CancellationToken,
) -> Result<()> {
    let lock = |busy: &Mutex<HashSet<String>>, id: &str, begin: bool| {
        let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
        match begin {
            true => busy.insert(id.to_owned()),
            false => busy.remove(id),
        }
    };
    let replays = app.manage.replays(None).await?;
    app.manage.forget_replays(&replays).await?;
    for replay in replays.into_iter().filter(|it| it.state == State::Running) {
        if !lock(busy, &replay.id, true) {
            continue;
        }
        let what = format!("replay.{}", replay.id);
        let Some(lease) = app.manage.lease(&what, me).await.inspect_err(|_| {
            lock(busy, &replay.id, false);
        })?
        else {
            lock(busy, &replay.id, false);
            continue;
        };
        let (app, busy, stop) = (Arc::clone(app), Arc::clone(busy), stop.clone());
        let me = me.to_owned();
        let tasks = app.lifecycle.tasks.clone();
        tasks.spawn(async move {
            let id = replay.id.clone();
            info!(replay.id = id, "working on the replay {id}");
            let work = Work {
                app: &app,
                me: &me,
                stop: &stop,
            };
            if let Err(error) = work.run(replay, lease).await {
                warn!(%error, "left the replay {id}: {error}; it is taken up again");
            }
            lock(&busy, &id, false);
        });
    }
    Ok(())
}

struct Work<'a> {
    app: &'a App,
    me: &'a str,
    stop: &'a CancellationToken,
}

/// What was done since the record was last changed.
#[derive(Default, Clone)]
struct Done {
    sent: u64,
    skipped: u64,
    last_skipped: String,
    cursor: Option<String>,
}

impl Work<'_> {
    async fn run(&self, replay: Replay, mut lease: Lease) -> Result<()> {
        let ended = self.work(&replay, &mut lease).await;
        let ended = match ended {
            Err(Error::Conflict { detail, .. }) => {
                let failed = self
                    .app
                    .manage
                    .change_replay(&replay.space, &replay.id, |it| {
                        it.state = State::Failed;
                        it.detail.clone_from(&detail);
                        it.ended_at = Some(clock::now());
                        Ok(())
                    });
                failed.await.map(drop)
            }
            other => other,
        };
        // Whoever is next need not wait for its end then.
        let _ = self.app.manage.release(lease).await;
        ended
    }

    async fn work(&self, replay: &Replay, lease: &mut Lease) -> Result<()> {
        let cursor = |text: &str| text.parse().ok();
        let mut after: Option<Cursor> = replay.cursor.as_deref().and_then(cursor);
        self.wait_for_log(lease).await?;
        self.count(replay).await?;
        if replay.only_count {
            return self.end(replay).await;
        }
        let redelivery = self.app.manage.redelivery().await?;
        let rate = NonZeroU32::new(replay.rate).unwrap_or(NonZeroU32::MIN);
        let mut turns = interval(Duration::from_secs(1) / rate.get());
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = Done::default();
        let mut kept_at = Instant::now();
        loop {
            let page = self
                .app
                .page(&replay.space, &replay.range, after.clone(), PAGE)
                .await?;
            for delivery in &page.items {
                if self.stop.is_cancelled() {
                    return self.keep(replay, &mut done, lease).await.map(drop);
                }
                if is_meant(&replay.range, delivery) {
                    turns.tick().await;
                    self.send(&redelivery, replay, delivery, &mut done).await?;
                }
                done.cursor = Some(Cursor::of(delivery).to_string());
                if kept_at.elapsed() >= KEEP_EVERY {
                    if !self.keep(replay, &mut done, lease).await? {
                        return Ok(());
                    }
                    kept_at = Instant::now();
                    self.give_way(replay, lease).await?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if !self.keep(replay, &mut done, lease).await? {
            return Ok(());
        }
        self.end(replay).await
    }

    async fn count(&self, replay: &Replay) -> Result<()> {
        if replay.total.is_some() {
            return Ok(());
        }
        let total = self.app.count(&replay.space, &replay.range).await?;
        self.change(replay, |it| it.total = Some(total)).await
    }

    async fn end(&self, replay: &Replay) -> Result<()> {
        let end = |it: &mut Replay| {
            if it.state == State::Running {
                it.state = State::Done;
                it.ended_at = Some(clock::now());
            }
        };
        self.change(replay, end).await
    }

    async fn change(&self, replay: &Replay, change: impl Fn(&mut Replay)) -> Result<()> {
        let Replay { space, id, .. } = replay;
        let changed = self.app.manage.change_replay(space, id, |it| {
            change(it);
            Ok(())
        });
        changed.await.map(drop)
    }

    async fn send(
        &self,
        redelivery: &Redelivery,
        replay: &Replay,
        delivery: &Delivery,
        done: &mut Done,
    ) -> Result<()> {
        let known = self.app.known(&replay.space, delivery).await?;
        match redelivery.send(&known).await {
            Ok(next) => {
                done.sent += 1;
                self.app
                    .note_redelivery(&replay.space, delivery, next)
                    .await
            }
            // Nothing can be sent to it any more.
            Err(Error::Conflict { code, detail })
                if replay.range.webhook.is_some() && code.starts_with("webhook_") =>
            {
                Err(Error::Conflict { code, detail })
            }
            Err(Error::Conflict { detail, .. }) => {
                done.skipped += 1;
                done.last_skipped = format!("{}: {detail}", delivery.id);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// Writes down what was done, and renews the lease. `false` if the replay was cancelled.
    async fn keep(&self, replay: &Replay, done: &mut Done, lease: &mut Lease) -> Result<bool> {
        self.app.manage.renew(lease, self.me).await?;
        let now = done.clone();
        let kept = self
            .app
            .manage
            .change_replay(&replay.space, &replay.id, |it| {
                it.sent += now.sent;
                it.skipped += now.skipped;
                if !now.last_skipped.is_empty() {
                    it.last_skipped.clone_from(&now.last_skipped);
                }
                it.cursor = now.cursor.clone().or(it.cursor.take());
                Ok(())
            });
        let kept = kept.await?;
        *done = Done::default();
        Ok(kept.state == State::Running)
    }

    /// A log that is still being built does not know everything that is in the range.
    async fn wait_for_log(&self, lease: &mut Lease) -> Result<()> {
        while self.app.log.lag().seconds > 0 && !self.stop.is_cancelled() {
            self.app.manage.renew(lease, self.me).await?;
            sleep(KEEP_EVERY).await;
        }
        Ok(())
    }

    /// Holds still while other deliveries wait where this replay's would.
    async fn give_way(&self, replay: &Replay, lease: &mut Lease) -> Result<()> {
        let Some(webhook) = &replay.range.webhook else {
            return Ok(());
        };
        let mut renewed_at = Instant::now();
        while !self.stop.is_cancelled() {
            let found = self.app.manage.find_webhook(&replay.space, webhook).await?;
            let Some(kept) = found else { return Ok(()) };
            if self.app.waiting_in_partition(&kept).await? <= WAITING_MAX {
                return Ok(());
            }
            sleep(YIELD_EVERY).await;
            if renewed_at.elapsed() >= KEEP_EVERY {
                self.app.manage.renew(lease, self.me).await?;
                renewed_at = Instant::now();
            }
        }
        Ok(())
    }
}
