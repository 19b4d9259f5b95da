//! Pausing an endpoint by hand, and resuming it.

use jiff::Timestamp;
use tidings_core::webhook::{EndpointState, Status};

use super::{Kept, Target};
use crate::{Error, Manage, Result};

impl Manage {
    /// Lets deliveries wait, until `until` or until the webhook is resumed. None of them uses up
    /// an attempt.
    ///
    /// # Errors
    /// It is not there, was changed meanwhile, is disabled, or the broker does not answer.
    pub async fn pause_webhook(
        &self,
        target: Target<'_>,
        until: Option<Timestamp>,
    ) -> Result<Kept> {
        let old = self.expect(target).await?;
        if old.effective().status == Status::Disabled {
            let detail = format!("{} is disabled; nothing is sent to it anyway", target.id);
            return Err(Error::conflict("webhook_disabled", detail));
        }
        let state = EndpointState::paused_by_hand(until, old.webhook.version);
        self.put_state(&old.webhook, &state).await?;
        let new = Kept {
            state: Some(state),
            ..old.clone()
        };
        self.record_state(target, &old, &new, "webhook.pause").await;
        Ok(new)
    }

    /// Lets deliveries be sent that wait in a pause, slowly at first. Nothing changes if there is
    /// no pause.
    ///
    /// # Errors
    /// It is not there, was changed meanwhile, or the broker does not answer.
    pub async fn resume_webhook(&self, target: Target<'_>) -> Result<Kept> {
        let old = self.expect(target).await?;
        if old.effective().status != Status::Paused {
            return Ok(old);
        }
        let state = EndpointState::resumed_by_hand(old.webhook.version);
        self.put_state(&old.webhook, &state).await?;
        let new = Kept {
            state: Some(state),
            ..old.clone()
        };
        self.record_state(target, &old, &new, "webhook.resume")
            .await;
        Ok(new)
    }
}
