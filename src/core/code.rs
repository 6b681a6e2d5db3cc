//! The short code of one refusal: 60 random bits, so that it tells nothing and names one case.

use tracing::error;

/// Crockford's base 32: no I, L, O, U, so that it survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARS: usize = 12;

/// A refusal's code: in `details.doorward` and in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Code(String);

impl Code {
    /// A new code. None when the kernel gives no random bytes: the refusal stands without one, and the log says why.
    pub(super) fn random() -> Option<Self> {
        random().inspect_err(|fault| error!(%fault, "a refusal goes without a code")).ok().map(Self)
    }

    /// The 12 characters.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What a log line shows of `code`.
    pub(super) fn shown(code: Option<&Self>) -> &str {
        code.map_or("-", Self::as_str)
    }
}

fn random() -> Result<String, getrandom::Error> {
    let mut bits = u64::from_le_bytes(random_bytes()?);
    let mut code = String::with_capacity(CHARS);
    for _ in 0..CHARS {
        let digit = usize::try_from(bits & 31).ok().and_then(|digit| ALPHABET.get(digit));
        code.push(char::from(digit.copied().unwrap_or(b'0')));
        bits >>= 5;
    }
    Ok(code)
}

fn random_bytes() -> Result<[u8; 8], getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_can_be_read_aloud() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert_ne!(one, two);
        assert!(one.len() == CHARS && one.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
    }
}
