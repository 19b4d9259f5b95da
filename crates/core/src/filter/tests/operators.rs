use serde_json::json;

use super::super::Truth::{No, Unknown, Yes};
use super::{assert_table, bare, judge};

pub(super) const PAYLOAD: &str = r#"{
    "sys": {"id": "payload's own", "version": 3},
    "fields": {
        "title": {"en-US": "Café 🚀", "de-DE": ""},
        "tags": ["news", "sport", 7, null, {"deep": true}],
        "empty": [], "object": {},
        "price": 4.50, "sku": 9007199254740993, "tiny": -1e-400, "text": "7",
        "yes": true, "no": false, "nothing": null
    },
    "a.b": {"c/d": 1}, "": "nameless"
}"#;

#[test]
fn equals_compares_type_and_value() {
    assert_table(
        PAYLOAD,
        &[
            (
                json!({"equals": [{"doc": "fields.title.en-US"}, "Café 🚀"]}),
                Yes,
            ),
            (
                json!({"equals": [{"doc": "fields.title.en-US"}, "café 🚀"]}),
                No,
            ),
            (json!({"equals": [{"doc": "fields.title.de-DE"}, ""]}), Yes),
            (json!({"equals": [{"doc": "fields.price"}, 4.5]}), Yes),
            (json!({"equals": [{"doc": "fields.price"}, "4.5"]}), No),
            (json!({"equals": [{"doc": "fields.text"}, 7]}), No),
            (
                json!({"equals": [{"doc": "fields.sku"}, 9_007_199_254_740_993_i64]}),
                Yes,
            ),
            (
                json!({"equals": [{"doc": "fields.sku"}, 9_007_199_254_740_992_i64]}),
                No,
            ),
            (json!({"equals": [{"doc": "fields.yes"}, true]}), Yes),
            (json!({"equals": [{"doc": "fields.no"}, true]}), No),
            (json!({"equals": [{"doc": "fields.nothing"}, null]}), Yes),
            (json!({"equals": [{"doc": "fields.nothing"}, false]}), No),
            (json!({"equals": [{"doc": "fields.object"}, {}]}), Yes),
            (json!({"equals": [{"doc": "fields.missing"}, "x"]}), Unknown),
            (
                json!({"equals": [{"doc": "fields.missing"}, null]}),
                Unknown,
            ),
            (
                json!({"equals": [{"doc": "fields.text.deeper"}, "x"]}),
                Unknown,
            ),
            (json!({"equals": [{"doc": "a.b"}, "x"]}), Unknown),
        ],
    );
}

#[test]
fn a_list_passes_if_one_of_its_elements_does_or_as_a_whole() {
    assert_table(
        PAYLOAD,
        &[
            (json!({"equals": [{"doc": "fields.tags"}, "sport"]}), Yes),
            (json!({"equals": [{"doc": "fields.tags"}, "spor"]}), No),
            (json!({"equals": [{"doc": "fields.tags"}, 7]}), Yes),
            (json!({"equals": [{"doc": "fields.tags"}, null]}), Yes),
            (
                json!({"equals": [{"doc": "fields.tags"}, {"deep": true}]}),
                Yes,
            ),
            (
                json!({"equals": [{"doc": "fields.tags"},
                ["news", "sport", 7, null, {"deep": true}]]}),
                Yes,
            ),
            (
                json!({"equals": [{"doc": "fields.tags"}, ["news", "sport"]]}),
                No,
            ),
            (json!({"equals": [{"doc": "fields.tags.1"}, "sport"]}), Yes),
            (
                json!({"equals": [{"doc": "fields.tags.9"}, "sport"]}),
                Unknown,
            ),
            (json!({"equals": [{"doc": "fields.empty"}, []]}), Yes),
            (json!({"equals": [{"doc": "fields.empty"}, "x"]}), No),
            (json!({"in": [{"doc": "fields.tags"}, ["x", "sport"]]}), Yes),
            (
                json!({"regexp": [{"doc": "fields.tags"}, {"pattern": "^sp"}]}),
                Yes,
            ),
            (json!({"startsWith": [{"doc": "fields.tags"}, "sp"]}), Yes),
            (json!({"gte": [{"doc": "fields.tags"}, 7]}), Yes),
            (json!({"gt": [{"doc": "fields.tags"}, 7]}), No),
        ],
    );
}

