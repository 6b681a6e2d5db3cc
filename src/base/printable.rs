//! What a stranger sent, made fit to be shown: in a log line, on a terminal, in another person's list.

use std::path::Path;

use crate::base::limits::SHOWN_PATH_CHARS_MAX;

/// `text` for a log line or a terminal: control characters, quotes, backslashes and everything
/// that could forge a line or move a cursor is escaped, and at most `chars_max` characters are kept.
pub fn printable(text: &str, chars_max: usize) -> String {
    // Nearly all that is shown: a byte is a character here, and none of them needs escaping.
    if text.len() <= chars_max && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !is_syntax(byte.into())) {
        return text.to_owned();
    }
    let mut shown: String = text
        .chars()
        .take(chars_max)
        .flat_map(|char| {
            // Format characters (bidi overrides, zero width) forge what a person reads.
            let plain = is_plain(char) && !is_syntax(char);
            let escaped = (!plain).then(|| char.escape_unicode());
            let kept = plain.then_some(char);
            kept.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// A path of the operator's own on one line, as far as its system takes paths.
pub fn printable_path(path: &Path) -> String {
    printable(&path.display().to_string(), SHOWN_PATH_CHARS_MAX)
}

/// Whether `text` can stand for a person or a thing: of 1 to `chars_max` characters, none of which forges what a person
/// reads or what a rule compares: no control or format character, no space at either end.
pub fn is_label(text: &str, chars_max: usize) -> bool {
    !text.is_empty() && text.trim() == text && text.chars().count() <= chars_max && text.chars().all(is_plain)
}

/// Whether a person sees `char` as what it is: no control or format character.
pub fn is_plain(char: char) -> bool {
    !char.is_control() && !is_format(char)
}

/// What quotes and escapes in the lines that show it.
fn is_syntax(char: char) -> bool {
    matches!(char, '"' | '\\')
}

fn is_format(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_what_forges_lines() {
        assert_eq!(printable("a\r\n\u{1b}[2J\u{202e}\"\\z", 64), r"a\u{d}\u{a}\u{1b}[2J\u{202e}\u{22}\u{5c}z");
        assert_eq!(printable("żółw 🐢", 64), "żółw 🐢");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("GET /a?b=c~ ", 12), "GET /a?b=c~ ");
    }

    #[test]
    fn a_label_is_read_as_it_is_compared() {
        for label in ["alice@example.com", "Żółw 🐢", "a b", "abcde"] {
            assert!(is_label(label, 17), "{label}");
        }
        for other in
            ["", " ", " a", "a ", "a\u{a0}", "a\nb", "a\u{202e}b", "a\u{200b}", "\u{feff}a", "abcdefghijklmnopqr"]
        {
            assert!(!is_label(other, 17), "{other:?}");
        }
    }

    #[test]
    fn every_ascii_character_alone_is_shown_as_it_is_among_others() {
        for byte in 0..0x80_u8 {
            let alone = char::from(byte).to_string();
            // The letter beyond ASCII takes the long way.
            let among = printable(&format!("{alone}ż"), 64);
            assert_eq!(Some(printable(&alone, 64).as_str()), among.strip_suffix('ż'), "{alone:?}");
        }
    }
}
