use serde_json::json;

use super::super::Truth::{self, No, Unknown, Yes};
use super::{bare, event, judge};
use crate::event::Event;

/// What `doc` equals, over an event.
fn assert_is(event: &Event, doc: &str, expected: Option<&str>) {
    let exists = judge(&json!({"exists": [{"doc": doc}, true]}), event);
    assert_eq!(exists, Truth::from(expected.is_some()), "{doc}");
    let Some(expected) = expected else { return };
    let equals = |value: &str| judge(&json!({"equals": [{"doc": doc}, value]}), event);
    assert_eq!(equals(expected), Yes, "{doc}");
    assert_eq!(equals("something else"), No, "{doc}");
}

const CONTENTFUL: &str = r#"{"sys": {
    "type": "DeletedEntry", "id": "p-id", "revision": 9,
    "space": {"sys": {"id": "p-space"}}, "environment": {"sys": {"id": "p-environment"}},
    "contentType": {"sys": {"id": "p-type"}},
    "createdBy": {"sys": {"id": "p-creator"}}, "updatedBy": {"sys": {"id": "p-updater"}},
    "deletedBy": {"sys": {"id": "p-deleter"}}
}}"#;

#[test]
fn the_envelope_stands_for_sys_where_the_payload_has_none() {
    let event = event("{}");
    for (doc, expected) in [
        ("sys.id", Some("home")),
        ("sys.type", Some("Entry")),
        ("sys.space.sys.id", Some("acme")),
        ("sys.environment.sys.id", Some("staging")),
        ("sys.contentType.sys.id", Some("article")),
        ("sys.createdBy.sys.id", None),
        ("sys.updatedBy.sys.id", Some("user-42")),
        ("sys.deletedBy.sys.id", None),
        ("entity.id", Some("home")),
        ("entity.type", Some("Entry")),
        ("entity.contentType", Some("article")),
        ("sys", None),
        ("sys.environment", None),
    ] {
        assert_is(&event, doc, expected);
    }
    for doc in ["sys.revision", "entity.revision"] {
        let equals = |value: u32| judge(&json!({"equals": [{"doc": doc}, value]}), &event);
        assert_eq!((equals(70), equals(7)), (Yes, No));
        let more = json!({"gt": [{"doc": doc}, 69.5]});
        assert_eq!(judge(&more, &event), Yes);
    }
}

#[test]
fn the_envelope_goes_before_the_payload_but_for_people() {
    let event = event(CONTENTFUL);
    for (doc, expected) in [
        ("sys.id", "home"),
        ("sys.type", "Entry"),
        ("sys.space.sys.id", "acme"),
        ("sys.environment.sys.id", "staging"),
        ("sys.contentType.sys.id", "article"),
        ("sys.createdBy.sys.id", "p-creator"),
        ("sys.updatedBy.sys.id", "p-updater"),
        ("sys.deletedBy.sys.id", "p-deleter"),
        ("/payload/sys/id", "p-id"),
        ("/payload/sys/type", "DeletedEntry"),
    ] {
        assert_is(&event, doc, Some(expected));
    }
    assert_eq!(
        judge(&json!({"equals": [{"doc": "sys.revision"}, 70]}), &event),
        Yes
    );
}

#[test]
fn the_payload_fills_what_the_envelope_leaves_open() {
    let event = bare("Entry.delete", CONTENTFUL);
    for (doc, expected) in [
        ("sys.id", "p-id"),
        ("sys.type", "DeletedEntry"),
        ("sys.contentType.sys.id", "p-type"),
        ("sys.environment.sys.id", "staging"),
        ("sys.space.sys.id", "acme"),
    ] {
        assert_is(&event, doc, Some(expected));
    }
    assert_eq!(
        judge(&json!({"equals": [{"doc": "sys.revision"}, 9]}), &event),
        Yes
    );
    let silent = bare("Asset.publish", "{}");
    assert_is(&silent, "sys.type", Some("Asset"));
    for doc in [
        "sys.id",
        "sys.contentType.sys.id",
        "sys.revision",
        "sys.updatedBy.sys.id",
    ] {
        assert_is(&silent, doc, None);
    }
}

#[test]
fn the_actor_is_who_did_what_the_topic_says() {
    for (topic, created, updated, deleted) in [
        ("Entry.create", true, true, false),
        ("Entry.publish", false, true, false),
        ("Entry.auto_save", false, true, false),
        ("Entry.DELETE", false, false, true),
        ("Entry.unpublish", false, false, true),
        ("Umbraco.ContentUnpublish", false, false, true),
        ("Umbraco.MediaDelete", false, false, true),
        ("Umbraco.ContentPublish", false, true, false),
    ] {
        let event = Event {
            actor: "me".to_owned(),
            ..bare(topic, "{}")
        };
        for (doc, is_me) in [
            ("sys.createdBy.sys.id", created),
            ("sys.updatedBy.sys.id", updated),
            ("sys.deletedBy.sys.id", deleted),
        ] {
            let equals = json!({"equals": [{"doc": doc}, "me"]});
            let expected = if is_me { Yes } else { Unknown };
            assert_eq!(judge(&equals, &event), expected, "{doc} of {topic}");
        }
    }
}
