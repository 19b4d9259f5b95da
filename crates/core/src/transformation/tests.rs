//! Transformations, as their receivers see them.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::endpoint_url::UrlPolicy;
use crate::format::Rendered;
use crate::format::tests::{event, try_render};
use crate::webhook::{Definition, FieldError};

const PAYLOAD: &str = r#"{
    "sys": {"id": "5KsD", "type": "Entry", "version": 9007199254740993, "space": {"sys": {"id": "cf"}}},
    "fields": {"title": {"en-US": "Hé \"you\"\n/../?a=b&c#d"}, "a/b": {"~": 1.50}, "none": null,
               "list": [1, {"x": true}], "huge": 1e999}
}"#;

fn render_with(fields: Value) -> Result<Rendered, RenderError> {
    try_render(fields, &event("Entry.publish", PAYLOAD))
}

fn body_of(body: impl Into<Value>) -> Result<String, RenderError> {
    let body = body.into();
    let rendered = render_with(json!({ "transformation": { "body": body } }))?;
    Ok(String::from_utf8(rendered.body.to_vec()).unwrap())
}

fn check_fields(fields: impl Into<Value>) -> Vec<FieldError> {
    let fields = fields.into();
    let mut definition = json!({ "url": "https://a.example.com/", "topics": ["*.*"] });
    for (name, value) in fields.as_object().unwrap() {
        definition[name] = value.clone();
    }
    let definition: Definition = serde_json::from_value(definition).unwrap();
    crate::webhook::check(&definition, &UrlPolicy::default())
}

