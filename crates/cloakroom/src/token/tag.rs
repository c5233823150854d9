//! The tag before a stored digest, which says under which scheme it was made.

/// What stands between the tag and the digest. No tag and no digest holds it.
pub(crate) const TAG_END: char = '$';

/// The greatest length of a tag.
pub(crate) const MAX_TAG_LENGTH: usize = 32;

/// The least length of a tagged digest, in bytes.
pub(crate) const MIN_DIGEST_LENGTH: usize = 16;

/// Returns `true` if the text may be a tag: 1 to 32 ASCII letters, digits, hyphens, underscores and dots.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_TAG_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The form of a stored digest, from which its scheme is known if no other has the same form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DigestForm {
    /// With a tag.
    Tagged(String),
    /// Hexadecimal of so many bytes, without a tag.
    Hex { length: usize },
    /// Any other text, such as a plaintext token.
    Text,
}

impl DigestForm {
    /// Returns the form of a stored text.
    pub(crate) fn of_text(text: &str) -> Self {
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let length = |text: &str| if is_hex(text) { text.len() as u64 } else { 0 };
        match text.split_once(TAG_END) {
            Some((tag, hex)) if length(hex) >= 2 * MIN_DIGEST_LENGTH as u64 => Self::of(tag.to_owned(), 0),
            _ => Self::of(String::new(), length(text)),
        }
    }

    /// Returns the form of a digest with this tag, or of one without a tag that is hexadecimal of so many characters, or
    /// of none.
    pub(crate) fn of(tag: String, hex: u64) -> Self {
        match (usize::try_from(hex).unwrap_or(0), is_tag(&tag)) {
            (_, true) => Self::Tagged(tag),
            (hex, false) if hex >= 2 * MIN_DIGEST_LENGTH && hex.is_multiple_of(2) => {
                Self::Hex { length: hex / 2 }
            }
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_of_plain_characters() {
        for tag in ["a", "2026-11", "knox_5.1", "A", &"x".repeat(32)] {
            assert!(is_tag(tag), "{tag}");
        }
        for text in ["", "a b", "a$b", "a:b", "é", "a\0", &"x".repeat(33)] {
            assert!(!is_tag(text), "{text}");
        }
    }
}
