//! What all pages have in common: navigation, and who looks at them.

/// What whoever looks may do in the space.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct May {
    pub(crate) webhooks_read: bool,
    pub(crate) webhooks_write: bool,
    pub(crate) deliveries_read: bool,
    pub(crate) deliveries_write: bool,
    pub(crate) admin: bool,
}

/// Light, dark, or as the system is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// What a cookie or a form says; the system's for anything else.
    pub(crate) fn read(text: &str) -> Self {
        match text {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The one that the button changes to.
    pub(crate) fn next(&self) -> &'static str {
        match self {
            Self::System => "light",
            Self::Light => "dark",
            Self::Dark => "system",
        }
    }

    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }
}

/// A place to go.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) section: &'static str,
    pub(crate) text: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) url: String,
}

/// What is around a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    pub(crate) title: String,
    /// The part of the navigation that it belongs to.
    pub(crate) section: &'static str,
    pub(crate) space: Option<String>,
    /// The spaces that whoever looks may choose.
    pub(crate) spaces: Vec<String>,
    pub(crate) may: May,
    pub(crate) who: String,
    pub(crate) csrf: String,
    pub(crate) theme: Theme,
    /// Path and query of the page itself.
    pub(crate) here: String,
    /// Where to listen for changes.
    pub(crate) live: Option<String>,
    /// That the delivery log is behind.
    pub(crate) lag: Option<String>,
}

impl Frame {
    /// Where to go within the space.
    pub(crate) fn space_links(&self) -> Vec<Link> {
        let space = self.space.as_deref().unwrap_or_default();
        let link = |section: &'static str, text, icon| Link {
            section,
            text,
            icon,
            url: format!("/s/{space}/{section}"),
        };
        let mut links = Vec::new();
        if self.may.webhooks_read {
            links.push(link("webhooks", "Webhooks", "webhook"));
        }
        if self.may.deliveries_read {
            links.push(link("deliveries", "Deliveries", "delivery"));
            links.push(link("events", "Events", "event"));
            links.push(link("dead-letters", "Dead letters", "dead"));
            links.push(link("replays", "Replays", "replay"));
        }
        if self.may.admin {
            links.push(link("audit", "Audit log", "audit"));
            links.push(link("settings", "Settings", "space"));
        }
        links
    }

    /// Where to go about the installation.
    pub(crate) fn links(&self) -> Vec<Link> {
        let link = |section, text, icon, url: &str| Link {
            section,
            text,
            icon,
            url: url.to_owned(),
        };
        let mut links = vec![link("egress", "Outgoing addresses", "egress", "/egress")];
        if self.may.admin {
            links.push(link("spaces", "Spaces", "space", "/admin/spaces"));
            links.push(link("tokens", "Tokens", "token", "/admin/tokens"));
            links.push(link("status", "Status", "status", "/admin/status"));
            links.push(link("audit-all", "All changes", "audit", "/admin/audit"));
        }
        links
    }
}
