//! Texts that lie in place.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// What fits without memory of its own: with its tag and its length it makes half a cache line. The
/// ids that Tidings makes fit.
const IN_PLACE_MAX: usize = 30;

/// A text that is never changed. A short one lies where the value lies, so that reading, comparing
/// and copying it touches no other memory.
#[derive(Clone)]
pub(crate) struct ShortText(Text);

#[derive(Clone)]
enum Text {
    /// Zeros fill it up.
    InPlace {
        len: u8,
        bytes: [u8; IN_PLACE_MAX],
    },
    Elsewhere(Box<str>),
}

impl ShortText {
    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Text::InPlace { .. } => {
                std::str::from_utf8(self.as_bytes()).expect("it was made from a whole text")
            }
            Text::Elsewhere(text) => text,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::InPlace { len, bytes } => &bytes[..usize::from(*len)],
            Text::Elsewhere(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for ShortText {
    fn from(text: &str) -> Self {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= IN_PLACE_MAX => {
                let mut bytes = [0; IN_PLACE_MAX];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Self(Text::InPlace { len, bytes })
            }
            _ => Self(Text::Elsewhere(text.into())),
        }
    }
}

impl PartialEq for ShortText {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ShortText {}

impl PartialOrd for ShortText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// That of texts, which is that of their bytes.
impl Ord for ShortText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for ShortText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_of_ours_lies_in_half_a_cache_line() {
        assert_eq!(size_of::<ShortText>(), 32);
        let id = ShortText::from("wh_01K8ZQ4Q4Q4Q4Q4Q4Q4Q4Q4Q4Q");
        assert!(matches!(id.0, Text::InPlace { .. }), "{id:?}");
    }

    proptest! {
        #[test]
        fn it_is_the_text_it_was_made_from(one in "[aé]{0,40}", other in "[aé]{0,40}") {
            let both = (ShortText::from(&*one), ShortText::from(&*other));
            prop_assert_eq!(both.0.as_str(), &one);
            prop_assert_eq!(both.0 == both.1, one == other);
            prop_assert_eq!(both.0.cmp(&both.1), one.cmp(&other));
        }
    }
}
