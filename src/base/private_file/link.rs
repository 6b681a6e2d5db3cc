//! A folder that may stand behind a link: only behind one that nobody but root could have put there.
//!
//! systemd's `DynamicUser=` makes such links (`/var/lib/doorward` to `/var/lib/private/doorward`). Any other could be
//! pointed at somebody else's folder, in which we would then make, change and remove files.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Fault, OTHERS_WRITE, PrivateFileError};

/// What stands at `folder`: itself, or what root's own link there leads to.
///
/// # Errors
/// [`Fault::Symlink`] for any other link, [`Fault::NotAFolder`] for anything else than a folder.
pub fn follow(folder: &Path) -> Result<Metadata, PrivateFileError> {
    // A slash or a dot behind the name would follow the link before it is seen.
    let named: PathBuf = folder.components().collect();
    let fail = |fault| PrivateFileError::new(&named, fault);
    let failed = |cause| PrivateFileError::new(&named, Fault::Io(cause));
    let mut found = fs::symlink_metadata(&named).map_err(failed)?;
    if found.is_symlink() {
        let parent = named.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::metadata(parent).map_err(failed)?;
        if !is_roots_alone(&found, &parent, rustix::process::geteuid().as_raw()) {
            return Err(fail(Fault::Symlink));
        }
        found = fs::metadata(&named).map_err(failed)?;
    }
    if found.is_dir() { Ok(found) } else { Err(fail(Fault::NotAFolder)) }
}

/// Whether nobody but root can have made or can change a link in its folder. Root's own process follows none: for it, that
/// would be every link it ever made.
fn is_roots_alone(link: &impl Owned, parent: &impl Owned, own_uid: u32) -> bool {
    own_uid != 0 && link.owner() == 0 && parent.owner() == 0 && parent.permissions() & OTHERS_WRITE == 0
}

/// Whose something is, and who else may write to it.
trait Owned {
    fn owner(&self) -> u32;
    fn permissions(&self) -> u32;
}

impl Owned for Metadata {
    fn owner(&self) -> u32 {
        self.uid()
    }

    fn permissions(&self) -> u32 {
        self.mode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    impl Owned for (u32, u32) {
        fn owner(&self) -> u32 {
            self.0
        }

        fn permissions(&self) -> u32 {
            self.1
        }
    }

    #[test]
    fn only_a_link_that_root_alone_could_make_is_followed() {
        for (link, parent, own_uid, followed) in [
            ((0, 0o777), (0, 0o755), 64_000, true),
            ((0, 0o777), (0, 0o755), 0, false),
            ((64_000, 0o777), (0, 0o755), 64_000, false),
            ((0, 0o777), (64_000, 0o755), 64_000, false),
            ((0, 0o777), (0, 0o1777), 64_000, false),
            ((0, 0o777), (0, 0o775), 64_000, false),
        ] {
            assert_eq!(is_roots_alone(&link, &parent, own_uid), followed, "{link:?} {parent:?} {own_uid}");
        }
    }

    #[test]
    fn a_link_of_our_own_is_refused_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        follow(&real).unwrap();
        for ending in ["", "/", "/.", "/./"] {
            let spelled = PathBuf::from(format!("{}{ending}", link.display()));
            assert!(matches!(follow(&spelled).unwrap_err().fault, Fault::Symlink), "{ending}");
        }
        // A link on the way there is the operator's own affair.
        fs::create_dir(real.join("state")).unwrap();
        follow(&link.join("state")).unwrap();
        fs::write(real.join("file"), "").unwrap();
        assert!(matches!(follow(&real.join("file")).unwrap_err().fault, Fault::NotAFolder));
    }
}
