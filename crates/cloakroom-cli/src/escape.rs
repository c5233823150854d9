//! Escapes characters that must not reach a terminal as they are, because the text may come from anywhere.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns `true` if a terminal takes the character for a command, or shows the text after it in another direction or
/// on a line of its own.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // The characters of Unicode's property Bidi_Control, and its separators of lines and paragraphs.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Returns the text on one line and in one column, without terminal commands.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => printable.push_str("\\t"),
            '\n' => printable.push_str("\\n"),
            '\r' => printable.push_str("\\r"),
            dangerous if is_dangerous(dangerous) => printable.extend(dangerous.escape_unicode()),
            character => printable.push(character),
        }
    }
    printable
}

/// As [`printable`], but keeps the ends of lines.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// Returns the same JSON without terminal commands. Such characters stand only within strings, where JSON has escapes
/// for them.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let is_space = |character| matches!(character, '\t' | '\n' | '\r');
    let must_go = |character| is_dangerous(character) && !is_space(character);
    if !text.contains(must_go) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if must_go(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_session_holds_commands_a_terminal_or_breaks_a_line() {
        assert_eq!(printable("a\tb\nc\r\u{1b}[2J\u{9b}\u{202e}é"), "a\\tb\\nc\\r\\u{1b}[2J\\u{9b}\\u{202e}é");
        assert_eq!(printable("\u{200f}\u{2028}\u{61c}\u{2069}"), "\\u{200f}\\u{2028}\\u{61c}\\u{2069}");
        assert_eq!(printable_lines("a\nb\u{7f}"), "a\nb\\u{7f}");
    }

    #[test]
    fn json_says_the_same_and_commands_nothing() {
        let text = "{\"a\": \"\u{9b}2J\u{202e}\u{7f}é👩‍👩\",\n\t\"b\":1.50}";
        let escaped = json(text);
        assert_eq!(escaped, "{\"a\": \"\\u009b2J\\u202e\\u007fé👩‍👩\",\n\t\"b\":1.50}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&escaped), parse(text));
    }
}
