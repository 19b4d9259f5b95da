//! What a sender calls itself.

use tidings_core::name::check_word;

const MACHINE_CHARS_MAX: usize = 32;

/// A name that no other sender has: the machine's name, the process id and a random word.
#[must_use]
pub(crate) fn name() -> String {
    let machine = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    made_of(&machine, std::process::id(), rand::random())
}

/// The name is a word, because it becomes part of a subject.
fn made_of(machine: &str, process: u32, draw: u16) -> String {
    let allowed = |c: char| {
        if check_word(c.encode_utf8(&mut [0; 4]), 1).is_ok() {
            c
        } else {
            '-'
        }
    };
    let machine: String = machine
        .chars()
        .take(MACHINE_CHARS_MAX)
        .map(allowed)
        .collect();
    format!("{machine}-{process}-{draw:04x}")
}

#[cfg(test)]
mod tests {
    use tidings_core::name::NAME_BYTES_MAX;

    use super::*;

    #[test]
    fn any_machines_name_makes_a_word() {
        assert_eq!(made_of("büro.local", 7, 10), "b-ro-local-7-000a");
        let long = made_of(&"x".repeat(300), u32::MAX, u16::MAX);
        assert!(check_word(&long, NAME_BYTES_MAX).is_ok());
        assert!(check_word(&name(), NAME_BYTES_MAX).is_ok());
    }
}
