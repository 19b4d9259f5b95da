use tempfile::TempDir;
use tidings_proto::v1;

use super::{Batch, Cursor, DeliveryFilter, Entry, LetterFilter, Log, LogOptions, Status};

async fn open(folder: &TempDir) -> Log {
    let options = LogOptions::at(folder.path().join("log.db"));
    Log::open(options).await.unwrap()
}

fn attempt(space: &str, delivery: u32, number: u32, seconds: i64, verdict: &str) -> Entry {
    Entry::Attempt(Box::new(v1::Attempt {
        delivery_id: format!("dlv_{delivery:04}"),
        webhook_id: format!("whk_{}", delivery % 3),
        space: space.to_owned(),
        event_id: format!("evt_{}", delivery / 3),
        topic: String::from("Entry.publish"),
        number,
        started_at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        outcome: String::from("http_500"),
        verdict: verdict.to_owned(),
        timings: Some(v1::Timings {
            total_us: u64::from(delivery),
            ..v1::Timings::default()
        }),
        ..v1::Attempt::default()
    }))
}

async fn store(log: &Log, entries: Vec<Entry>) {
    let after = log.position("ATTEMPTS").await.unwrap();
    let batch = Batch {
        stream: String::from("ATTEMPTS"),
        after,
        upto: after + entries.len() as u64,
        entries,
    };
    assert!(log.store(batch).await.unwrap());
}

/// Every delivery, by pages of `limit`.
async fn walk(log: &Log, filter: &DeliveryFilter, limit: usize) -> Vec<super::Delivery> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = log
            .deliveries("acme", filter.clone(), cursor, limit)
            .await
            .unwrap();
        all.extend(page.items);
        let Some(next) = page.next else { return all };
        cursor = Some(next.to_string().parse::<Cursor>().unwrap());
    }
}

#[tokio::test]
async fn pages_are_stable_while_rows_come_in() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    // Some begin at the same time: the id decides.
    let old = (0..50).map(|n| attempt("acme", n, 1, i64::from(n / 4), "delivered"));
    store(&log, old.collect()).await;
    let before = walk(&log, &DeliveryFilter::default(), 7).await;
    let first = log
        .deliveries("acme", DeliveryFilter::default(), None, 7)
        .await
        .unwrap();
    store(&log, vec![attempt("acme", 99, 1, 1_000, "retry")]).await;

    let second = log
        .deliveries("acme", DeliveryFilter::default(), first.next, 7)
        .await
        .unwrap();

    assert_eq!(before.len(), 50);
    assert!(before.is_sorted_by(|a, b| (a.at, &a.id) > (b.at, &b.id)));
    assert_eq!(second.items, before[7..14]);
}

#[tokio::test]
async fn filters_choose_and_spaces_are_apart() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    let mut entries: Vec<_> = (0..30)
        .map(|n| {
            let verdict = ["delivered", "retry", "exhausted"][n as usize / 10];
            attempt("acme", n, 1, i64::from(n), verdict)
        })
        .collect();
    entries.push(attempt("other", 5, 1, 5, "retry"));
    store(&log, entries).await;
    let filter = DeliveryFilter {
        webhook: Some(String::from("whk_1")),
        status: Some(Status::Dead),
        ..DeliveryFilter::default()
    };
    let dead = walk(&log, &filter, 2).await;
    let of_event = DeliveryFilter {
        event: Some(String::from("evt_2")),
        ..DeliveryFilter::default()
    };

    let ids: Vec<_> = dead.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(ids, ["dlv_0028", "dlv_0025", "dlv_0022"]);
    assert_eq!(log.count("acme", filter).await.unwrap(), 3);
    assert_eq!(walk(&log, &of_event, 10).await.len(), 3);
    assert!(log.delivery("other", "dlv_0006").await.unwrap().is_none());
    let (theirs, _) = log.delivery("other", "dlv_0005").await.unwrap().unwrap();
    let (ours, _) = log.delivery("acme", "dlv_0005").await.unwrap().unwrap();
    assert_eq!(theirs.status, Status::Retrying);
    assert_eq!(ours.status, Status::Delivered);
    let health = log.health("acme", "whk_1", 0, 30_000_000).await.unwrap();
    assert_eq!((health.attempts, health.delivered), (10, 3));
}

