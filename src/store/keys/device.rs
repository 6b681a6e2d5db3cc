//! The device that we ourselves are at the upstream: one Ed25519 key, made once, for its owner alone.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use thiserror::Error;
use zeroize::Zeroize;

use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::{Fingerprint, Secret};

/// Its name under the state folder.
pub const DEVICE_KEY_FILE: &str = "upstream-device.key";

/// Our own device key.
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// Reads the key under `state_dir`; makes it on first start.
    ///
    /// # Errors
    /// [`DeviceKeyError`] with the file and the way out; no file is ever replaced.
    pub fn open(state_dir: &Path) -> Result<Self, DeviceKeyError> {
        let path = state_dir.join(DEVICE_KEY_FILE);
        match private_file::read(&path) {
            Ok(text) => Self::read(&path, &text),
            Err(error) if error.is_absent() => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(DeviceKeyError::Random)?;
                let line = Secret::new(format!("{}\n", URL_SAFE_NO_PAD.encode(seed)));
                let key = Self(SigningKey::from_bytes(&seed));
                seed.zeroize();
                private_file::create(&path, &line)?;
                Ok(key)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One for a moment, which stands in no file.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn random() -> Result<Self, DeviceKeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(DeviceKeyError::Random)?;
        let key = Self(SigningKey::from_bytes(&seed));
        seed.zeroize();
        Ok(key)
    }

    /// Says what [`DeviceKey::open`] would refuse, and makes nothing.
    ///
    /// # Errors
    /// As [`DeviceKey::open`].
    pub fn judge(state_dir: &Path) -> Result<(), DeviceKeyError> {
        let path = state_dir.join(DEVICE_KEY_FILE);
        match private_file::read(&path) {
            Ok(text) => Self::read(&path, &text).map(drop),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read(path: &Path, text: &Secret<String>) -> Result<Self, DeviceKeyError> {
        let decoded = URL_SAFE_NO_PAD.decode(text.expose().trim()).map(Secret::new).ok();
        let seed = decoded.as_ref().and_then(|bytes| <&[u8; 32]>::try_from(bytes.expose().as_slice()).ok());
        let garbage = || DeviceKeyError::Garbage(path.to_owned());
        seed.map(|seed| Self(SigningKey::from_bytes(seed))).ok_or_else(garbage)
    }

    /// Its id: SHA-256 of the public key, in lower-case hexadecimal.
    pub fn id(&self) -> String {
        Fingerprint::of(self.0.verifying_key().as_bytes()).to_hex()
    }

    /// The public key, base64url without padding.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())
    }

    /// Its signature of `payload`, base64url without padding.
    pub fn sign(&self, payload: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(payload.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.id())
    }
}

/// Why there is no device key. The operator's to mend.
#[derive(Debug, Error)]
pub enum DeviceKeyError {
    /// The file cannot be read or written.
    #[error("device key for the upstream: {0}")]
    File(#[from] PrivateFileError),
    /// The file holds no key.
    #[error("device key for the upstream: {}: {}", Fault::Garbage("an ed25519 key"), .0.display())]
    Garbage(PathBuf),
    /// No random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(getrandom::Error),
}

impl DeviceKeyError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::Garbage(path) => {
                format!("rm {}; the next start makes another, which the upstream must approve", path.display())
            }
            Self::Random(_) => "start again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::device::DevicePublicKey;

    #[test]
    fn the_key_is_made_once_and_proves_its_own_id() {
        let state = tempfile::tempdir().unwrap();
        DeviceKey::judge(state.path()).unwrap();
        assert!(!state.path().join(DEVICE_KEY_FILE).exists(), "a judgement makes nothing");
        let (first, again) = (DeviceKey::open(state.path()).unwrap(), DeviceKey::open(state.path()).unwrap());
        DeviceKey::judge(state.path()).unwrap();
        assert_eq!(first.id(), again.id());
        let public = DevicePublicKey::parse(&first.public_key()).unwrap();
        assert_eq!(public.id().to_string(), first.id());
        assert!(public.verifies(b"payload", &URL_SAFE_NO_PAD.decode(again.sign("payload")).unwrap()));
        assert!(!format!("{first:?}").contains(&first.public_key()));
    }

    #[test]
    fn what_is_no_key_stops_the_start_and_stays() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(DEVICE_KEY_FILE);
        for text in ["garbage", "AAAA"] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            let error = DeviceKey::open(state.path()).unwrap_err();
            assert!(matches!(error, DeviceKeyError::Garbage(_)) && error.hint().starts_with("rm "), "{error}");
            assert_eq!(DeviceKey::judge(state.path()).unwrap_err().to_string(), error.to_string());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
