//! Answers that are in no corpus, each next to a row of one: the rule is what counts.

use super::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, OK, SETTINGS, Script, check, frame, goaway,
    headers, literal, reset,
};

const PRIORITY: u8 = 2;
const WINDOW_UPDATE: u8 = 8;
const UNKNOWN: u8 = 0x42;
const PADDED: u8 = 8;

/// An answer of one block of fields and nothing else.
fn block(block: Vec<u8>) -> Script {
    Script::answering(move |_, id| headers(END_STREAM, id, &block))
}

fn status(text: &str) -> Script {
    block(literal(":status", text))
}

/// A 200 with one more field.
fn with(name: &str, value: &str) -> Script {
    block([OK.to_vec(), literal(name, value)].concat())
}

/// Frames that depend on the stream.
fn frames(make: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Script {
    Script::answering(move |_, id| make(id))
}

#[tokio::test]
async fn a_whole_head_counts_whatever_comes_beside_it() {
    check(vec![
        ("204", status("204"), "204"),
        ("299", status("299"), "299"),
        ("304", status("304"), "304"),
        ("500", status("500"), "500"),
        ("999", status("999"), "999"),
        (
            "location",
            with("location", "http://169.254.169.254/"),
            "200",
        ),
        (
            "alt-svc",
            with("alt-svc", "h2=\"169.254.169.254:443\""),
            "200",
        ),
        ("an empty value", with("a", ""), "200"),
        // It has no meaning in an answer, and the head says 200.
        ("a request's pseudo-field", with(":path", "/"), "200"),
        ("a coding", with("content-encoding", "br"), "200 encoded"),
        ("no coding", with("content-encoding", "identity"), "200"),
    ])
    .await;
}

#[tokio::test]
async fn other_frames_around_a_whole_head_change_nothing() {
    let with_trailers = |id, trailers: &[u8]| {
        let body = frame(DATA, 0, id, b"ok");
        [headers(0, id, OK), body, headers(END_STREAM, id, trailers)].concat()
    };
    check(vec![
        (
            "an interim answer",
            frames(|id| {
                let interim = headers(0, id, &literal(":status", "100"));
                [interim, headers(END_STREAM, id, OK)].concat()
            }),
            "200",
        ),
        (
            "frames of tomorrow",
            frames(|id| {
                let unknown = frame(UNKNOWN, 0xff, id, b"anything");
                let also = frame(UNKNOWN, 0, 0, b"anything");
                [unknown, also, headers(END_STREAM, id, OK)].concat()
            }),
            "200",
        ),
        (
            "a priority",
            frames(|id| {
                let priority = frame(PRIORITY, 0, id, &[0, 0, 0, 0, 1]);
                [priority, headers(END_STREAM, id, OK)].concat()
            }),
            "200",
        ),
        (
            "padding",
            frames(|id| {
                let padded = [&[2], OK, &[0, 0]].concat();
                frame(HEADERS, END_HEADERS | END_STREAM | PADDED, id, &padded)
            }),
            "200",
        ),
        (
            "trailers",
            frames(move |id| with_trailers(id, &literal("a", "b"))),
            "200",
        ),
        (
            "a friendly farewell before the answer",
            frames(|id| [goaway(id, 0), headers(END_STREAM, id, OK)].concat()),
            "200",
        ),
        (
            "a reset without an error after the end",
            frames(|id| [headers(END_STREAM, id, OK), reset(id, 0)].concat()),
            "200",
        ),
        (
            "an empty body in many pieces",
            frames(|id| {
                let pieces = frame(DATA, 0, id, &[]).repeat(5);
                [headers(0, id, OK), pieces, frame(DATA, END_STREAM, id, &[])].concat()
            }),
            "200",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_head_that_breaks_the_protocol_is_a_failure() {
    let after = [literal("a", "b"), OK.to_vec()].concat();
    check(vec![
        ("an empty status", status(""), "h2_protocol"),
        ("one digit", status("2"), "h2_protocol"),
        ("four digits", status("0200"), "h2_protocol"),
        ("letters", status("2OO"), "h2_protocol"),
        ("two statuses", with(":status", "500"), "h2_protocol"),
        ("an unknown pseudo-field", with(":own", "a"), "h2_protocol"),
        ("a pseudo-field after others", block(after), "h2_protocol"),
        (
            "transfer-encoding",
            with("transfer-encoding", "chunked"),
            "h2_protocol",
        ),
        ("keep-alive", with("keep-alive", "timeout=5"), "h2_protocol"),
        ("upgrade", with("upgrade", "h2c"), "h2_protocol"),
        ("a blank in a name", with("a b", "c"), "h2_protocol"),
        (
            "a line break in a value",
            with("a", "b\r\nc: d"),
            "h2_protocol",
        ),
        ("NUL in a value", with("a", "b\0c"), "h2_protocol"),
        (
            "an index of no field",
            block(vec![0xff, 0x80, 0x01]),
            "h2_protocol",
        ),
        (
            "a block cut short",
            block(vec![0x88, 0x00, 0x05, b'a']),
            "h2_protocol",
        ),
    ])
    .await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_are_a_failure() {
    check(vec![
        (
            "data of no stream",
            frames(|_| frame(DATA, 0, 0, b"ok")),
            "h2_protocol",
        ),
        (
            "fields of no stream",
            frames(|_| headers(END_STREAM, 0, OK)),
            "h2_protocol",
        ),
        (
            "a stream that nobody opened",
            frames(|id| headers(END_STREAM, id + 2, OK)),
            "h2_protocol",
        ),
        (
            "an even stream",
            frames(|_| headers(END_STREAM, 2, OK)),
            "h2_protocol",
        ),
        (
            "a window of nothing",
            frames(|_| frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
            "h2_protocol",
        ),
        (
            "half a setting",
            frames(|_| frame(SETTINGS, 0, 0, &[0; 5])),
            "h2_protocol",
        ),
        (
            "settings of a stream",
            frames(|id| frame(SETTINGS, 0, id, &[])),
            "h2_protocol",
        ),
        (
            "half a farewell",
            frames(|_| frame(GOAWAY, 0, 0, &[0; 4])),
            "h2_protocol",
        ),
        (
            "more padding than frame",
            frames(|id| frame(HEADERS, END_HEADERS | END_STREAM | PADDED, id, &[9, 0x88])),
            "h2_protocol",
        ),
        (
            "fields that do not go on",
            frames(|id| [frame(HEADERS, 0, id, OK), frame(DATA, 0, id, b"ok")].concat()),
            "h2_protocol",
        ),
        ("no error", frames(|id| reset(id, 0)), "h2_reset"),
        ("cancelled", frames(|id| reset(id, 8)), "h2_reset"),
        (
            "an error of tomorrow",
            frames(|id| reset(id, 99)),
            "h2_reset",
        ),
    ])
    .await;
}