#[tokio::test]
async fn the_order_of_messages_does_not_matter_and_repeats_change_nothing() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (log, rebuilt) = (open(&folder).await, open(&other).await);
    let mut entries = Vec::new();
    for n in 0..40 {
        entries.push(attempt("acme", n, 1, i64::from(n), "retry"));
        entries.push(attempt("acme", n, 2, 60 + i64::from(n), "delivered"));
    }
    for one in entries.clone() {
        store(&log, vec![one]).await;
    }
    entries.reverse();
    store(&rebuilt, entries.clone()).await;
    store(&rebuilt, entries).await;

    let all = DeliveryFilter::default();
    assert_eq!(walk(&log, &all, 9).await, walk(&rebuilt, &all, 100).await);
    let (found, attempts) = rebuilt.delivery("acme", "dlv_0003").await.unwrap().unwrap();
    assert_eq!((found.status, found.attempts), (Status::Delivered, 2));
    assert_eq!(attempts.len(), 2);
}

#[tokio::test]
async fn a_file_that_is_none_is_made_again_and_a_good_one_is_kept() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("log.db"), [b'x'; 5_000]).unwrap();
    let log = open(&folder).await;
    store(&log, vec![attempt("acme", 1, 1, 1, "retry")]).await;
    drop(log);

    let again = open(&folder).await;

    assert_eq!(again.position("ATTEMPTS").await.unwrap(), 1);
    assert_eq!(walk(&again, &DeliveryFilter::default(), 5).await.len(), 1);
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_and_a_batch_from_elsewhere_is_not_stored() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    store(&log, vec![attempt("acme", 1, 1, 10, "delivered")]).await;
    store(&log, vec![attempt("acme", 2, 1, 10_000_000, "delivered")]).await;
    log.forget(10_000_100 * 1_000_000).await.unwrap();
    let left = walk(&log, &DeliveryFilter::default(), 5).await;
    let elsewhere = Batch {
        stream: String::from("ATTEMPTS"),
        after: 7,
        upto: 8,
        entries: vec![attempt("acme", 3, 1, 10_000_000, "delivered")],
    };

    assert_eq!(left.len(), 1);
    assert!(!log.store(elsewhere).await.unwrap());
    assert_eq!(walk(&log, &DeliveryFilter::default(), 5).await, left);
}

#[tokio::test]
async fn what_is_too_much_is_forgotten_the_oldest_first() {
    let folder = TempDir::new().unwrap();
    let mut options = LogOptions::at(folder.path().join("log.db"));
    options.max_bytes = 2 << 20;
    let log = Log::open(options).await.unwrap();
    let many = (0..6_000).map(|n| attempt("acme", n, 1, i64::from(n), "delivered"));
    store(&log, many.collect()).await;
    while log.forget(6_000_000_000).await.unwrap() {}

    let left = walk(&log, &DeliveryFilter::default(), 200).await;

    assert!((1..6_000).contains(&left.len()), "{} are left", left.len());
    assert_eq!(left[0].id, "dlv_5999");
    let ids = left.iter().map(|delivery| delivery.id.clone());
    let newest = (6_000 - left.len()..6_000).rev();
    assert!(ids.eq(newest.map(|n| format!("dlv_{n:04}"))));
}

#[tokio::test]
async fn a_topic_is_found_in_whatever_case() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    store(&log, vec![attempt("acme", 1, 1, 1, "retry")]).await;
    let of_topic = |topic: &str| DeliveryFilter {
        topic: Some(topic.to_owned()),
        ..DeliveryFilter::default()
    };

    assert_eq!(walk(&log, &of_topic("entry.PUBLISH"), 5).await.len(), 1);
    assert_eq!(walk(&log, &of_topic("Entry.delete"), 5).await.len(), 0);
}

