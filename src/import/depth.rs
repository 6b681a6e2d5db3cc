//! How deep a JSON5 text nests. Its reader calls itself for each level, so a text that nests without end would end us.

use crate::base::limits::IMPORT_DEPTH_MAX;

/// Where a character stands.
#[derive(Clone, Copy)]
enum Place {
    Block,
    Code,
    Line,
    Text(char),
}

/// Whether `text` nests deeper than any settings do. Brackets in strings and comments are none (JSON5 §5, §7).
pub(super) fn is_deep(text: &str) -> bool {
    let (mut place, mut depth, mut before) = (Place::Code, 0_usize, ' ');
    for char in text.chars() {
        (place, before) = match (place, before, char) {
            (Place::Code, '/', '/') => (Place::Line, ' '),
            (Place::Code, '/', '*') => (Place::Block, ' '),
            (Place::Code, _, '"' | '\'') => (Place::Text(char), ' '),
            (Place::Line, _, '\n' | '\r' | '\u{2028}' | '\u{2029}') | (Place::Block, '*', '/') => (Place::Code, ' '),
            (Place::Text(_), '\\', _) => (place, ' '),
            (Place::Text(quote), _, _) if char == quote => (Place::Code, ' '),
            _ => (place, char),
        };
        if let Place::Code = place {
            match char {
                '[' | '{' => depth = depth.saturating_add(1),
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > IMPORT_DEPTH_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_that_nest_are_counted() {
        let (open, close) = ("[".repeat(IMPORT_DEPTH_MAX), "]".repeat(IMPORT_DEPTH_MAX));
        for text in [
            format!("{open}{close}"),
            format!("{open}\"[[[\"{close}"),
            format!("{open}'\\'[[['{close}"),
            format!("{open}// [[[\n{close}"),
            format!("{open}/* [[[ * / \" */{close}"),
            format!("{open}{close}{open}{close}"),
        ] {
            assert!(!is_deep(&text), "{text}");
        }
        for text in
            [format!("{open}["), format!("{open}{{"), format!("/**/{open}'\"'//\n["), format!("{open}\"\\\\\"[")]
        {
            assert!(is_deep(&text), "{text}");
        }
    }
}
