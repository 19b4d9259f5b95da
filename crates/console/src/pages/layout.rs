//! JSON text laid out for reading: nothing is reordered, and numbers stay as they were written.

use serde_json::value::RawValue;

const INDENT: &str = "  ";

/// Bytes as people read them: JSON laid out, anything else as text, and no more than `chars_max`
/// characters of it.
pub(crate) fn readable(bytes: &[u8], chars_max: usize) -> String {
    let text = match serde_json::from_slice::<&RawValue>(bytes) {
        Ok(json) => lay_out(json.get()),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Puts every member and item of a JSON text on a line of its own.
fn lay_out(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut is_text = false;
    let mut is_escaped = false;
    let mut significant = json.chars().peekable();
    while let Some(char) = significant.next() {
        if is_text {
            out.push(char);
            is_text = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        match char {
            '"' => {
                is_text = true;
                out.push(char);
            }
            '{' | '[' => {
                out.push(char);
                while significant
                    .next_if(|next| next.is_ascii_whitespace())
                    .is_some()
                {}
                if let Some(end) = significant.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                    continue;
                }
                depth += 1;
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    // What is deeper than anybody can read stays at the margin, or whitespace outgrows the text.
    for _ in 0..depth.min(32) {
        out.push_str(INDENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_numbers_stay_as_they_were_written() {
        let text = r#"{"z":1.50,"a":[ ],"t":"a,{\"b\":[\\\"","n":[1,{"x":null}]}"#;
        let expected = "{\n  \"z\": 1.50,\n  \"a\": [],\n  \"t\": \"a,{\\\"b\\\":[\\\\\\\"\",\n  \
                        \"n\": [\n    1,\n    {\n      \"x\": null\n    }\n  ]\n}";
        assert_eq!(readable(text.as_bytes(), 1_000), expected);
    }

    #[test]
    fn what_is_no_json_is_text_and_long_text_is_cut() {
        assert_eq!(readable(b"<b>\xff", 100), "<b>\u{fffd}");
        assert_eq!(readable("äöü".as_bytes(), 2), "äö…");
        assert_eq!(readable(b"", 2), "");
    }
}
