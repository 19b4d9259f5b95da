//! Rule 5: which host names are public names, and how they are written.

use super::UrlError;

/// The longest name, in bytes, without the root dot (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// The longest label, in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Last labels that are not delegated in the public DNS: special-use names (RFC 6761 and its
/// registry), private suffixes (RFC 6762 appendix G, ICANN's deferred strings) and those of
/// clusters, containers and hosts files.
const RESERVED_SUFFIXES: [&str; 26] = [
    "alt",
    "arpa",
    "cluster",
    "consul",
    "corp",
    "default",
    "docker",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localdomain4",
    "localdomain6",
    "localhost",
    "localhost4",
    "localhost6",
    "mail",
    "onion",
    "private",
    "svc",
    "test",
    "workgroup",
];

/// Checks what holds for every name, public or not. `name` is in punycode, without a root dot.
pub(super) fn check_syntax(name: &str) -> Result<(), UrlError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(UrlError::NameTooLong { bytes: name.len() });
    }
    match name.split('.').find(|label| !is_label(label)) {
        Some(label) => Err(UrlError::NameLabel {
            label: shorten(label),
        }),
        None => Ok(()),
    }
}

/// Checks that a name can belong to somebody in the public DNS. A name that ends in a number does
/// not come here: the URL parser takes it for an IPv4 address.
pub(super) fn check_public(name: &str) -> Result<(), UrlError> {
    let suffix = last_label(name);
    if RESERVED_SUFFIXES.contains(&suffix) {
        return Err(UrlError::NameReserved {
            suffix: shorten(suffix),
        });
    }
    if suffix == name {
        return Err(UrlError::NameSingleLabel {
            name: shorten(name),
        });
    }
    Ok(())
}

/// Checks that the name was typed as it will be asked for: in punycode, or in Unicode that mapping
/// (UTS 46) leaves as it is. Capital letters are fine; enclosed, full-width and invisible
/// characters are not, because they make one host look like another.
pub(super) fn check_spelling(typed: &str, name: &str) -> Result<(), UrlError> {
    if typed.eq_ignore_ascii_case(name) {
        return Ok(());
    }
    let unicode = url::quirks::domain_to_unicode(name);
    let labels = || {
        typed
            .split('.')
            .zip(name.split('.'))
            .zip(unicode.split('.'))
    };
    let same_count = typed.split('.').count() == name.split('.').count();
    if same_count && labels().all(|((typed, ascii), unicode)| is_spelling(typed, ascii, unicode)) {
        Ok(())
    } else {
        Err(UrlError::NameNotCanonical {
            canonical: name.to_owned(),
        })
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_spelling(typed: &str, ascii: &str, unicode: &str) -> bool {
    if typed.is_ascii() {
        return typed.eq_ignore_ascii_case(ascii);
    }
    let lower_case = typed.chars().flat_map(char::to_lowercase);
    typed == unicode || (typed.chars().all(is_plain_letter) && lower_case.eq(unicode.chars()))
}

/// Whether lower case loses nothing: true for `Ü`, false for the Kelvin sign, which becomes `k`.
fn is_plain_letter(character: char) -> bool {
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => {
            lower == character || lower.to_uppercase().eq(std::iter::once(character))
        }
        _ => false,
    }
}

fn last_label(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}
