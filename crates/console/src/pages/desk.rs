//! What all handlers share.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_manage::Result;
use tidings_manage::webhook::Kept;
use tokio::time::Instant;

use super::live::Streams;
use crate::App;
use crate::session::Sessions;
use crate::session::lockout::Lockout;

/// How long names may be out of date. Pages that show one webhook read it anew.
const KEPT_FOR: Duration = Duration::from_secs(3);
/// Spaces whose names are kept at once.
const SPACES_MAX: usize = 256;

/// Names of a space's webhooks, by id.
pub(crate) type Names = Arc<HashMap<String, String>>;

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) app: Arc<App>,
    pub(crate) sessions: Sessions,
    pub(crate) lockout: Mutex<Lockout>,
    /// Streams of changes that are open.
    pub(crate) streams: Arc<Streams>,
    spaces: Mutex<Option<(Instant, Vec<String>)>>,
    names: Mutex<HashMap<Space, (Instant, Names)>>,
}

impl Desk {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self {
            sessions: Sessions::new(app.manage.clone()),
            app,
            lockout: Mutex::default(),
            streams: Arc::default(),
            spaces: Mutex::default(),
            names: Mutex::default(),
        }
    }

    /// All spaces, for those who may see them all.
    pub(crate) async fn spaces(&self) -> Result<Vec<String>> {
        let now = Instant::now();
        if let Some(spaces) = self.kept_spaces(now) {
            return Ok(spaces);
        }
        let spaces = self.app.manage.spaces().await?;
        let spaces: Vec<String> = spaces.iter().map(ToString::to_string).collect();
        let mut kept = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((now, spaces.clone()));
        Ok(spaces)
    }

    fn kept_spaces(&self, now: Instant) -> Option<Vec<String>> {
        let kept = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, spaces) = kept.as_ref()?;
        (now.duration_since(*at) < KEPT_FOR).then(|| spaces.clone())
    }

    fn kept_names(&self, space: &Space, now: Instant) -> Option<Names> {
        let kept = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, names) = kept.get(space)?;
        (now.duration_since(*at) < KEPT_FOR).then(|| Arc::clone(names))
    }

    /// What these webhooks of a space are called; deleted ones are left out.
    pub(crate) async fn names(
        &self,
        space: &Space,
        wanted: impl IntoIterator<Item = &str>,
    ) -> Result<HashMap<String, String>> {
        let wanted: BTreeSet<&str> = wanted.into_iter().collect();
        let ids = wanted.into_iter().filter_map(|id| id.parse().ok());
        let ids: Vec<WebhookId> = ids.collect();
        let found = self.app.manage.webhooks_of(space, &ids).await?;
        Ok(found.iter().map(name).collect())
    }

    /// What all webhooks of a space are called, for choosing one.
    pub(crate) async fn all_names(&self, space: &Space) -> Result<Names> {
        let now = Instant::now();
        if let Some(names) = self.kept_names(space, now) {
            return Ok(names);
        }
        let webhooks = self.app.manage.webhooks(Some(space)).await?;
        let names: Names = Arc::new(webhooks.iter().map(name).collect());
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SPACES_MAX {
            all.clear();
        }
        all.insert(space.clone(), (now, Arc::clone(&names)));
        Ok(names)
    }

    /// Forgets what is kept, after a change.
    pub(crate) fn changed(&self) {
        *self.spaces.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn name(kept: &Kept) -> (String, String) {
    let definition = &kept.webhook.definition;
    let name = shown_name(&definition.name, &definition.url);
    (kept.webhook.id.to_string(), name)
}

/// What a webhook is called: its name, or else where it sends to.
pub(crate) fn shown_name(name: &str, url: &str) -> String {
    match name.trim() {
        "" => {
            let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
            bare.chars().take(60).collect()
        }
        name => name.to_owned(),
    }
}