/// That a delivery was put off at `seconds` because of `reason`.
fn waiting(delivery: u32, seconds: i64, reason: &str) -> Entry {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    Entry::Waiting(Box::new(v1::Waiting {
        delivery_id: format!("dlv_{delivery:04}"),
        webhook_id: format!("whk_{}", delivery % 3),
        space: String::from("acme"),
        event_id: format!("evt_{}", delivery / 3),
        topic: String::from("Entry.publish"),
        created_at: at(1),
        at: at(seconds),
        reason: reason.to_owned(),
        until: at(seconds + 60),
        ..v1::Waiting::default()
    }))
}

fn letter(delivery: u32, seconds: i64, reason: &str) -> Entry {
    let letter = v1::DeadLetter {
        space: String::from("acme"),
        reason: reason.to_owned(),
        at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        delivery: Some(v1::Delivery {
            id: format!("dlv_{delivery:04}"),
            space: String::from("acme"),
            webhook_id: format!("whk_{}", delivery % 3),
            attempt: 1,
            ..v1::Delivery::default()
        }),
        ..v1::DeadLetter::default()
    };
    Entry::DeadLetter(u64::from(delivery), Box::new(letter))
}

#[tokio::test]
async fn what_waits_for_its_first_attempt_is_listed_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    store(&log, vec![waiting(1, 10, "paused"), waiting(4, 11, "rate")]).await;
    let pending = DeliveryFilter {
        webhook: Some(String::from("whk_1")),
        status: Some(Status::Pending),
        ..DeliveryFilter::default()
    };

    let found = walk(&log, &pending, 1).await;

    assert_eq!(log.count("acme", pending.clone()).await.unwrap(), 2);
    let first = found.iter().find(|it| it.id == "dlv_0001").unwrap();
    assert_eq!((first.reason.as_str(), first.attempts), ("paused", 0));
    assert_eq!((first.at, first.last_at), (1_000_000, 10_000_000));
    assert_eq!(first.waits_until, 70_000_000);
    let (_, attempts) = log.delivery("acme", "dlv_0001").await.unwrap().unwrap();
    assert_eq!(attempts, []);
    // Another reason is newer, the same one again changes nothing.
    store(&log, vec![waiting(1, 20, "rate"), waiting(1, 10, "paused")]).await;
    let (found, _) = log.delivery("acme", "dlv_0001").await.unwrap().unwrap();
    assert_eq!((found.reason.as_str(), found.last_at), ("rate", 20_000_000));

    store(&log, vec![attempt("acme", 1, 1, 30, "delivered")]).await;

    assert_eq!(log.count("acme", pending).await.unwrap(), 1);
    let (found, _) = log.delivery("acme", "dlv_0001").await.unwrap().unwrap();
    assert_eq!((found.status, found.waits_until), (Status::Delivered, 0));
}

#[tokio::test]
async fn a_late_word_of_waiting_never_steps_back() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    let entries = vec![
        attempt("acme", 1, 1, 30, "delivered"),
        attempt("acme", 2, 1, 30, "retry"),
        letter(3, 30, "expired"),
        waiting(1, 10, "paused"),
        waiting(2, 10, "paused"),
        waiting(3, 10, "paused"),
    ];
    store(&log, entries).await;

    let mut found = walk(&log, &DeliveryFilter::default(), 10).await;

    found.sort_by(|a, b| a.id.cmp(&b.id));
    let stand: Vec<_> = found.iter().map(|it| it.status).collect();
    assert_eq!(stand, [Status::Delivered, Status::Retrying, Status::Dead]);
}

#[tokio::test]
async fn what_is_sent_again_and_put_off_waits_again() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder).await;
    store(&log, vec![letter(3, 30, "expired")]).await;
    log.note_redelivery("acme", "dlv_0003", 1).await.unwrap();

    store(&log, vec![waiting(3, 40, "paused")]).await;

    let (found, _) = log.delivery("acme", "dlv_0003").await.unwrap().unwrap();
    assert_eq!(found.status, Status::Pending);
    let letters = log.letters("acme", LetterFilter::default(), None, 10).await;
    assert_eq!(letters.unwrap().items, []);
}