#[test]
fn in_is_equality_with_one_of_many() {
    let values = ["7", "x", "a", "7", "Z", "", "é", "b"];
    for value in values {
        let payload = json!({ "t": value }).to_string();
        let mut others = values.to_vec();
        others.retain(|other| *other != value);
        let has = json!({"in": [{"doc": "t"}, values]});
        let has_not = json!({"in": [{"doc": "t"}, others]});
        assert_table(&payload, &[(has, Yes), (has_not, No)]);
    }
    assert_table(
        PAYLOAD,
        &[
            (json!({"in": [{"doc": "fields.text"}, ["1", "7"]]}), Yes),
            (json!({"in": [{"doc": "fields.text"}, [1, 7]]}), No),
            (
                json!({"in": [{"doc": "fields.price"}, ["x", 4.5, null]]}),
                Yes,
            ),
            (json!({"in": [{"doc": "fields.nothing"}, ["x", null]]}), Yes),
            (json!({"in": [{"doc": "fields.empty"}, [[]]]}), Yes),
            (json!({"in": [{"doc": "fields.text"}, []]}), No),
            (json!({"in": [{"doc": "fields.missing"}, ["x"]]}), Unknown),
        ],
    );
}

#[test]
fn regexp_finds_a_pattern_anywhere_in_a_text() {
    assert_table(
        PAYLOAD,
        &[
            (
                json!({"regexp": [{"doc": "fields.title.en-US"}, {"pattern": "af. "}]}),
                Yes,
            ),
            (
                json!({"regexp": [{"doc": "fields.title.en-US"}, {"pattern": "^af"}]}),
                No,
            ),
            (
                json!({"regexp": [{"doc": "fields.title.en-US"}, {"pattern": "(?i)CAFÉ .$"}]}),
                Yes,
            ),
            (
                json!({"regexp": [{"doc": "fields.title.de-DE"}, {"pattern": "^$"}]}),
                Yes,
            ),
            (
                json!({"regexp": [{"doc": "fields.price"}, {"pattern": "4"}]}),
                No,
            ),
            (
                json!({"regexp": [{"doc": "fields.nothing"}, {"pattern": "null"}]}),
                No,
            ),
            (
                json!({"regexp": [{"doc": "fields.missing"}, {"pattern": ""}]}),
                Unknown,
            ),
            (
                json!({"regexp": [{"doc": "sys.environment.sys.id"}, {"pattern": "^stag.+$"}]}),
                Yes,
            ),
        ],
    );
}

