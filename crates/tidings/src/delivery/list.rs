//! `tidings delivery list`.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use tidings_core::topic::{Topic, TopicPattern};
use tidings_core::waiting::Hindrance;
use tidings_nats::topology::{ATTEMPTS, DEAD_LETTERS};
use tidings_proto::v1;

use super::summary::{Sighting, Status, Summary};
use super::{ListArgs, subject_of, waiting};
use crate::client::Client;
use crate::output::{Output, Table, time};
use crate::scan::{self, Look, Seen};

/// Runs the command.
pub(super) async fn run(args: &ListArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let summaries = find(args, client).await?;
    let headings = [
        "ID", "WEBHOOK", "EVENT", "TOPIC", "STATUS", "ATTEMPTS", "OUTCOME", "LAST", "NEXT",
    ];
    let mut table = Table::new(headings, "no deliveries");
    for summary in &summaries {
        table.row([
            summary.id.clone(),
            summary.webhook_id.clone(),
            summary.event_id.clone(),
            summary.topic.clone(),
            status(summary),
            summary.attempts.to_string(),
            summary.last_outcome.clone().unwrap_or_default(),
            summary.last_at.map(time).unwrap_or_default(),
            summary.next_attempt_at.map(time).unwrap_or_default(),
        ]);
    }
    output.answer(&summaries, table)
}

pub(super) fn status(summary: &Summary) -> String {
    let status = summary.status.as_str();
    match &summary.reason {
        Some(reason) if summary.status == Status::Dead => format!("{status} ({reason})"),
        Some(reason) if summary.status == Status::Pending => {
            format!("{status} ({})", hindrance(reason))
        }
        _ => status.to_owned(),
    }
}

/// What keeps a delivery, for people.
fn hindrance(word: &str) -> &str {
    match word.parse() {
        Ok(Hindrance::Paused) => "webhook paused",
        Ok(Hindrance::Rate) => "rate limit",
        Ok(Hindrance::Slots) => "its requests in flight",
        Ok(Hindrance::Host) => "host busy",
        Ok(Hindrance::Permits) => "senders busy",
        Ok(Hindrance::Locked) => "secrets locked",
        Ok(Hindrance::NotKnown) => "webhook not known yet",
        Ok(Hindrance::Payload) => "payload not fetched yet",
        // Of a later version.
        Err(_) => word,
    }
}

async fn find(args: &ListArgs, client: &Client) -> anyhow::Result<Vec<Summary>> {
    let mut found = Found::new(args);
    let webhook = args.webhook.as_ref();
    for sighting in waiting::read(client, webhook).await? {
        found.add(sighting);
    }
    let letters = subject_of("dead", &args.space, webhook);
    let mut count = 0;
    scan::newest_first(client, DEAD_LETTERS, &letters, |seen| match seen {
        Seen::Message(message) => {
            let letter = v1::DeadLetter::decode(message.payload).ok();
            let sighting = letter.and_then(|letter| Sighting::of_letter(&letter));
            count += usize::from(sighting.is_some_and(|sighting| found.add(sighting)));
            Look::Further
        }
        Seen::Stretch => found.look(count),
    })
    .await?;
    let attempts = subject_of("attempt", &args.space, webhook);
    scan::newest_first(client, ATTEMPTS, &attempts, |seen| match seen {
        Seen::Message(message) => {
            if let Ok(attempt) = v1::Attempt::decode(message.payload) {
                found.add_attempt(&attempt);
            }
            Look::Further
        }
        Seen::Stretch => found.settle_attempts(),
    })
    .await?;
    Ok(found.newest())
}

/// What was found so far, by delivery.
struct Found<'a> {
    args: &'a ListArgs,
    sightings: HashMap<String, Sighting>,
    /// Of which of these an attempt was seen: the newest one, since streams are read backwards.
    attempted: HashSet<String>,
    /// What is known to stand otherwise than asked for, whatever older messages say.
    passed_over: HashSet<String>,
}

impl<'a> Found<'a> {
    fn new(args: &'a ListArgs) -> Self {
        Self {
            args,
            sightings: HashMap::new(),
            attempted: HashSet::new(),
            passed_over: HashSet::new(),
        }
    }

    /// Adds what is asked for, whatever its status. Returns whether it was.
    fn add(&mut self, sighting: Sighting) -> bool {
        let summary = &sighting.summary;
        if !self.is_meant(summary) || self.passed_over.contains(&summary.id) {
            return false;
        }
        match self.sightings.get_mut(&summary.id) {
            Some(known) => known.merge(sighting),
            None => {
                self.sightings.insert(summary.id.clone(), sighting);
            }
        }
        true
    }

    fn add_attempt(&mut self, attempt: &v1::Attempt) {
        let sighting = Sighting::of_record(attempt);
        if sighting.is_some_and(|sighting| self.add(sighting)) {
            self.attempted.insert(attempt.delivery_id.clone());
        }
    }

    fn is_meant(&self, summary: &Summary) -> bool {
        let ListArgs {
            space,
            webhook,
            topic,
            event_id,
            ..
        } = self.args;
        let is_of = |pattern: &TopicPattern| {
            summary
                .topic
                .parse()
                .is_ok_and(|topic: Topic| pattern.matches(&topic))
        };
        summary.space == space.as_str()
            && webhook
                .as_ref()
                .is_none_or(|wanted| wanted.as_str() == summary.webhook_id)
            && event_id
                .as_ref()
                .is_none_or(|wanted| wanted.as_str() == summary.event_id)
            && topic.as_ref().is_none_or(is_of)
    }

    fn is_wanted(&self, id: &str) -> bool {
        let known = self.sightings.get(id);
        known.is_some_and(|sighting| {
            self.args
                .status
                .is_none_or(|wanted| wanted == sighting.summary.status)
        })
    }

    /// Lets go of what stands otherwise than asked for, and says whether there is enough.
    fn settle_attempts(&mut self) -> Look {
        let attempted = std::mem::take(&mut self.attempted);
        let (wanted, others): (HashSet<_>, HashSet<_>) =
            attempted.into_iter().partition(|id| self.is_wanted(id));
        self.sightings.retain(|id, _| !others.contains(id));
        self.passed_over.extend(others);
        self.attempted = wanted;
        self.look(self.attempted.len())
    }

    fn look(&self, count: usize) -> Look {
        match count >= self.limit() {
            true => Look::Enough,
            false => Look::Further,
        }
    }

    fn limit(&self) -> usize {
        usize::try_from(self.args.limit).unwrap_or(usize::MAX)
    }

    fn newest(self) -> Vec<Summary> {
        let (limit, status) = (self.limit(), self.args.status);
        let all = self
            .sightings
            .into_values()
            .map(|sighting| sighting.summary);
        let is_wanted = |summary: &Summary| status.is_none_or(|wanted| wanted == summary.status);
        let mut wanted: Vec<Summary> = all.filter(is_wanted).collect();
        wanted.sort_by(|a, b| b.last_at.cmp(&a.last_at).then_with(|| a.id.cmp(&b.id)));
        wanted.truncate(limit);
        wanted
    }
}
