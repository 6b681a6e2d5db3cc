//! Values a stranger sent us.
//!
//! Why a type: a header is a claim, not a fact. `Untrusted` has no `Deref`, no `Display` and no
//! way to take the value out but [`Untrusted::judge`], which makes the caller name the judge, so
//! that a claim cannot drift into a log line or a decision.

use std::fmt;

/// A value that came from the network and that nobody has judged yet.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Untrusted<T>(T);

impl<T> Untrusted<T> {
    /// Marks `claim` as unjudged.
    pub fn new(claim: T) -> Self {
        Self(claim)
    }

    /// Hands the claim to `judge`, whose answer is the only thing that leaves.
    pub fn judge<V>(self, judge: impl FnOnce(T) -> V) -> V {
        judge(self.0)
    }

    /// The same claim, borrowed.
    pub fn as_ref(&self) -> Untrusted<&T> {
        Untrusted(&self.0)
    }
}

impl<T> fmt::Debug for Untrusted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Untrusted(…)")
    }
}

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
    fn nothing_leaks_into_debug() {
        assert_eq!(format!("{:?}", Untrusted::new("x")), "Untrusted(…)");
    }

    #[test]
    fn printable_escapes_what_forges_lines() {
        assert_eq!(printable("a\r\n\u{1b}[2J\u{202e}\"\\z", 64), r"a\u{d}\u{a}\u{1b}[2J\u{202e}\u{22}\u{5c}z");
        assert_eq!(printable("żółw 🐢", 64), "żółw 🐢");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
