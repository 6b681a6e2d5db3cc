//! A new local CA in place of the old one, which is kept beside it: devices trust what they trust, and only their owner's hand
//! changes that.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{FILE, FOLDER, LEAF, LocalCa, LocalCaError};
use crate::base::clock::UnixMillis;
use crate::base::limits::AUTHORITIES_ASIDE_MAX;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::net::host::Host;

impl LocalCa {
    /// Moves the CA under `state_dir` aside, whatever is wrong with it, and makes one that may sign for `names` besides what
    /// is local. Answers with the new one and where the old one is, if there was one. Nobody may run on that folder
    /// meanwhile.
    ///
    /// # Errors
    /// [`LocalCaError`]. Where it breaks off after the move, the next start makes the new one.
    pub fn recreate(
        state_dir: &Path,
        names: &[Host],
        now: UnixMillis,
    ) -> Result<(Self, Option<PathBuf>), LocalCaError> {
        let folder = state_dir.join(FOLDER);
        private_file::ensure_folder(&folder)?;
        let kept = put_aside(&folder, now)?;
        // Never shown again: the next leaf is the new CA's.
        match private_file::remove(&folder.join(LEAF)) {
            Err(error) if !error.is_absent() => return Err(error.into()),
            _ => {}
        }
        Ok((Self::open(state_dir, names, now)?, kept))
    }
}

/// Gives the CA's file a name of its own: the second it was put aside, and a number where that is taken.
fn put_aside(folder: &Path, now: UnixMillis) -> Result<Option<PathBuf>, LocalCaError> {
    let path = folder.join(FILE);
    let format = format_description!("[year]-[month]-[day]-[hour][minute][second]");
    let at = OffsetDateTime::from_unix_timestamp(now.0.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // Never: every date has these parts.
    let date = at.format(&format).unwrap_or_default();
    for number in 0..AUTHORITIES_ASIDE_MAX {
        let number = if number == 0 { String::new() } else { format!("-{number}") };
        let kept = folder.join(format!("ca-{date}{number}.pem"));
        match renameat_with(CWD, &path, CWD, &kept, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(Some(kept)),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(PrivateFileError::new(&path, Fault::Io(error.into())).into()),
        }
    }
    Err(PrivateFileError::new(&path, Fault::Exists).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use std::fs;

    #[test]
    fn the_old_ca_is_kept_with_its_key_and_the_new_one_may_sign_for_todays_names() {
        let folder = tempfile::tempdir().unwrap();
        let now = Clock::system().now();
        let name = |text: &str| Host::parse(text).unwrap();
        let old = LocalCa::open(folder.path(), &[], now).unwrap();
        old.leaf(&[], now).unwrap();
        let text = fs::read_to_string(folder.path().join("local-ca/ca.pem")).unwrap();
        assert!(matches!(old.leaf(&[name("claw.example")], now), Err(LocalCaError::NotPermitted { .. })));
        let (new, kept) = LocalCa::recreate(folder.path(), &[name("claw.example")], now).unwrap();
        assert_ne!(new.authority(), old.authority());
        new.leaf(&[name("claw.example")], now).unwrap();
        let kept = kept.unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
        let (_, second) = LocalCa::recreate(folder.path(), &[], now).unwrap();
        assert_ne!(second.unwrap(), kept, "two in one second");
        // One that cannot be read is no obstacle, and is kept too.
        fs::write(folder.path().join("local-ca/ca.pem"), "junk").unwrap();
        let (_, third) = LocalCa::recreate(folder.path(), &[], now).unwrap();
        assert_eq!(fs::read_to_string(third.unwrap()).unwrap(), "junk");
        let fresh = tempfile::tempdir().unwrap();
        assert_eq!(LocalCa::recreate(fresh.path(), &[], now).unwrap().1, None);
    }
}
