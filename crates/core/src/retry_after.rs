//! The `Retry-After` header (RFC 9110 section 10.2.3): seconds or a date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// The three forms of an HTTP date (RFC 9110 section 5.6.7), all in GMT.
const DATE_FORMS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// Reads the header's value as a wait from `now`. A date in the past is no wait; a value of any
/// other form is ignored, as the RFC gives it no meaning.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = DATE_FORMS.iter().find_map(|form| parse_date(form, value))?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

fn parse_date(form: &str, value: &str) -> Option<Timestamp> {
    let civil: DateTime = strtime::parse(form, value).ok()?.to_datetime().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_all_three_dates_are_read() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (value, seconds) in [
            ("120", 120),
            (" 0 ", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 37),
            ("Sun Nov  6 08:49:37 1994", 37),
            ("Sun, 06 Nov 1994 08:48:00 GMT", 0),
        ] {
            assert_eq!(
                parse(value, now),
                Some(Duration::from_secs(seconds)),
                "{value}"
            );
        }
        assert_eq!(
            parse("99999999999999999999999", now),
            Some(Duration::from_secs(u64::MAX))
        );
    }

    #[test]
    fn nonsense_is_ignored() {
        for value in [
            "",
            "soon",
            "-1",
            "1.5",
            "0x10",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "1 2",
        ] {
            assert_eq!(parse(value, Timestamp::UNIX_EPOCH), None, "{value}");
        }
    }
}
