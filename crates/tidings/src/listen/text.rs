//! Making text from outside fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

const INDENT: &str = "  ";

/// The text with every control character but line feed and tab escaped, and those that turn the
/// direction of writing: what a stranger sent must not steer the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_unsafe(character) {
            true => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// As [`printable`], for a text of which one line is to be made.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// All of these are in the Basic Multilingual Plane, so four hexadecimal digits are enough, and
/// inside a JSON string the escape means the same character.
fn is_unsafe(character: char) -> bool {
    let turns_direction = matches!(character,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !matches!(character, '\n' | '\t') && (character.is_control() || turns_direction)
}

/// Writes valid JSON over several lines, changing nothing but the white space between its tokens:
/// numbers and escapes stay as they came. Stops soon after `bytes_max` bytes; the second value
/// says whether it did.
pub(crate) fn indent(json: &str, bytes_max: usize) -> (String, bool) {
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut rest = json.chars().peekable();
    while let Some(character) = rest.next() {
        if out.len() >= bytes_max {
            return (out, true);
        }
        match character {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' | '[' => {
                out.push(character);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(closing) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(closing);
                    continue;
                }
                depth += 1;
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '"' => copy_string(&mut rest, &mut out, bytes_max),
            _ => out.push(character),
        }
    }
    (out, false)
}

/// Copies a string whose opening quote has been taken.
fn copy_string(rest: &mut impl Iterator<Item = char>, out: &mut String, bytes_max: usize) {
    out.push('"');
    let mut is_escaped = false;
    while out.len() < bytes_max {
        let Some(character) = rest.next() else { return };
        out.push(character);
        match character {
            '"' if !is_escaped => return,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(INDENT, depth));
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(
            printable("a\u{1b}[2Jb\u{9b}1m\rc\u{7f}"),
            r"a\u001b[2Jb\u009b1m\u000dc\u007f"
        );
        assert_eq!(printable("exe\u{202e}gpj"), r"exe\u202egpj");
        assert_eq!(printable("Café 🚀\nzwei"), "Café 🚀\nzwei");
        assert_eq!(one_line("a\nb\u{0}"), r"a\nb\u0000");
    }

    #[test]
    fn json_is_laid_out_without_touching_its_tokens() {
        let json =
            r#"{"a":[1e999 ,12345678901234567890123,{ }],"b\"]":"x\\","c":"\u00e9 {}", "d":[]}"#;
        let expected = r#"{
  "a": [
    1e999,
    12345678901234567890123,
    {}
  ],
  "b\"]": "x\\",
  "c": "\u00e9 {}",
  "d": []
}"#;
        assert_eq!(indent(json, 1_000), (expected.to_owned(), false));
        for scalar in ["null", "\"a\"", "-0.0"] {
            assert_eq!(indent(scalar, 1_000).0, scalar);
        }
    }

    #[test]
    fn a_large_body_is_cut() {
        for json in [
            format!("[{}0]", "0,".repeat(10_000)),
            format!("[\"{}\"]", "a".repeat(10_000)),
        ] {
            let (shown, is_cut) = indent(&json, 100);
            assert!(shown.len() < 120 && is_cut, "{shown}");
        }
    }

    #[test]
    fn thousands_are_told_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
