//! The key of a name server's changes, as `tsig-keygen` writes it and BIND reads it: `key "name" { algorithm …; secret …; };`

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};

use crate::base::limits::DNS_FUDGE_SECONDS;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::acme::dns::fault::DnsError;

const FORM: Fault = Fault::Garbage("one tsig key, as `tsig-keygen` writes it");
const ALGORITHMS: [(&str, TsigAlgorithm); 3] = [
    ("hmac-sha256", TsigAlgorithm::HmacSha256),
    ("hmac-sha384", TsigAlgorithm::HmacSha384),
    ("hmac-sha512", TsigAlgorithm::HmacSha512),
];

/// Reads a key out of a file that nobody else can read.
///
/// # Errors
/// [`DnsError::KeyFile`] or [`DnsError::Algorithm`].
pub(super) fn read(path: &Path) -> Result<TSigner, DnsError> {
    let failed = |fault| DnsError::KeyFile(PrivateFileError::new(path, fault));
    let text = private_file::text(&private_file::read_operators(path).map_err(DnsError::KeyFile)?).map_err(failed)?;
    let read = parse(text.expose()).ok_or_else(|| failed(FORM))?;
    let algorithm = ALGORITHMS.into_iter().find(|(word, _)| *word == read.algorithm);
    let (_, algorithm) = algorithm.ok_or(DnsError::Algorithm(read.algorithm))?;
    let name = Name::from_ascii(&read.name).map_err(|_| failed(FORM))?;
    TSigner::new(read.secret.expose().clone(), algorithm, name, DNS_FUDGE_SECONDS).map_err(|_| failed(FORM))
}

/// What the file says.
struct Read {
    name: String,
    algorithm: String,
    secret: Secret<Vec<u8>>,
}

fn parse(text: &str) -> Option<Read> {
    let words = words(text)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (name, statements) = match words.as_slice() {
        ["key", name, "{", statements @ .., "}", ";"] => (*name, statements),
        _ => return None,
    };
    let (mut algorithm, mut secret) = (None, None);
    for statement in statements.chunks(3) {
        let slot = match statement {
            ["algorithm", value, ";"] => algorithm.replace(value),
            ["secret", value, ";"] => secret.replace(value),
            _ => return None,
        };
        if slot.is_some() {
            return None;
        }
    }
    let secret = Secret::new(STANDARD.decode(secret?).ok()?);
    let is_named = !name.is_empty() && !secret.expose().is_empty();
    let (name, algorithm) = (name.to_owned(), algorithm?.to_ascii_lowercase());
    is_named.then_some(Read { name, algorithm, secret })
}

/// The words and signs of BIND's configuration, without its comments; none where a quote or a comment does not end.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let is_line = rest.starts_with('#') || rest.starts_with("//");
        rest = if is_line {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")?.1
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, rest) = quoted.split_once('"')?;
            words.push(word.to_owned());
            rest
        } else if let Some(rest) = rest.strip_prefix(['{', '}', ';']) {
            words.push(first.to_string());
            rest
        } else {
            let end = |char: char| char.is_whitespace() || matches!(char, '{' | '}' | ';' | '"' | '#');
            let (word, rest) = rest.split_at_checked(rest.find(end).unwrap_or(rest.len()))?;
            words.push(word.to_owned());
            rest
        }
        .trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GOOD: &str = "key \"acme\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";

    #[test]
    fn a_key_is_read_as_bind_reads_it() {
        for (text, algorithm) in [
            (GOOD, TsigAlgorithm::HmacSha256),
            ("key acme{secret c2VjcmV0;algorithm HMAC-SHA512;};", TsigAlgorithm::HmacSha512),
            (
                "# by hand\nkey acme { /* so */ algorithm hmac-sha384; // and\n secret \"c2VjcmV0\"; };",
                TsigAlgorithm::HmacSha384,
            ),
        ] {
            let key = read_text(text, 0o600).unwrap();
            assert_eq!(key.algorithm(), &algorithm, "{text}");
            assert_eq!((key.signer_name().to_string().as_str(), key.key()), ("acme.", &b"secret"[..]), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        for text in [
            "c2VjcmV0",
            "key \"acme\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; }",
            "key \"acme\" { algorithm hmac-sha256; };",
            "key \"acme\" { secret \"c2VjcmV0\"; };",
            "key \"acme\" { algorithm hmac-sha256; secret \"not base64!\"; };",
            "key \"acme\" { algorithm hmac-sha256; secret \"\"; };",
            "key \"\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };",
            "key \"acme\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; secret \"c2VjcmV0\"; };",
            "key \"acme\" { algorithm hmac-sha256; secret \"c2VjcmV0",
            "key \"acme\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; }; /*",
            "key \"a\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; }; key \"b\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };",
        ] {
            let error = read_text(text, 0o600).err().unwrap();
            assert!(matches!(error, DnsError::KeyFile(_)), "{text}: {error}");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("c2VjcmV0"), "{error}");
        }
    }

    #[test]
    fn a_broken_algorithm_is_named_and_an_open_file_is_refused() {
        for word in ["hmac-md5", "hmac-sha1", "hmac-sha224", "rot13"] {
            let error = read_text(&GOOD.replace("hmac-sha256", word), 0o600).err().unwrap();
            assert!(matches!(&error, DnsError::Algorithm(named) if named == word), "{error}");
            assert!(error.hint().contains("tsig-keygen"));
        }
        let error = read_text(GOOD, 0o640).err().unwrap();
        assert!(error.hint().contains("chmod"), "{error}: {}", error.hint());
    }

    fn read_text(text: &str, mode: u32) -> Result<TSigner, DnsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read(&path)
    }
}
