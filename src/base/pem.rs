//! PEM (RFC 7468), written: labels, and base64 in lines of 64 characters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::secret::Secret;

/// Bytes that fill one line.
const LINE_BYTES: usize = 48;

/// `der` as one block called `label`. A secret, for what it holds may be one.
pub fn encode(label: &str, der: &[u8]) -> Secret<String> {
    // Of its full size at once: no copy of a key stays behind in memory that was outgrown.
    let mut text = String::with_capacity(der.len().div_ceil(LINE_BYTES) * 65 + 2 * (label.len() + 20));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(LINE_BYTES) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_64_characters() {
        let text = encode("X", &[0; 49]);
        let lines: Vec<_> = text.expose().lines().collect();
        assert_eq!(lines, ["-----BEGIN X-----", &"A".repeat(64), "AA==", "-----END X-----"]);
        assert!(text.expose().capacity() >= text.expose().len());
    }
}
