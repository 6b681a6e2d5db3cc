//! What a stranger sent, made fit to be shown: in a log line, on a terminal, in another person's list.

/// `text` for a log line or a terminal: control characters, quotes, backslashes and everything
/// that could forge a line or move a cursor is escaped, and at most `chars_max` characters are kept.
pub fn printable(text: &str, chars_max: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(chars_max)
        .flat_map(|char| {
            // Format characters (bidi overrides, zero width) forge what a person reads.
            let plain = !char.is_control() && !is_format(char) && char != '"' && char != '\\';
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
    }
}
