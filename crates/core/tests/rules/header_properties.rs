//! I24: a header that is accepted arrives as it was set. And the rules of a list of headers.

use http::{HeaderName, HeaderValue};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use tidings_core::header::{HEADERS_MAX, TOTAL_BYTES_MAX, check_header, check_headers};

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", 1 => "[ -~]{0,6}", 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ -~\t]{0,30}", 1 => "[!-~]{4090,4100}", 1 => any::<String>()]
}

fn code(headers: &[(&str, &str)]) -> &'static str {
    check_headers(headers).map_or_else(|error| error.code(), |()| "ok")
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(1024))]

    #[test]
    fn an_accepted_header_arrives_as_it_was_set(name in name(), value in value()) {
        if check_header(&name, &value).is_ok() {
            prop_assert!(HeaderName::try_from(&name).is_ok());
            let typed = HeaderValue::try_from(&value).unwrap();
            prop_assert_eq!(typed.as_bytes(), value.as_bytes());
            let request = format!("POST / HTTP/1.1\r\n{name}: {value}\r\n\r\n");
            let mut headers = [httparse::EMPTY_HEADER; 2];
            let mut parsed = httparse::Request::new(&mut headers);
            let status = parsed.parse(request.as_bytes()).unwrap();
            prop_assert_eq!(status, httparse::Status::Complete(request.len()));
            prop_assert_eq!(parsed.headers.len(), 1);
            prop_assert_eq!(parsed.headers[0].name, name);
            prop_assert_eq!(parsed.headers[0].value, value.as_bytes());
        }
    }

    #[test]
    fn case_and_underscores_do_not_free_a_reserved_name(upper in any::<[bool; 14]>()) {
        let spell = |name: &str| -> String {
            let draw = name.chars().zip(upper.iter().cycle());
            draw.map(|(c, upper)| match c {
                '-' if *upper => '_',
                c if *upper => c.to_ascii_uppercase(),
                c => c,
            }).collect()
        };
        for name in ["content-length", "x-forwarded-for", "webhook-id", "proxy-anything", "host"] {
            prop_assert!(check_header(&spell(name), "x").is_err(), "{}", spell(name));
        }
    }
}

#[test]
fn a_webhook_has_at_most_fifty_headers_of_eight_kibibytes() {
    let names: Vec<String> = (0..=HEADERS_MAX)
        .map(|number| format!("X-{number}"))
        .collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(code(&many[..HEADERS_MAX]), "ok");
    assert_eq!(code(&many), "headers_too_many");

    let half = "x".repeat(TOTAL_BYTES_MAX / 2 - 3);
    assert_eq!(code(&[("X-1", &half), ("X-2", &half)]), "ok");
    assert_eq!(
        code(&[("X-1", &half), ("X-22", &half)]),
        "headers_too_large"
    );
}

#[test]
fn a_name_is_there_once_in_whatever_case() {
    assert_eq!(
        code(&[("X-Foo", "1"), ("X-Bar", "1"), ("x-fOO", "2")]),
        "header_duplicate"
    );
    assert_eq!(
        code(&[("X-Foo", "1"), ("X-Fo", "1"), ("X-Fooo", "2")]),
        "ok"
    );
}

#[test]
fn every_reason_has_its_stable_code() {
    for (name, value, expected) in [
        ("", "x", "header_name_empty"),
        (&*"x".repeat(129), "x", "header_name_too_long"),
        ("X Foo", "x", "header_name_character"),
        ("X-Forwarded-Proto", "x", "header_name_reserved"),
        ("X_Forwarded_Proto", "x", "header_name_reserved"),
        ("Content_Length", "0", "header_name_reserved"),
        ("User-Agent", "x", "header_name_reserved"),
        ("Proxy", "http://a.example.com", "header_name_reserved"),
        ("X-Foo", "", "header_value_empty"),
        ("X-Foo", &"x".repeat(4097), "header_value_too_long"),
        ("X-Foo", "a\0b", "header_value_character"),
        ("X-Foo", "a\t", "header_value_blank"),
        ("X-Foo", "a{{b", "header_value_template"),
        ("Authorization", "bearer Oracle", "header_value_reserved"),
        ("Authorization", "Bearer oracle-of-delphi", "ok"),
        ("X-Metadata", "x", "ok"),
        ("Sec", "x", "ok"),
        ("X_Foo", "x", "ok"),
        ("Accept", "*/*", "ok"),
        ("Cookie", "a=b", "ok"),
        ("X-Foo", "{ /payload/sys/id }", "ok"),
    ] {
        let found = check_header(name, value).map_or_else(|error| error.code(), |()| "ok");
        assert_eq!(found, expected, "{name}: {value:?}");
    }
}

#[test]
fn no_error_repeats_a_value() {
    for value in [
        "hunter2 ",
        "hunter2\n",
        "hunter2{{",
        &"hunter2".repeat(1000),
    ] {
        let error = check_header("X-Api-Key", value).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(error.to_string().contains("X-Api-Key"), "{error}");
    }
}