#[test]
fn regexp_says_nothing_about_long_texts() {
    let pattern = json!({"regexp": [{"doc": "t"}, {"pattern": "x$"}]});
    let text = |length: usize| format!(r#"{{"t": "{}x"}}"#, "a".repeat(length - 1));
    let list = |length: usize| {
        let mut texts = vec!["a".repeat(200); length];
        texts.push("x".to_owned());
        json!({ "t": texts }).to_string()
    };
    for (payload, expected) in [
        (text(64 << 10), Yes),
        (text((64 << 10) + 1), Unknown),
        (list(300), Yes),
        (list(330), Unknown),
    ] {
        assert_table(&payload, &[(pattern.clone(), expected)]);
    }
    // The larger a pattern, the less text it may look at; 1 KiB is always fine.
    let large = json!({"regexp": [{"doc": "t"}, {"pattern": r"\w{4}x$"}]});
    for (length, expected) in [(1_024, Yes), (20 << 10, Unknown)] {
        assert_table(&text(length), &[(large.clone(), expected)]);
    }
}

#[test]
fn starts_with_is_about_texts() {
    assert_table(
        PAYLOAD,
        &[
            (
                json!({"startsWith": [{"doc": "fields.title.en-US"}, "Caf"]}),
                Yes,
            ),
            (
                json!({"startsWith": [{"doc": "fields.title.en-US"}, "Cafe"]}),
                No,
            ),
            (
                json!({"startsWith": [{"doc": "fields.title.de-DE"}, ""]}),
                Yes,
            ),
            (json!({"startsWith": [{"doc": "fields.price"}, "4"]}), No),
            (
                json!({"startsWith": [{"doc": "fields.missing"}, ""]}),
                Unknown,
            ),
        ],
    );
}

#[test]
fn numbers_are_compared_exactly() {
    let mut table = Vec::new();
    for (doc, bound, less, equal) in [
        ("fields.price", json!(4.5), false, true),
        ("fields.price", json!(4.4), false, false),
        ("fields.price", json!(5), true, false),
        ("fields.sku", json!(9_007_199_254_740_993_u64), false, true),
        ("fields.sku", json!(9_007_199_254_740_992_u64), false, false),
        ("fields.sku", json!(9_007_199_254_740_994_u64), true, false),
        ("fields.tiny", json!(0), true, false),
        ("fields.tiny", json!(-0.5), false, false),
    ] {
        table.extend([
            (json!({"lt": [{"doc": doc}, bound]}), less.into()),
            (
                json!({"lte": [{"doc": doc}, bound]}),
                (less || equal).into(),
            ),
            (
                json!({"gt": [{"doc": doc}, bound]}),
                (!less && !equal).into(),
            ),
            (json!({"gte": [{"doc": doc}, bound]}), (!less).into()),
        ]);
    }
    for operator in ["lt", "lte", "gt", "gte"] {
        table.extend([
            (json!({operator: [{"doc": "fields.text"}, 7]}), No),
            (json!({operator: [{"doc": "fields.nothing"}, 7]}), No),
            (json!({operator: [{"doc": "fields.missing"}, 7]}), Unknown),
        ]);
    }
    assert_table(PAYLOAD, &table);
}

#[test]
fn exists_takes_null_for_a_value() {
    assert_table(
        PAYLOAD,
        &[
            (json!({"exists": [{"doc": "fields.price"}, true]}), Yes),
            (json!({"exists": [{"doc": "fields.price"}]}), Yes),
            (json!({"exists": [{"doc": "fields.price"}, false]}), No),
            (json!({"exists": [{"doc": "fields.nothing"}, true]}), Yes),
            (json!({"exists": [{"doc": "fields.empty"}, true]}), Yes),
            (json!({"exists": [{"doc": "fields.empty.0"}, true]}), No),
            (json!({"exists": [{"doc": "fields.missing"}, true]}), No),
            (json!({"exists": [{"doc": "fields.missing"}, false]}), Yes),
            (json!({"exists": [{"doc": "sys.id"}, true]}), Yes),
        ],
    );
}

#[test]
fn pointers_reach_every_member() {
    assert_table(
        PAYLOAD,
        &[
            (json!({"equals": [{"doc": "/payload/a.b/c~1d"}, 1]}), Yes),
            (json!({"equals": [{"doc": "/payload/"}, "nameless"]}), Yes),
            (
                json!({"equals": [{"doc": "/payload/sys/id"}, "payload's own"]}),
                Yes,
            ),
            (json!({"exists": [{"doc": "/payload"}, true]}), Yes),
            (
                json!({"exists": [{"doc": "/payload/sys/environment"}, true]}),
                No,
            ),
        ],
    );
}

#[test]
fn odd_conditions_come_to_what_they_say() {
    assert_table(
        PAYLOAD,
        &[
            (
                json!({"not": {"in": [{"doc": "fields.missing"}, ["x"]]}}),
                Unknown,
            ),
            (
                json!({"not": {"regexp": [{"doc": "fields.missing"}, {"pattern": "x"}]}}),
                Unknown,
            ),
            (json!({"not": {"exists": [{"doc": "fields.missing"}]}}), Yes),
            (json!({"not": {"in": [{"doc": "fields.text"}, []]}}), Yes),
            (
                json!({"not": {"equals": [{"doc": "fields.nothing"}, null]}}),
                No,
            ),
            (
                json!({"not": {"equals": [{"doc": "fields.tags"}, "sport"]}}),
                No,
            ),
            (json!({"equals": [{"doc": "FIELDS.text"}, "7"]}), Unknown),
            (
                json!({"equals": [{"doc": "fields.title.en-us"}, "x"]}),
                Unknown,
            ),
            (
                json!({"equals": [{"doc": "fields.tags.00"}, "news"]}),
                Unknown,
            ),
            (
                json!({"equals": [{"doc": "fields.tags.-1"}, "news"]}),
                Unknown,
            ),
            (
                json!({"equals": [{"doc": "fields.title.length"}, 2]}),
                Unknown,
            ),
            (json!({"exists": [{"doc": "fields.tags.4.deep"}]}), Yes),
            (json!({"equals": [{"doc": "fields.no"}, 0]}), No),
            (json!({"equals": [{"doc": "fields.nothing"}, ""]}), No),
            (json!({"lt": [{"doc": "fields.price"}, 4.500_000_01]}), Yes),
            (json!({"gt": [{"doc": "fields.tiny"}, 0]}), No),
            (
                json!({"regexp": [{"doc": "fields.title.en-US"}, {"pattern": r"\bCaf"}]}),
                Yes,
            ),
            (
                json!({"regexp": [{"doc": "fields.title.en-US"}, {"pattern": "^Café .$"}]}),
                Yes,
            ),
            (
                json!({"regexp": [{"doc": "fields.yes"}, {"pattern": "true"}]}),
                No,
            ),
            (
                json!({"startsWith": [{"doc": "fields.title.en-US"}, "caf"]}),
                No,
            ),
        ],
    );
}

#[test]
fn any_and_all_are_the_best_and_the_worst_of_their_parts() {
    let yes = json!({"equals": [{"doc": "fields.yes"}, true]});
    let no = json!({"equals": [{"doc": "fields.yes"}, false]});
    let unknown = json!({"equals": [{"doc": "fields.missing"}, 1]});
    assert_table(
        PAYLOAD,
        &[
            (json!({"any": [no, unknown, yes]}), Yes),
            (json!({"any": [yes, unknown]}), Yes),
            (json!({"any": [no, unknown]}), Unknown),
            (json!({"any": [no, no]}), No),
            (json!({"all": [yes, yes]}), Yes),
            (json!({"all": [yes, unknown]}), Unknown),
            (json!({"all": [unknown, no]}), No),
            (
                json!({"any": [{"all": [yes, no]}, {"all": [yes, {"not": no}]}]}),
                Yes,
            ),
            (json!({"all": [{"any": [no, unknown]}, yes]}), Unknown),
            (json!({"not": {"not": {"not": no}}}), Yes),
        ],
    );
}

#[test]
fn changed_compares_what_was_with_what_is() {
    let payload = r#"{
        "before": {"slug": "old", "tags": [1, {"a": 1, "b": 2.0}], "gone": 1, "a.b": 1},
        "after": {"slug": "new", "tags": [1.0, {"b": 2, "a": 1}], "come": null, "a.b": 2},
        "was": {"state": "draft"}, "is": {"state": "draft"}
    }"#;
    let table = [
        (json!({"changed": [{"doc": "slug"}]}), Yes),
        (json!({"changed": [{"doc": "tags"}]}), No),
        (json!({"changed": [{"doc": "tags.1.a"}]}), No),
        (json!({"changed": [{"doc": "gone"}]}), Yes),
        (json!({"changed": [{"doc": "come"}]}), Yes),
        (json!({"changed": [{"doc": "never"}]}), Unknown),
        (json!({"changed": [{"doc": "/payload/a.b"}]}), Yes),
        (json!({"changed": [{"doc": "/payload"}]}), Yes),
        (
            json!({"changed": [{"doc": "was.state"}, {"doc": "is.state"}]}),
            No,
        ),
        (
            json!({"changed": [{"doc": "was.state"}, {"doc": "before.slug"}]}),
            Yes,
        ),
        (
            json!({"changed": [{"doc": "was.state"}, {"doc": "is.missing"}]}),
            Yes,
        ),
        (json!({"changed": [{"doc": "x"}, {"doc": "y"}]}), Unknown),
    ];
    assert_table(payload, &table);
    let other_names = payload.replace("before", "old").replace("after", "new");
    assert_table(&other_names, &table[..8]);
    assert_table(
        r#"{"before": null, "after": {"slug": "new"}}"#,
        &[
            (json!({"changed": [{"doc": "slug"}]}), Yes),
            (json!({"changed": [{"doc": "title"}]}), Unknown),
        ],
    );
    assert_table(
        r#"{"slug": "new", "after": {"slug": "new"}}"#,
        &[(json!({"changed": [{"doc": "slug"}]}), Unknown)],
    );
}

