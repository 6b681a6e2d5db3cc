//! The gateway token, the secret that only the owner can read: ours under the state folder, or the operator's own file.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::limits::{GATEWAY_TOKEN_CHARS_MIN, GATEWAY_TOKEN_DIFFERENT_CHARS_MIN};
use crate::base::private_file::{self, Link, PrivateFileError};
use crate::base::secret::Secret;
use crate::pairing::invite;

/// Its name under the state folder.
pub const GATEWAY_TOKEN_FILE: &str = "gateway-token";

/// What people leave in place of a token, in lower case.
const SAMPLES: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "example",
    "insert-",
    "insert_",
    "password",
    "placeholder",
    "replace",
    "sample",
    "your-",
    "your_",
    "yourtoken",
    "xxxxxx",
];

/// Where the gateway token stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenSource {
    /// `core.token_file`: the operator's, read and never written.
    Operator(PathBuf),
    /// The state folder: ours, made on first start.
    State(PathBuf),
}

impl TokenSource {
    /// The operator's file if there is one, else ours under `state_dir`.
    pub fn of(token_file: Option<&Path>, state_dir: &Path) -> Self {
        match token_file {
            Some(path) => Self::Operator(path.to_owned()),
            None => Self::State(state_dir.join(GATEWAY_TOKEN_FILE)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Operator(path) | Self::State(path) => path,
        }
    }

    /// Says what [`TokenSource::open`] would refuse, and makes nothing.
    ///
    /// # Errors
    /// As [`TokenSource::open`].
    pub fn judge(&self) -> Result<(), TokenError> {
        match self {
            Self::Operator(_) => self.open().map(drop),
            Self::State(path) => match private_file::read(path) {
                Err(error) if error.is_absent() => Ok(()),
                read => judge(path, &read?).map(drop),
            },
        }
    }

    /// Reads the token; makes our own on first start.
    ///
    /// # Errors
    /// [`TokenError`] with the file and the way out.
    pub fn open(&self) -> Result<Secret<String>, TokenError> {
        match self {
            Self::Operator(path) => judge(path, &read_operators(path)?),
            Self::State(path) => match private_file::read(path) {
                Ok(text) => judge(path, &text),
                Err(error) if error.is_absent() => {
                    let token = Secret::random().map_err(TokenError::Random)?;
                    private_file::create(path, &line(&token))?;
                    Ok(token)
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Reads the token, and makes none.
    ///
    /// # Errors
    /// As [`TokenSource::open`].
    pub fn read(&self) -> Result<Secret<String>, TokenError> {
        match self {
            Self::Operator(path) => judge(path, &read_operators(path)?),
            Self::State(path) => judge(path, &private_file::read(path)?),
        }
    }

    /// By what a change of the file shows; nothing where there is none.
    pub fn stamp(&self) -> Option<TokenStamp> {
        let found = std::fs::metadata(self.path()).ok()?;
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        Some(TokenStamp { device: found.dev(), inode: found.ino(), size: found.size(), times })
    }

    /// Puts a new random token in place of ours; durable when this returns.
    ///
    /// # Errors
    /// [`TokenError::Operators`] for a file that is not ours to write.
    pub fn rotate(&self) -> Result<Secret<String>, TokenError> {
        match self {
            Self::Operator(path) => Err(TokenError::Operators(path.clone())),
            Self::State(path) => {
                let token = Secret::random().map_err(TokenError::Random)?;
                private_file::replace(path, &line(&token))?;
                Ok(token)
            }
        }
    }

    /// Says what [`TokenSource::adopt`] would refuse of this token, and writes nothing.
    ///
    /// # Errors
    /// As [`TokenSource::adopt`].
    pub fn admits(&self, token: &Secret<String>) -> Result<(), TokenError> {
        match self {
            Self::Operator(path) => Err(TokenError::Operators(path.clone())),
            Self::State(path) => judge(path, token).map(drop),
        }
    }

    /// Puts a token that the owner brought in place of ours; durable when this returns.
    ///
    /// # Errors
    /// [`TokenError::Operators`] for a file that is not ours to write, and what [`TokenSource::open`] would say of the token.
    pub fn adopt(&self, token: &Secret<String>) -> Result<Secret<String>, TokenError> {
        match self {
            Self::Operator(path) => Err(TokenError::Operators(path.clone())),
            Self::State(path) => {
                let token = judge(path, token)?;
                private_file::replace(path, &line(&token))?;
                Ok(token)
            }
        }
    }

    /// Whether users other than its owner may read the file. A secret that a runtime mounts is often so; say it in the log.
    pub fn is_exposed(&self) -> bool {
        std::fs::metadata(self.path()).is_ok_and(|metadata| metadata.mode() & 0o044 != 0)
    }
}

/// Whether `token` could be a gateway token here: long enough, no sample, no few characters.
pub fn is_sound(token: &Secret<String>) -> bool {
    judge(Path::new(""), token).is_ok()
}

/// The token's file at one moment, as far as its metadata tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenStamp {
    device: u64,
    inode: u64,
    size: u64,
    times: [i64; 4],
}

/// Reads the token of the gateway behind us, trimmed: whatever its owner chose.
///
/// # Errors
/// [`TokenError`] with the file and the way out.
pub fn read_upstream(path: &Path) -> Result<Secret<String>, TokenError> {
    let text = read_operators(path)?;
    let token = text.expose().trim();
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(token.to_owned()))
    } else {
        Err(TokenError::NotAToken(path.to_owned()))
    }
}

/// A runtime's secrets are links to files of another owner (Kubernetes, Docker), so those are followed here.
fn read_operators(path: &Path) -> Result<Secret<String>, TokenError> {
    let text = private_file::open(path, Link::Followed)
        .and_then(|file| private_file::read_text(file).map_err(|fault| PrivateFileError::new(path, fault)));
    text.map_err(TokenError::OperatorsFile)
}

fn line(token: &Secret<String>) -> Secret<String> {
    Secret::new(format!("{}\n", token.expose()))
}

fn judge(path: &Path, text: &Secret<String>) -> Result<Secret<String>, TokenError> {
    let token = text.expose().trim();
    let path = || path.to_owned();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::NotAToken(path()));
    }
    if token.len() < GATEWAY_TOKEN_CHARS_MIN {
        return Err(TokenError::TooShort(path()));
    }
    if invite::is_meant(token) {
        return Err(TokenError::Invite(path()));
    }
    let lower = Secret::new(token.to_ascii_lowercase());
    let different: HashSet<u8> = lower.expose().bytes().collect();
    let is_sample = SAMPLES.iter().any(|sample| lower.expose().contains(sample)) || token.starts_with(['<', '$', '{']);
    if is_sample || different.len() < GATEWAY_TOKEN_DIFFERENT_CHARS_MIN {
        return Err(TokenError::Sample(path()));
    }
    Ok(Secret::new(token.to_owned()))
}

