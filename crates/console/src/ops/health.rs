//! How a webhook fares.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::partition::partition_of;
use tidings_manage::webhook::Kept;
use tidings_manage::{Error, Result};
use tidings_nats::topology::{DELIVERIES, delivery_consumer};
use tidings_service::clock;

use crate::App;
use crate::log::{DeliveryFilter, Status};
use crate::view::{BacklogView, BucketView, CountsView, HealthView, LatencyView, StateView, time};

/// Deliveries are counted so far and no further.
const COUNT_MAX: u64 = 100_000;

impl App {
    /// How a webhook fared within `window` until now.
    ///
    /// # Errors
    /// It is not there, or something does not answer.
    pub async fn webhook_health(
        &self,
        space: &Space,
        id: &WebhookId,
        window: Duration,
    ) -> Result<HealthView> {
        let kept = self.manage.webhook(space, id).await?;
        let to = clock::now().as_microsecond();
        let from = to.saturating_sub(i64::try_from(window.as_micros()).unwrap_or(i64::MAX));
        let health = self.log.health(space.as_str(), id.as_str(), from, to).await;
        let health = health?;
        let count = async |status, from| {
            let filter = DeliveryFilter {
                webhook: Some(id.to_string()),
                status: Some(status),
                from,
                ..DeliveryFilter::default()
            };
            let counted = self.log.count_upto(space.as_str(), filter, COUNT_MAX).await;
            Ok::<u64, Error>(counted?)
        };
        let deliveries = CountsView {
            delivered: count(Status::Delivered, Some(from)).await?,
            pending: count(Status::Pending, Some(from)).await?,
            retrying: count(Status::Retrying, Some(from)).await?,
            dead: count(Status::Dead, Some(from)).await?,
        };
        let backlog = BacklogView {
            pending: count(Status::Pending, None).await?,
            retrying: count(Status::Retrying, None).await?,
            partition: self.waiting_in_partition(&kept).await?,
        };
        let state = kept.effective();
        let width = (to - from) / i64::try_from(health.buckets.len().max(1)).unwrap_or(1);
        let series = (0_i64..)
            .zip(&health.buckets)
            .map(|(index, bucket)| BucketView {
                from: time(from + index * width),
                attempts: bucket.0,
                delivered: bucket.1,
            });
        let milliseconds = |us: u64| us as f64 / 1_000.0;
        let rate = health.delivered as f64 / health.attempts as f64;
        Ok(HealthView {
            webhook_id: id.to_string(),
            state: StateView {
                status: state.status.to_string(),
                reason: state.reason,
                until: state.until,
            },
            from: time(from),
            to: time(to),
            attempts: health.attempts,
            delivered: health.delivered,
            failed: health.attempts - health.delivered,
            success_rate: (health.attempts > 0).then_some(rate),
            latency_ms: LatencyView {
                p50: milliseconds(health.p50_us),
                p95: milliseconds(health.p95_us),
                p99: milliseconds(health.p99_us),
            },
            deliveries,
            backlog,
            series: series.collect(),
            lag: self.log.lag().into(),
        })
    }

    /// Deliveries that wait for their first attempt beside those of this webhook, and these too.
    pub(crate) async fn waiting_in_partition(&self, kept: &Kept) -> Result<u64> {
        let webhook = &kept.webhook;
        let layout = self.manage.layout().await?;
        let partition = partition_of(&webhook.id, layout.partitions);
        let name = delivery_consumer(&webhook.definition.delivery.pool, partition);
        let failed =
            |error: &dyn std::fmt::Display| Error::Unavailable(format!("{DELIVERIES}: {error}"));
        let stream = self.manage.context().get_stream_no_info(DELIVERIES).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let consumer: Result<PullConsumer, _> = stream.get_consumer(&name).await;
        let consumer = consumer.map_err(|error| failed(&error))?;
        Ok(consumer.cached_info().num_pending)
    }
}
