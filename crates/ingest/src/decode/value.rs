//! Single values of an event's JSON form, as the protobuf JSON mapping has them.
//!
//! Errors are the detail of a problem: what is allowed.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use tidings_core::event::{EventError, Faults, LIST_LENGTH_MAX};

use super::object::{Object, pointer_to};
use super::text::{Wanted, begin};

/// How `null` is written.
pub(super) const NULL: &str = "null";

/// A string.
pub(super) fn text(value: &RawValue) -> Result<String, String> {
    serde_json::from_str(value.get()).map_err(|_| String::from("it must be a string"))
}

/// A whole number of 32 bits, which the mapping also takes as a string.
pub(super) fn uint32(value: &RawValue) -> Result<u32, String> {
    let text: &str = serde_json::from_str(value.get()).unwrap_or(value.get());
    let whole = || {
        let number: f64 = text.parse().ok()?;
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within bounds, as just checked"
        )]
        is_whole.then_some(number as u32)
    };
    let number = text.parse().ok().or_else(whole);
    number.ok_or_else(|| format!("it must be a whole number from 0 to {}", u32::MAX))
}

/// A list of strings.
pub(super) fn texts(value: &RawValue) -> Result<Vec<String>, String> {
    let wrong = |_| String::from("it must be a list of strings");
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(wrong)?;
    if items.len() > LIST_LENGTH_MAX {
        let count = items.len();
        return Err(format!(
            "it has {count} items, the limit is {LIST_LENGTH_MAX}"
        ));
    }
    items
        .into_iter()
        .map(|item| text(item).map_err(|_| String::from("it must be a list of strings")))
        .collect()
}

/// An object of strings at `pointer`; its faults have the code `code`.
pub(super) fn text_map(
    value: &RawValue,
    code: &'static str,
    pointer: &str,
) -> Result<HashMap<String, String>, EventError> {
    let wrong = |_| EventError::new(code, pointer, "it must be an object of strings");
    let inside = begin(value.get().as_bytes(), Wanted::Object).map_err(wrong)?;
    let mut faults = Faults::default();
    let mut map = HashMap::new();
    for (name, value) in Object::open(inside, pointer)?.rest() {
        let at = pointer_to(pointer, &name);
        let text = text(value).map_err(|detail| EventError::new(code, &at, detail));
        let text = faults.note(text).unwrap_or_default();
        if map.insert(name.into_owned(), text).is_some() {
            faults.add(EventError::new("duplicate_field", &at, "it is there twice"));
        }
    }
    faults.finish()?;
    Ok(map)
}

/// An instant as RFC 3339 writes it, which is all that the mapping takes.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, String> {
    let wrong =
        || String::from("it must be a date and time of RFC 3339, like 2026-11-22T10:00:00Z");
    if !is_rfc3339(text) {
        return Err(wrong());
    }
    let timestamp: Timestamp = text.parse().map_err(|_| wrong())?;
    match &text[17..19] == "60" && !ends_a_month(timestamp) {
        true => Err(String::from(
            "no minute but a month's last one has a leap second",
        )),
        false => Ok(timestamp),
    }
}

/// Whether this is the last second of a month, where alone a leap second can follow. The parser
/// takes it for the one before.
fn ends_a_month(timestamp: Timestamp) -> bool {
    let next = timestamp.saturating_add(SignedDuration::from_secs(1));
    let next = next.map(|next| TimeZone::UTC.to_datetime(next));
    next.is_ok_and(|next| (next.day(), next.hour(), next.minute(), next.second()) == (1, 0, 0, 0))
}

/// Whether `text` has the form of RFC 3339 section 5.6. The parser takes more than that.
fn is_rfc3339(text: &str) -> bool {
    let Some((head, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            match (1..=9).contains(&(fraction.len() - rest.len())) {
                true => rest,
                false => return false,
            }
        }
    };
    let is_zone = match rest.strip_prefix(['+', '-']) {
        Some(offset) => has_form(offset, "00:00") && offset < "24",
        None => rest.eq_ignore_ascii_case("z"),
    };
    is_zone && has_form(&head.to_ascii_uppercase(), "0000-00-00T00:00:00")
}

/// Whether `text` is `form` with any digit in the place of `0`.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(c, wanted): (u8, u8)| match wanted {
        b'0' => c.is_ascii_digit(),
        sign => c == sign,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::text::parse;

    #[test]
    fn only_rfc_3339_is_a_timestamp() {
        for good in [
            "2026-11-22T10:00:00Z",
            "2026-11-22t10:00:00z",
            "2026-11-22T10:00:00.123456789Z",
            "2026-11-22T10:00:00+02:00",
            "1969-07-20T20:17:40-05:30",
            "2026-11-22T10:00:00-00:00",
            "2026-11-22T10:00:00+23:59",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2017-01-01T05:29:60+05:30",
        ] {
            assert!(timestamp(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "yesterday",
            "2026-11-22",
            "2026-11-22T10:00Z",
            "2026-11-22T10:00:00",
            "2026-11-22 10:00:00Z",
            "20261122T100000Z",
            "2026-02-30T00:00:00Z",
            "9999999-01-01T00:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00.1234567890Z",
            "2026-11-22T10:00:00+0200",
            "2026-11-22T10:00:00Z[UTC]",
            "2026-11-22T25:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:00:00+24:00",
            "2026-11-22T10:00:00+00:60",
            "2026-11-22T10:00:00,5Z",
            "2026-11-22T10:00:60Z",
            "2026-12-31T22:59:60Z",
            "2016-12-31T23:59:61Z",
            "+2026-11-22T10:00:00Z",
            " 2026-11-22T10:00:00Z",
            "ééééééééé0",
        ] {
            assert!(timestamp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_in_several_ways() {
        for (text, expected) in [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("7.0", Some(7)),
            ("7e0", Some(7)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("-1", None),
            ("7.5", None),
            ("true", None),
            ("\"x\"", None),
            ("\"NaN\"", None),
            ("1e999", None),
            ("[7]", None),
        ] {
            assert_eq!(uint32(parse(text).unwrap()).ok(), expected, "{text}");
        }
    }
}
