//! The bodies of requests. They are not recorded; they are made of the event once more.

use std::sync::Arc;

use bytes::Bytes;
use tidings_core::event::Event;
use tidings_core::format::{Content, Template};
use tidings_core::id::DeliveryId;
use tidings_core::name::Space;
use tidings_core::webhook::Webhook;
use tidings_manage::Result;
use tidings_proto::{timestamp_from_wire, v1};

use crate::App;
use crate::conceal::conceal;
use crate::log::Delivery;

impl App {
    /// What each attempt sent. `None` where that is not known any more: the event is gone, or the
    /// webhook was changed since, which shows in a body of another length.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(crate) async fn bodies(
        &self,
        space: &Space,
        delivery: &Delivery,
        event: Option<&Event>,
        attempts: &[v1::Attempt],
    ) -> Result<Vec<Option<Bytes>>> {
        let unknown = || vec![None; attempts.len()];
        let (Some(event), Ok(id), Ok(webhook)) =
            (event, delivery.id.parse(), delivery.webhook.parse())
        else {
            return Ok(unknown());
        };
        let Some(kept) = self.manage.find_webhook(space, &webhook).await? else {
            return Ok(unknown());
        };
        let Some(template) = self.template(kept.webhook) else {
            return Ok(unknown());
        };
        let bodies = attempts.iter();
        let bodies = bodies.map(|attempt| body(&template, &id, event, attempt));
        Ok(bodies.collect())
    }

    fn template(&self, mut webhook: Webhook) -> Option<Template> {
        conceal(&mut webhook.definition);
        let policy = Arc::new(self.reach.policy.clone());
        Template::new(&webhook, &policy).ok()
    }
}

fn body(
    template: &Template,
    delivery: &DeliveryId,
    event: &Event,
    attempt: &v1::Attempt,
) -> Option<Bytes> {
    let content = Content {
        delivery,
        attempt: attempt.number,
        event,
    };
    let at = timestamp_from_wire(attempt.started_at.as_ref()?)?;
    let body = template.render(content, at).ok()?.body;
    let sent = attempt.request.as_ref()?.body_bytes;
    (u64::try_from(body.len()) == Ok(sent)).then_some(body)
}
