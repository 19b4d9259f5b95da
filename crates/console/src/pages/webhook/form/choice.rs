//! What a form offers to choose from, and its summaries.

use tidings_core::webhook::Format;

use super::Form;

/// Actions of the grid of topics, and how people call them.
const ACTIONS: [(&str, &str); 9] = [
    ("*", "any"),
    ("create", "create"),
    ("save", "save"),
    ("auto_save", "auto-save"),
    ("publish", "publish"),
    ("unpublish", "unpublish"),
    ("archive", "archive"),
    ("unarchive", "unarchive"),
    ("delete", "delete"),
];
/// Entities of the grid, and which actions they have.
const ENTITIES: [(&str, &str, &[&str]); 4] = [
    ("*", "Anything", &ALL),
    ("Entry", "Entry", &ALL),
    ("Asset", "Asset", &ALL),
    (
        "ContentType",
        "Content type",
        &["*", "create", "save", "publish", "unpublish", "delete"],
    ),
];
const ALL: [&str; 9] = [
    "*",
    "create",
    "save",
    "auto_save",
    "publish",
    "unpublish",
    "archive",
    "unarchive",
    "delete",
];
/// Topics that stand beside the grid.
const OTHERS: [&str; 12] = [
    "Umbraco.ContentPublish",
    "Umbraco.ContentUnpublish",
    "Umbraco.ContentDelete",
    "Umbraco.ContentSaved",
    "Umbraco.MediaSave",
    "Umbraco.MediaDelete",
    "Release.*",
    "ScheduledAction.*",
    "Webhook.paused",
    "Webhook.resumed",
    "Webhook.disabled",
    "Delivery.exhausted",
];
const FORMATS: [(&str, &str, &str); 6] = [
    (
        "standard",
        "Standard Webhooks",
        "An envelope with type, timestamp and data. For receivers of your own.",
    ),
    (
        "contentful",
        "Contentful",
        "As Contentful sends it, with its headers.",
    ),
    ("umbraco", "Umbraco", "As Umbraco CMS sends it."),
    ("heartcore", "Umbraco Heartcore", "As Heartcore sends it."),
    (
        "cloudevents-binary",
        "CloudEvents, binary",
        "The payload, with ce-… headers.",
    ),
    (
        "cloudevents-structured",
        "CloudEvents, structured",
        "One JSON document with everything.",
    ),
];

/// A column of the grid.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) text: &'static str,
}

/// A row of the grid; a cell is absent where the entity has no such action.
#[derive(Debug)]
pub(crate) struct GridRow {
    pub(crate) text: &'static str,
    pub(crate) cells: Vec<Option<TopicChoice>>,
}

/// A topic to tick.
#[derive(Debug)]
pub(crate) struct TopicChoice {
    pub(crate) topic: String,
    pub(crate) text: String,
    pub(crate) checked: bool,
}

/// One of several values.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) text: String,
    pub(crate) hint: &'static str,
    pub(crate) chosen: bool,
}

/// A condition of a filter's row.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) value: &'static str,
    pub(crate) text: &'static str,
    pub(crate) chosen: bool,
}

/// What a format is called.
pub(crate) fn format_text(format: &str) -> String {
    let found = FORMATS.iter().find(|(value, _, _)| *value == format);
    match (found, format) {
        (Some((_, text, _)), _) => (*text).to_owned(),
        (None, "") => String::from("Standard Webhooks"),
        (None, other) => other.to_owned(),
    }
}

/// Whether a topic has a box to tick.
pub(super) fn has_box(topic: &str) -> bool {
    let in_grid = || {
        let (entity, action) = topic.split_once('.')?;
        let (_, _, actions) = ENTITIES.iter().find(|(own, _, _)| *own == entity)?;
        actions.contains(&action).then_some(())
    };
    OTHERS.contains(&topic) || in_grid().is_some()
}

impl Form {
    fn is_ticked(&self, topic: &str) -> bool {
        let mut ticked = self.topics.iter();
        ticked.any(|own| own.eq_ignore_ascii_case(topic))
    }

    pub(crate) fn grid_actions(&self) -> Vec<Action> {
        let actions = ACTIONS.iter().map(|(_, text)| Action { text });
        actions.collect()
    }

    pub(crate) fn grid(&self) -> Vec<GridRow> {
        let cell = |entity: &str, entity_text: &str, actions: &[&str], index: usize| {
            let (action, text) = ACTIONS[index];
            actions.contains(&action).then(|| {
                let topic = format!("{entity}.{action}");
                TopicChoice {
                    checked: self.is_ticked(&topic),
                    text: format!("{entity_text}, {text}"),
                    topic,
                }
            })
        };
        let row = |(entity, text, actions): &(&'static str, &'static str, &[&str])| GridRow {
            text,
            cells: (0..ACTIONS.len())
                .map(|index| cell(entity, text, actions, index))
                .collect(),
        };
        ENTITIES.iter().map(row).collect()
    }

    pub(crate) fn other_topics(&self) -> Vec<TopicChoice> {
        let choice = |topic: &&str| TopicChoice {
            topic: (*topic).to_owned(),
            text: String::new(),
            checked: self.is_ticked(topic),
        };
        OTHERS.iter().map(choice).collect()
    }

    pub(crate) fn has_other_topics(&self) -> bool {
        !self.free_topics.is_empty() || OTHERS.iter().any(|topic| self.is_ticked(topic))
    }

    /// The formats that this version knows.
    pub(crate) fn formats(&self) -> Vec<Choice> {
        let is_known = |value: &str| serde_json::from_value::<Format>(value.into()).is_ok();
        let known = FORMATS.iter().filter(|(value, _, _)| is_known(value));
        known
            .map(|(value, text, hint)| Choice {
                value: (*value).to_owned(),
                text: (*text).to_owned(),
                hint,
                chosen: self.format == *value || (self.format.is_empty() && *value == "standard"),
            })
            .collect()
    }

    pub(crate) fn pools(&self) -> Vec<Choice> {
        let mut pools = self.all_pools.clone();
        if !self.pool.is_empty() && !pools.contains(&self.pool) {
            pools.push(self.pool.clone());
        }
        let choice = |pool: String| Choice {
            chosen: pool == self.pool || (self.pool.is_empty() && pool == "default"),
            text: pool.clone(),
            value: pool,
            hint: "",
        };
        pools.into_iter().map(choice).collect()
    }

    pub(crate) fn filters_summary(&self) -> String {
        match (self.filters.len(), self.raw_filters.is_empty()) {
            (0, true) => String::from("none"),
            (0, false) => String::from("as JSON"),
            (rows, true) => rows.to_string(),
            (rows, false) => format!("{rows}, and more as JSON"),
        }
    }

    pub(crate) fn request_summary(&self) -> String {
        let format = format_text(&self.format);
        match self.headers.len() {
            0 => format,
            1 => format!("{format}, 1 header"),
            count => format!("{format}, {count} headers"),
        }
    }

    pub(crate) fn signing_summary(&self) -> String {
        match self.kept_secrets.len() {
            0 => String::from("a secret is made for you"),
            1 => String::from("1 secret"),
            count => format!("{count} secrets"),
        }
    }

    pub(crate) fn delivery_summary(&self) -> String {
        let s = if self.max_retries == "1" { "y" } else { "ies" };
        format!("{} retr{s}, timeout {}", self.max_retries, self.timeout)
    }
}
