//! The short code of one refusal: 60 random bits, so that it tells nothing and names one case.

/// Crockford's base 32: no I, L, O, U, so that it survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARS: usize = 12;

/// A new code, 12 characters.
///
/// # Errors
/// When the kernel gives no random bytes.
pub(super) fn random() -> Result<String, getrandom::Error> {
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