#[test]
fn locales_and_context_are_the_envelopes() {
    assert_table(
        r#"{"context": {"other": "from the payload"}}"#,
        &[
            (json!({"equals": [{"doc": "entity.locales"}, "de-DE"]}), Yes),
            (
                json!({"in": [{"doc": "entity.locales"}, ["fr-FR", "en-US"]]}),
                Yes,
            ),
            (json!({"in": [{"doc": "entity.locales"}, ["fr-FR"]]}), No),
            (
                json!({"equals": [{"doc": "entity.locales"}, ["en-US", "de-DE"]]}),
                Yes,
            ),
            (
                json!({"startsWith": [{"doc": "entity.locales.0"}, "en"]}),
                Yes,
            ),
            (json!({"exists": [{"doc": "entity.locales.2"}, true]}), No),
            (
                json!({"equals": [{"doc": "context.releaseId"}, "winter"]}),
                Yes,
            ),
            (json!({"equals": [{"doc": "context.a.b"}, "dotted"]}), Yes),
            (json!({"equals": [{"doc": "context.empty"}, ""]}), Yes),
            (
                json!({"equals": [{"doc": "context.other"}, "from the payload"]}),
                Yes,
            ),
            (json!({"exists": [{"doc": "context.none"}, true]}), No),
        ],
    );
    let silent = bare("Entry.publish", "{}");
    let condition = json!({"equals": [{"doc": "entity.locales"}, "de-DE"]});
    assert_eq!(judge(&condition, &silent), Unknown);
}
