//! What a form or a query carries: pairs of names and values, in order.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The fields of a form or a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text. Anything is a form.
    pub(crate) fn read(text: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(text);
        Self(pairs.into_owned().collect())
    }

    /// The value of a field; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The value of a field without space around it.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).trim()
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.0.iter().filter(move |(own, _)| own == name);
        own.map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// A field that is there and can be read.
    pub(crate) fn parse<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).parse().ok()
    }

    /// The same fields as a query, with one of them set anew, or left out if `value` is empty.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (own, kept) in self.0.iter().filter(|(own, _)| own != name) {
            if !kept.is_empty() {
                query.append_pair(own, kept);
            }
        }
        if !value.is_empty() {
            query.append_pair(name, value);
        }
        query.finish()
    }
}

/// Reads what a browser's field for a local time holds, taken as UTC.
///
/// # Errors
/// It is no time; the message is for whoever typed it.
pub(crate) fn time(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = || {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Some(at);
        }
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let problem = || String::from("Write a date and a time, such as 2026-11-25T10:00.");
    read().map(Some).ok_or_else(problem)
}

/// A time as a browser's field for a local time wants it.
pub(crate) fn civil(at: Timestamp) -> String {
    let civil = at.to_zoned(TimeZone::UTC).datetime();
    civil.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written_back() {
        let fields = Fields::read(b"a=1&b=x+y&a=2&e=");
        assert_eq!(fields.get("a"), "1");
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.get("b"), "x y");
        assert!(fields.has("e") && !fields.has("f"));
        assert_eq!(fields.with("cursor", "5&"), "a=1&b=x+y&a=2&cursor=5%26");
        assert_eq!(fields.with("a", ""), "b=x+y");
    }

    #[test]
    fn times_of_browsers_are_utc() {
        let at = time("2026-11-25T10:00").unwrap().unwrap();
        assert_eq!(at.to_string(), "2026-11-25T10:00:00Z");
        assert_eq!(civil(at), "2026-11-25T10:00:00");
        assert_eq!(time("").unwrap(), None);
        assert!(time("yesterday").is_err());
    }
}