#[test]
fn a_whole_pointer_keeps_the_value_byte_for_byte() {
    for (pointer, value) in [
        ("/payload/sys/id", r#""5KsD""#),
        ("/payload/sys/version", "9007199254740993"),
        (
            "/payload/fields/title/en-US",
            r#""Hé \"you\"\n/../?a=b&c#d""#,
        ),
        ("/payload/fields/a~1b/~0", "1.50"),
        ("/payload/fields/none", "null"),
        ("/payload/fields/list", r#"[1, {"x": true}]"#),
        ("/payload/fields/list/1/x", "true"),
        ("/payload/fields/huge", "1e999"),
        ("/payload", PAYLOAD),
        ("/topic", r#""Entry.publish""#),
        ("/user/sys/id", r#""user-42""#),
        (
            "/user",
            r#"{"sys":{"type":"Link","linkType":"User","id":"user-42"}}"#,
        ),
        ("/event/id", r#""e1""#),
        ("/event/space", r#""acme""#),
        ("/event/environment", r#""master""#),
        ("/event/topic", r#""Entry.publish""#),
        ("/event/entity/id", r#""home page""#),
        ("/event/entity/contentType", r#""article""#),
        ("/event/entity/revision", "7"),
        ("/event/entity/locales/1", r#""de""#),
        ("/event/occurredAt", r#""2026-11-22T10:00:00.5Z""#),
        ("/event/actor", r#""user-42""#),
        ("/event/context/releaseId", r#""r1""#),
        ("/event/payload/sys/version", "9007199254740993"),
        ("/event/payload", PAYLOAD),
    ] {
        let body = body_of(json!(format!("{{ {pointer} }}"))).unwrap();
        assert_eq!(body, value, "{pointer}");
    }
}

#[test]
fn a_pointer_that_finds_nothing_is_null_and_in_text_nothing() {
    for pointer in [
        "/payload/sys/nothing",
        "/payload/fields/list/2",
        "/payload/fields/list/01",
        "/payload/sys/id/deeper",
        "/topic/deeper",
        "/user/sys/name",
        "/event/nothing",
        "/event/context/nothing",
    ] {
        let [whole, inside] = [format!("{{ {pointer} }}"), format!("<{{ {pointer} }}>")];
        assert_eq!(
            body_of(json!([whole, inside])).unwrap(),
            r#"[null,"<>"]"#,
            "{pointer}"
        );
    }
    let mut nobody = event("Entry.publish", "{}");
    nobody.actor.clear();
    let fields = json!({ "transformation": { "body": ["{ /user }", "{ /event/actor }"] } });
    assert_eq!(try_render(fields, &nobody).unwrap().body, "[null,null]");
}

#[test]
fn inside_text_a_value_becomes_text() {
    for (template, text) in [
        (
            "{ /topic },{ /payload/sys/id },{ /user/sys/id }",
            "Entry.publish,5KsD,user-42",
        ),
        ("v{ /payload/sys/version }", "v9007199254740993"),
        ("{ /payload/fields/none }.", "null."),
        ("{ /payload/fields/list }.", r#"[1, {"x": true}]."#),
        (
            "\"{ /payload/fields/title/en-US }",
            "\"Hé \"you\"\n/../?a=b&c#d",
        ),
        ("{/payload/sys/id}{ /payload/sys/id }", "5KsD5KsD"),
        ("{ no pointer } {}", "{ no pointer } {}"),
    ] {
        let body = body_of(json!(template)).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            text,
            "{template}"
        );
    }
}

#[test]
fn odd_templates_are_rendered_as_they_read() {
    for (template, body) in [
        ("{  /topic  }", r#""Entry.publish""#),
        ("{ /topic } ", r#""Entry.publish ""#),
        ("\u{feff}{ /topic }", "\"\u{feff}Entry.publish\""),
        ("}{ /topic }{", r#""}Entry.publish{""#),
        ("{{ /topic }}", r#""{Entry.publish}""#),
        ("{\t/topic }", r#""{\t/topic }""#),
        ("{{sys.id}}", r#""{{sys.id}}""#),
        ("{ /payload/fields/list/-1 }", "null"),
        ("{ /payload/fields/list/- }", "null"),
        ("{ /payload/fields/list/+1 }", "null"),
        ("{ /payload/fields/list/00 }", "null"),
        ("{ /payload/fields/list/18446744073709551616 }", "null"),
        ("{ /payload/fields/list/length }", "null"),
        ("{ /payload/fields/title/en-US/0 }", "null"),
        ("{ /payload/ }", "null"),
        ("{ /payload// }", "null"),
        ("{ /payload/__proto__ }", "null"),
        ("{ /payload/constructor/name }", "null"),
        ("{ /payload/SYS/id }", "null"),
        ("x{ /payload/fields/list/1/x }", r#""xtrue""#),
        ("{ /payload/fields/huge }!", r#""1e999!""#),
        ("{ /payload/fields/a~1b }", r#"{"~": 1.50}"#),
        ("{ /user/sys/linkType }", r#""User""#),
        ("{ /event/entity/locales }", r#"["en-US","de"]"#),
        (
            "{ /event/context }",
            r#"{"bulkActionId":"b1","releaseId":"r1"}"#,
        ),
    ] {
        assert_eq!(body_of(json!(template)).unwrap(), body, "{template}");
    }
}

#[test]
fn a_template_is_any_json_keeps_its_order_and_names_are_no_templates() {
    let template = json!({
        "entryId": "{ /payload/sys/id }", "{ /topic }": 1, "\"": [null, true, 1.5, "plain"],
        "b": { "z": 1, "a": 2 }, "nested": { "deep": [{ "version": "{ /payload/sys/version }" }] },
    });
    let expected = concat!(
        r#"{"entryId":"5KsD","{ /topic }":1,"\"":[null,true,1.5,"plain"],"#,
        r#""b":{"z":1,"a":2},"nested":{"deep":[{"version":9007199254740993}]}}"#
    );
    assert_eq!(body_of(template).unwrap(), expected);
    for literal in [json!("text"), json!(1), json!(false), json!([]), json!({})] {
        assert_eq!(body_of(literal.clone()).unwrap(), literal.to_string());
    }
}

#[test]
fn contentfuls_topic_is_its_own_in_its_format_only() {
    let fields = |format| json!({ "format": format, "transformation": { "body": ["{ /topic }", "{ /event/topic }"] } });
    let rendered = render_with(fields("contentful")).unwrap();
    assert_eq!(
        rendered.body,
        r#"["ContentManagement.Entry.publish","Entry.publish"]"#
    );
    let rendered = render_with(fields("umbraco")).unwrap();
    assert_eq!(rendered.body, r#"["Entry.publish","Entry.publish"]"#);
}

#[test]
fn method_and_content_type_are_chosen() {
    for (method, has_body) in [
        ("POST", true),
        ("PUT", true),
        ("PATCH", true),
        ("GET", false),
        ("DELETE", false),
    ] {
        let transformation = json!({ "method": method, "contentType": "application/ld+json" });
        let rendered = render_with(json!({ "transformation": transformation })).unwrap();
        assert_eq!(rendered.method.as_str(), method);
        assert_eq!(rendered.body.is_empty(), !has_body);
        let media = rendered
            .headers
            .get("content-type")
            .map(|value| value.to_str().unwrap());
        assert_eq!(media, has_body.then_some("application/ld+json"), "{method}");
    }
    for announced in [true, false] {
        let transformation = json!({ "includeContentLength": announced });
        let rendered = render_with(json!({ "transformation": transformation })).unwrap();
        assert_eq!(rendered.content_length, announced);
        // Nothing else was asked for, so the body is the format's own.
        assert!(rendered.body.starts_with(br#"{"type":"Entry.publish""#));
    }
}

#[test]
fn a_form_is_made_of_the_body_or_of_the_formats_own() {
    let form = "application/x-www-form-urlencoded";
    let transformation = json!({
        "contentType": form,
        "body": {
            "Action": "SendMessage",
            "MessageBody": "{ /topic },{ /payload/sys/id }",
            "sys": { "version": "{ /payload/sys/version }" },
            "list": "{ /payload/fields/list }",
        },
    });
    let rendered = render_with(json!({ "transformation": transformation })).unwrap();
    let expected = "Action=SendMessage&MessageBody=Entry.publish%2C5KsD\
                    &sys%5Bversion%5D=9007199254740993&list%5B0%5D=1&list%5B1%5D%5Bx%5D=true";
    assert_eq!(rendered.body, expected);
    assert_eq!(rendered.headers["content-type"], form);
    let fields = json!({ "transformation": { "contentType": form } });
    let rendered = try_render(fields, &event("Entry.publish", r#"{"a":[1]}"#)).unwrap();
    let expected = "type=Entry.publish&timestamp=2026-11-22T10%3A00%3A00.5Z&data%5Ba%5D%5B0%5D=1";
    assert_eq!(rendered.body, expected);
    let fields = json!({ "transformation": { "contentType": form, "body": "{ /topic }" } });
    assert_eq!(
        render_with(fields).unwrap_err(),
        RenderError::Form { found: "a text" }
    );
}

#[test]
fn a_structured_cloudevent_carries_the_rendered_body_as_its_data() {
    let rendered = render_with(json!({
        "format": "cloudevents-structured",
        "transformation": { "method": "PUT", "body": { "id": "{ /payload/sys/id }" } },
    }));
    let body: Value = serde_json::from_slice(&rendered.unwrap().body).unwrap();
    assert_eq!(body["data"], json!({ "id": "5KsD" }));
    assert_eq!(body["specversion"], "1.0");
}

#[test]
fn urls_are_percent_encoded_and_keep_their_shape() {
    for (url, rendered) in [
        (
            "https://a.example.com/1/{ /payload/sys/id }",
            "https://a.example.com/1/5KsD",
        ),
        (
            "https://a.example.com/{ /payload/fields/title/en-US }/x?q={ /payload/fields/title/en-US }&v={/payload/sys/version}",
            "https://a.example.com/H%C3%A9%20%22you%22%0A%2F..%2F%3Fa%3Db%26c%23d/x?q=H%C3%A9%20%22you%22%0A%2F..%2F%3Fa%3Db%26c%23d&v=9007199254740993",
        ),
        (
            "https://a.example.com/a{ /payload/none }b?c={ /payload/none }",
            "https://a.example.com/ab?c=",
        ),
        (
            "https://a.example.com?c={ /topic }",
            "https://a.example.com?c=Entry.publish",
        ),
        (
            "https://a.example.com/{ /topic }{ /event/id }?a?b",
            "https://a.example.com/Entry.publishe1?a?b",
        ),
    ] {
        let given = render_with(json!({ "url": url })).unwrap();
        assert_eq!(given.url.as_str(), rendered, "{url}");
        assert_eq!(given.url.origin(), "https://a.example.com");
    }
}

#[test]
fn a_segment_that_would_name_something_else_is_refused() {
    for id in ["", ".", "..", "missing"] {
        let payload = json!({ "id": id }).to_string();
        let url = match id {
            "missing" => "https://a.example.com/index/{ /payload/nothing }",
            _ => "https://a.example.com/index/{ /payload/id }?x=1",
        };
        let fields = json!({ "url": url, "transformation": { "method": "DELETE" } });
        let error = try_render(fields, &event("Entry.delete", &payload)).unwrap_err();
        assert!(matches!(error, RenderError::Url { .. }), "{id}: {error:?}");
    }
    let url = "https://a.example.com/.{ /payload }";
    let error = try_render(json!({ "url": url }), &event("Entry.delete", "\".\"")).unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
}

#[test]
fn a_url_that_becomes_too_long_is_refused() {
    let payload = json!("é".repeat(1_000)).to_string();
    let fields = json!({ "url": "https://a.example.com/{ /payload }" });
    let error = try_render(fields, &event("Entry.publish", &payload)).unwrap_err();
    assert!(matches!(error, RenderError::Url { .. }), "{error:?}");
}

#[test]
fn header_values_are_safe() {
    let rendered = render_with(json!({ "headers": [
        { "key": "X-Id", "value": "id={ /payload/sys/id }; v={ /payload/sys/version }" },
        { "key": "X-Title", "value": "{ /payload/fields/title/en-US }" },
        { "key": "X-Missing", "value": "{ /payload/nothing }" },
        { "key": "X-Key", "value": "Bearer { /payload/sys/id }", "secret": true },
        { "key": "X-Plain", "value": "{ plain }" },
    ] }));
    let headers = rendered.unwrap().headers;
    assert_eq!(headers["x-id"], "id=5KsD; v=9007199254740993");
    assert_eq!(headers["x-title"], "H%C3%A9 \"you\"%0A/../?a=b&c#d");
    assert!(!headers.contains_key("x-missing"));
    assert_eq!(headers["x-key"], "Bearer 5KsD");
    assert!(headers["x-key"].is_sensitive());
    assert_eq!(headers["x-plain"], "{ plain }");
}

#[test]
fn a_header_that_becomes_too_long_or_reserved_is_refused() {
    let fields = |key: &str| json!({ "headers": [{ "key": key, "value": "{ /payload }" }] });
    for (key, payload) in [
        ("X-Long", json!("x".repeat(5_000))),
        ("Authorization", json!("Bearer Oracle")),
    ] {
        let error = try_render(fields(key), &event("Entry.publish", &payload.to_string()));
        let error = error.unwrap_err();
        assert!(
            matches!(error, RenderError::Header { .. }),
            "{key}: {error:?}"
        );
        assert!(!error.to_string().contains("xxxxx"), "{error}");
    }
    let event = event("Entry.publish", "\"{{ handlebars }}\"");
    let rendered = try_render(fields("X-Text"), &event).unwrap();
    assert_eq!(rendered.headers["x-text"], "{{ handlebars }}");
}

#[test]
fn a_body_that_cannot_be_rendered_says_why() {
    let whole = json!({ "transformation": { "body": "{ /payload/a }" } });
    let inside = json!({ "transformation": { "body": "<{ /payload/a }>" } });
    let error = try_render(whole.clone(), &event("Entry.publish", "no json")).unwrap_err();
    assert_eq!(error, RenderError::Payload);
    let half = event("Entry.publish", r#"{"a":"\ud800"}"#);
    let error = try_render(inside, &half).unwrap_err();
    assert!(matches!(error, RenderError::Text { .. }), "{error:?}");
    // As a whole it is copied, and the receiver's to judge.
    assert_eq!(try_render(whole, &half).unwrap().body, r#""\ud800""#);
    let twice = json!({ "transformation": { "body": ["{ /payload }", "{ /payload }"] } });
    let long = event(
        "Entry.publish",
        &json!("x".repeat(BODY_BYTES_MAX * 2 / 3)).to_string(),
    );
    assert_eq!(
        try_render(twice, &long).unwrap_err(),
        RenderError::Oversized
    );
}

#[test]
fn a_payload_is_read_only_if_a_pointer_leads_into_it() {
    let event = event("Entry.publish", PAYLOAD);
    let scope = Scope::new(&event, Format::Standard);
    let template = json!({ "a": "{ /topic }", "b": "{ /event/entity/id } { /user }" });
    Body::compile(&template).unwrap().render(&scope).unwrap();
    assert!(!scope.has_read_the_payload());
    // The whole event carries the payload's bytes unread.
    let whole = Body::compile(&json!("{ /event }"))
        .unwrap()
        .render(&scope)
        .unwrap();
    assert!(!scope.has_read_the_payload());
    let whole = str::from_utf8(&whole).unwrap();
    assert!(
        whole.ends_with(&format!("\"payload\":{PAYLOAD}}}")),
        "{whole}"
    );
    serde_json::from_str::<&RawValue>(whole).unwrap();
    let template = json!("{ /payload/sys/id }");
    Body::compile(&template).unwrap().render(&scope).unwrap();
    assert!(scope.has_read_the_payload());
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    let deep = (0..40).fold(json!("x"), |inner, _| json!([inner]));
    let many: Vec<&str> = std::iter::repeat_n("{ /topic }", POINTERS_MAX + 1).collect();
    for (fields, pointer, code) in [
        (
            json!({ "transformation": { "contentType": "text/xml" } }),
            "/transformation/contentType",
            "bad_content_type",
        ),
        (
            json!({ "transformation": { "contentType": "application/json; charset=latin1" } }),
            "/transformation/contentType",
            "bad_content_type",
        ),
        (
            json!({ "transformation": { "body": { "a/b": ["x", "{ /paylod/x }"] } } }),
            "/transformation/body/a~1b/1",
            "bad_pointer",
        ),
        (
            json!({ "transformation": { "body": "{ /payload/x" } }),
            "/transformation/body",
            "bad_pointer",
        ),
        (
            json!({ "transformation": { "contentType": "application/x-www-form-urlencoded", "body": [1] } }),
            "/transformation/body",
            "bad_form",
        ),
        (
            json!({ "transformation": { "body": "x".repeat(TEMPLATE_BYTES_MAX) } }),
            "/transformation/body",
            "too_long",
        ),
        (
            json!({ "transformation": { "body": many } }),
            "/transformation",
            "too_many",
        ),
        (
            json!({ "format": "cloudevents-structured", "transformation": { "method": "GET" } }),
            "/transformation/method",
            "conflict",
        ),
        (
            json!({ "format": "cloudevents-structured", "transformation": { "contentType": "application/json" } }),
            "/transformation/contentType",
            "conflict",
        ),
    ] {
        assert_refused(fields, pointer, code);
    }
    let errors = check_fields(json!({ "transformation": { "body": deep } }));
    assert_eq!(errors[0].code, "too_deep");
    assert!(errors[0].pointer.starts_with("/transformation/body/0/0/"));
}

#[test]
fn a_url_or_header_that_cannot_be_used_is_refused_with_its_place() {
    for (fields, pointer, code) in [
        (
            json!({ "url": "https://{ /payload/host }/x" }),
            "/url",
            "pointer_in_host",
        ),
        (
            json!({ "url": "https://a.example.com:{ /payload/port }/" }),
            "/url",
            "pointer_in_host",
        ),
        (
            json!({ "url": "{ /payload/url }" }),
            "/url",
            "pointer_in_host",
        ),
        (
            json!({ "url": "https://a.example.com/{ /payload/x" }),
            "/url",
            "bad_pointer",
        ),
        (
            json!({ "url": "https://10.0.0.1/{ /payload/x }" }),
            "/url",
            "address_not_allowed",
        ),
        (
            json!({ "headers": [{ "key": "X-A", "value": "{ /foo }" }] }),
            "/headers/0",
            "bad_pointer",
        ),
        (
            json!({ "headers": [{ "key": "Host", "value": "{ /payload/x }" }] }),
            "/headers/0",
            "header_name_reserved",
        ),
    ] {
        assert_refused(fields, pointer, code);
    }
}

#[track_caller]
fn assert_refused(fields: Value, pointer: &str, code: &str) {
    let errors = check_fields(fields);
    let found: Vec<_> = errors
        .iter()
        .map(|error| (&*error.pointer, error.code))
        .collect();
    assert_eq!(found, [(pointer, code)], "{errors:?}");
}

#[test]
fn what_contentful_takes_is_taken() {
    for fields in [
        json!({ "url": "https://x.example.com/1/indexes/i/{ /payload/sys/id }" }),
        json!({ "transformation": {} }),
        json!({ "transformation": { "method": null, "contentType": null, "body": null } }),
        json!({ "transformation": {
            "method": "PUT", "includeContentLength": true,
            "contentType": "application/vnd.contentful.management.v1+json; charset=utf-8",
            "body": { "entryId": "{ /payload/sys/id }", "fields": "{ /payload/fields }" },
        } }),
    ] {
        assert_eq!(check_fields(fields.clone()), [], "{fields}");
    }
    for text in [
        r#"{"method":"TRACE"}"#,
        r#"{"url":"x"}"#,
        r#"{"includeContentLength":1}"#,
    ] {
        assert!(
            serde_json::from_str::<Transformation>(text).is_err(),
            "{text}"
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[a-c{}/\" ]{0,4}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Text with pointers in it.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,6}",
        prop::sample::select(vec![
            "{ /payload }",
            "{ /payload/a }",
            "{ /payload/b/0 }",
            "{ /payload/a/b/c }",
            "{ /topic }",
            "{ /user/sys/id }",
            "{ /event }",
            "{ /event/entity }",
            "{/payload/c}",
            "{",
            "}",
            "{ /",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever the template and the payload: JSON comes out, or a clear refusal.
    #[test]
    fn rendering_never_makes_invalid_json(template in any_json(), payload in any_json()) {
        let Ok(body) = Body::compile(&template) else {
            // The same template is refused when it is saved.
            let fields = json!({ "transformation": { "body": template } });
            prop_assert!(!check_fields(fields).is_empty());
            return Ok(());
        };
        let event = event("Entry.publish", &payload.to_string());
        let scope = Scope::new(&event, Format::Standard);
        let rendered = body.render(&scope).unwrap();
        prop_assert!(serde_json::from_slice::<&RawValue>(&rendered).is_ok(), "{rendered:?}");
        if template.is_object() {
            let form = form::encode(&rendered).unwrap();
            prop_assert!(form.iter().all(u8::is_ascii_graphic));
        }
    }

    /// Whatever is found: a header is one header, and a URL leads where its template does.
    #[test]
    fn rendering_never_makes_invalid_headers_or_urls(
        value in any_text(), found in "\\PC{0,12}|[\\x00-\\x7f]{0,12}",
    ) {
        let event = event("Entry.publish", &json!({ "a": found, "b": [found] }).to_string());
        let url = format!("https://a.example.com/x{}/y?z={value}", value.replace('?', ""));
        let fields = json!({ "url": url, "headers": [{ "key": "X-A", "value": value }] });
        if !check_fields(fields.clone()).is_empty() {
            return Ok(());
        }
        if let Ok(rendered) = try_render(fields, &event) {
            prop_assert_eq!(rendered.url.origin(), "https://a.example.com");
            let path = rendered.url.uri().path();
            prop_assert!(path.starts_with("/x") && path.ends_with("/y"), "{}", path);
            for value in rendered.headers.values() {
                prop_assert!(value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
            }
        }
    }

    /// Nothing in a text that somebody typed makes the compiler fail in another way than by saying so.
    #[test]
    fn any_text_is_compiled_or_refused(text in "[{}/ ~a-z\\PC]{0,60}") {
        let _ = Text::parse(&text);
        let _ = Address::parse(&text, &UrlPolicy::default());
        let _ = text.parse::<Media>();
        let _ = form::encode(&Bytes::from(text));
    }
}