/// Why there is no gateway token. The operator's to mend.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("gateway token: {0}")]
    File(#[from] PrivateFileError),
    /// The operator's file cannot be read.
    #[error("gateway token: {0}")]
    OperatorsFile(PrivateFileError),
    /// Whoever sends it would be taken for one with an invite.
    #[error("gateway token begins as an invite does, {}: {}", invite::PREFIX, .0.display())]
    Invite(PathBuf),
    /// Blanks, control characters or more than one line.
    #[error("gateway token must be one line of printable ascii without blanks: {}", .0.display())]
    NotAToken(PathBuf),
    /// `core.token_file` is the operator's to change.
    #[error("gateway token comes from `core.token_file` and is not ours to change: {}", .0.display())]
    Operators(PathBuf),
    /// No random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(getrandom::Error),
    /// A sample that everybody knows.
    #[error("gateway token is a sample, not a secret: {}", .0.display())]
    Sample(PathBuf),
    /// Short enough to guess.
    #[error("gateway token has fewer than {GATEWAY_TOKEN_CHARS_MIN} characters: {}", .0.display())]
    TooShort(PathBuf),
}

impl TokenError {
    /// The same fault of a token that stands in `file`.
    pub fn of(self, file: &Path) -> Self {
        let path = file.to_path_buf();
        match self {
            Self::Invite(_) => Self::Invite(path),
            Self::NotAToken(_) => Self::NotAToken(path),
            Self::Sample(_) => Self::Sample(path),
            Self::TooShort(_) => Self::TooShort(path),
            other @ (Self::File(_) | Self::OperatorsFile(_) | Self::Operators(_) | Self::Random(_)) => other,
        }
    }

    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::OperatorsFile(error) => error.operators_hint(),
            Self::Invite(path) | Self::Sample(path) | Self::TooShort(path) => {
                format!("openssl rand -hex 32 > {}", path.display())
            }
            // It may be a file that its owner needs, an openclaw.json: nothing that writes over it is advised.
            Self::NotAToken(_) => {
                "name a file that holds the token alone, on one line (of an openclaw.json, what stands in gateway.auth.token)"
                    .to_owned()
            }
            Self::Operators(path) => format!("write a new token to {}", path.display()),
            Self::Random(_) => "start again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::private_file::Fault;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn our_token_is_made_once_and_kept() {
        let state = tempfile::tempdir().unwrap();
        let source = TokenSource::of(None, state.path());
        source.judge().unwrap();
        assert!(!source.path().exists(), "a judgement makes nothing");
        let first = source.open().unwrap();
        source.judge().unwrap();
        assert_eq!(first.expose().len(), 43);
        assert!(source.open().unwrap().is(first.expose()));
        assert!(!source.is_exposed());
        let second = source.rotate().unwrap();
        assert!(!second.is(first.expose()));
        assert!(source.open().unwrap().is(second.expose()));
    }

    #[test]
    fn an_unreadable_token_is_never_replaced() {
        let state = tempfile::tempdir().unwrap();
        let source = TokenSource::of(None, state.path());
        for (text, mode) in [("", 0o600), ("short\n", 0o600), ("k3yPq9vTz0aWx7LmN2bRc5dE\n", 0o644)] {
            write(source.path(), text, mode);
            let error = source.open().unwrap_err();
            assert!(!error.hint().is_empty());
            assert_eq!(source.judge().unwrap_err().to_string(), error.to_string());
            assert_eq!(fs::read_to_string(source.path()).unwrap(), text);
        }
    }

    #[test]
    fn an_operators_token_is_trimmed_and_may_be_a_mounted_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("..data"), folder.path().join("token"));
        write(&file, "  k3yPq9vTz0aWx7LmN2bRc5dE \r\n", 0o444);
        symlink(&file, &link).unwrap();
        let source = TokenSource::of(Some(&link), folder.path());
        assert_eq!(source.open().unwrap().expose(), "k3yPq9vTz0aWx7LmN2bRc5dE");
        assert!(source.is_exposed());
        assert!(matches!(source.rotate(), Err(TokenError::Operators(_))));
    }

    #[test]
    fn what_anybody_could_guess_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = TokenSource::of(Some(&path), folder.path());
        let open = |text: &str| {
            write(&path, text, 0o600);
            source.open().unwrap_err()
        };
        assert!(matches!(open("k3yPq9vTz0aWx7LmN2bRc5d"), TokenError::TooShort(_)));
        for sample in [
            "changeme-changeme-changeme-42",
            "REPLACE_WITH_A_LONG_RANDOM_STRING",
            "your-gateway-token-goes-here-1234",
            "${OPENCLAW_GATEWAY_TOKEN_FROM_ENV}",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "123412341234123412341234123412341234",
        ] {
            assert!(matches!(open(sample), TokenError::Sample(_)), "{sample}");
        }
        for odd in ["two words that are long enough for it", "k3yPq9vTz0aWx7LmN2bRc5dE\nsecond line"] {
            assert!(matches!(open(odd), TokenError::NotAToken(_)), "{odd}");
        }
        let empty = open("");
        assert!(matches!(empty, TokenError::OperatorsFile(PrivateFileError { fault: Fault::Empty, .. })));
        assert_eq!(empty.hint(), format!("write {} anew", path.display()), "we make none in its place");
        fs::remove_file(&path).unwrap();
        assert!(matches!(source.open(), Err(TokenError::OperatorsFile(error)) if error.is_absent()));
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}
