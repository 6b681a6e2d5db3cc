//! The short code of one refusal: 60 random bits, so that it tells nothing and names one case.

use std::fmt;

use tracing::error;

/// Crockford's base 32: no I, L, O, U, so that it survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARS: u32 = 12;

/// Where the pages are that say what a code means, each named by its code.
pub const WHY_PATH: &str = "/doorward/why/";

/// A refusal's code: in the answer and in the log.
///
/// Invariant: below 2^60.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Code(u64);

impl Code {
    /// A new code. None when the kernel gives no random bytes: the refusal stands without one, and the log says why.
    pub fn random() -> Option<Self> {
        let bits = getrandom::u64().inspect_err(|fault| error!(%fault, "a refusal goes without a code"));
        bits.ok().map(|bits| Self(bits >> 4))
    }

    /// Reads a code as a person types it: in any case, with hyphens or spaces, I and L for 1, O for 0.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
        let mut bits = 0;
        for _ in 0..CHARS {
            let typed = match digits.next()?.to_ascii_uppercase() {
                b'I' | b'L' => b'1',
                b'O' => b'0',
                other => other,
            };
            let digit = ALPHABET.iter().position(|letter| *letter == typed)?;
            bits = (bits << 5) | u64::try_from(digit).ok()?;
        }
        digits.next().is_none().then_some(Self(bits))
    }

    /// The line that tells it to a caller.
    pub fn told(self) -> String {
        format!("code: {self} (what it means: {WHY_PATH}{self})\n")
    }

    /// What a log line shows of `code`.
    pub fn shown(code: Option<Self>) -> String {
        code.map_or_else(|| "-".to_owned(), |code| code.to_string())
    }
}

impl fmt::Display for Code {
    /// The 12 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..CHARS).rev() {
            let digit = usize::try_from((self.0 >> (5 * place)) & 31).ok().and_then(|digit| ALPHABET.get(digit));
            fmt::Write::write_char(f, char::from(digit.copied().unwrap_or(b'0')))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_can_be_read_aloud() {
        let (one, two) = (Code::random().unwrap(), Code::random().unwrap());
        assert_ne!(one, two);
        let text = one.to_string();
        assert!(text.len() == 12 && text.bytes().all(|byte| ALPHABET.contains(&byte)), "{text}");
        assert_eq!(Code::parse(&text), Some(one));
        assert_eq!(Code(u64::MAX >> 4).to_string(), "Z".repeat(12));
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Code::parse("0123456789AB").unwrap();
        for typed in ["0123-4567-89ab", " 0123 4567 89AB", "o1234567 89ab", "OI23456789AB", "ol23456789ab"] {
            assert_eq!(Code::parse(typed), Some(code), "{typed}");
        }
        for bad in ["", "0123456789A", "0123456789ABC", "0123456789AU", "0123456789A\u{e9}", "0123456789A/"] {
            assert_eq!(Code::parse(bad), None, "{bad}");
        }
    }
}
