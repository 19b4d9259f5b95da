//! The acknowledgement of the message that was settled last is kept back for a moment.
//!
//! A work-queue stream that becomes empty gives up the file of its last messages and begins another,
//! under the stream's lock. With a delivery every few milliseconds it would become empty after each
//! of them: a fifth of the broker's work was the making and removing of files, and whatever came
//! meanwhile waited (ADR 14). While one message stays, the file does. A sender that dies in this
//! moment sends that message once more, as it does with any that it has not acknowledged.

use async_nats::Subject;
use tokio::time::{Duration, Instant};

use super::Place;
use crate::permits::Lane;

/// For how long. Streams that are empty more often than this are not slowed by it.
pub(super) const KEPT_BACK: Duration = Duration::from_millis(250);

/// What is kept back: of each stream the message that lies furthest behind.
#[derive(Debug, Default)]
pub(super) struct Last {
    first: Option<Unacknowledged>,
    retry: Option<Unacknowledged>,
}

#[derive(Debug)]
struct Unacknowledged {
    sequence: u64,
    reply: Subject,
    since: Instant,
}

impl Last {
    /// A message was settled; what is to be acknowledged for it now.
    pub(super) fn settled(
        &mut self,
        place: Place,
        reply: Subject,
        now: Instant,
    ) -> Option<Subject> {
        let last = match place.lane {
            Lane::First => &mut self.first,
            Lane::Retry => &mut self.retry,
        };
        // Those before it may lie in a file that is given up anyway.
        if last
            .as_ref()
            .is_some_and(|last| last.sequence > place.sequence)
        {
            return Some(reply);
        }
        let new = Unacknowledged {
            sequence: place.sequence,
            reply,
            since: now,
        };
        last.replace(new).map(|earlier| earlier.reply)
    }

    /// What has been kept back for long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Subject> {
        self.take_if(|last| now.duration_since(last.since) >= KEPT_BACK)
    }

    /// Everything that is kept back.
    pub(super) fn all(&mut self) -> Vec<Subject> {
        self.take_if(|_| true)
    }

    fn take_if(&mut self, is_due: impl Fn(&Unacknowledged) -> bool) -> Vec<Subject> {
        let lanes = [&mut self.first, &mut self.retry].into_iter();
        let due = lanes.filter_map(|last| last.take_if(|last| is_due(last)));
        due.map(|last| last.reply).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lane: Lane, sequence: u64) -> Place {
        Place { lane, sequence }
    }

    #[test]
    fn each_stream_keeps_the_message_that_lies_furthest_behind() {
        let (mut last, now) = (Last::default(), Instant::now());
        let mut settled = |lane, sequence, reply: &'static str| {
            last.settled(place(lane, sequence), reply.into(), now)
        };
        assert_eq!(settled(Lane::First, 7, "7"), None);
        assert_eq!(settled(Lane::Retry, 1, "r1"), None);
        assert_eq!(settled(Lane::First, 9, "9"), Some("7".into()));
        assert_eq!(settled(Lane::First, 8, "8"), Some("8".into()));
        assert_eq!(settled(Lane::Retry, 2, "r2"), Some("r1".into()));
        assert_eq!(last.all(), [Subject::from("9"), Subject::from("r2")]);
        assert_eq!(last.all(), []);
    }

    #[test]
    fn nothing_is_kept_back_for_long() {
        let (mut last, start) = (Last::default(), Instant::now());
        last.settled(place(Lane::First, 1), "1".into(), start);
        last.settled(place(Lane::Retry, 1), "r1".into(), start + KEPT_BACK / 2);
        assert_eq!(last.due(start), []);
        assert_eq!(last.due(start + KEPT_BACK), [Subject::from("1")]);
        assert_eq!(last.due(start + KEPT_BACK * 2), [Subject::from("r1")]);
    }
}
