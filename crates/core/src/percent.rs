//! Percent-encoding (RFC 3986 section 2.1), with upper-case digits.

use std::fmt::Write as _;

/// Letters, digits and what JavaScript's `encodeURIComponent` leaves as it is.
pub(crate) fn is_component(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

/// RFC 3986's unreserved characters, which mean the same encoded or not.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Appends `text` to `out`, each byte encoded unless it is kept. What is kept is ASCII.
pub(crate) fn encode(text: &str, is_kept: impl Fn(u8) -> bool, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii() && is_kept(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_encoded() {
        for (is_kept, encoded) in [
            (is_component as fn(u8) -> bool, "a-_.!~*'()%2F%25%C3%A9%0A"),
            (is_unreserved, "a-_.%21~%2A%27%28%29%2F%25%C3%A9%0A"),
            (|_| true, "a-_.!~*'()/%%C3%A9\n"),
        ] {
            let mut out = String::new();
            encode("a-_.!~*'()/%é\n", is_kept, &mut out);
            assert_eq!(out, encoded);
        }
    }
}
