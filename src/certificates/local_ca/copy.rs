//! A copy of the local CA's certificate where people look for it, in `certificates.dir`. Nothing rests on it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

use super::authority::Authority;
use crate::certificates::files::dropped::CA_COPY_FILE;

/// Everybody may read it, and only its owner replaces it.
const CA_COPY_MODE: u32 = 0o644;
/// Everybody may look into the folder that is made for it.
const OPEN_FOLDER_MODE: u32 = 0o755;

/// Puts the CA's certificate where people find it; nothing rests on that.
pub(in crate::certificates) fn publish_or_warn(dir: &Path, authority: &Authority) {
    if let Err(error) = publish(dir, authority.pem()) {
        let file = dir.join(CA_COPY_FILE);
        warn!(file = %file.display(), %error, "the local ca's certificate is not where devices are to get it");
    }
}

/// Puts the CA's certificate where people find it, readable by every account whatever the umask says: it is no secret.
fn publish(folder: &Path, pem: &str) -> io::Result<()> {
    make_open_folder(folder)?;
    let path = folder.join(CA_COPY_FILE);
    if fs::read_to_string(&path).is_ok_and(|text| text == pem) {
        return let_all_read(&path);
    }
    // Written beside and renamed, so that a link in its place is replaced and never written through.
    let beside = folder.join(format!("{CA_COPY_FILE}.new"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).open(&beside)?;
    file.write_all(pem.as_bytes())?;
    file.set_permissions(Permissions::from_mode(CA_COPY_MODE))?;
    fs::rename(&beside, &path)
}

/// Makes `folder` and those above it that are not there; what is there stays as it is.
fn make_open_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_open_folder(above)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(OPEN_FOLDER_MODE))
}

/// Mends the mode of a copy that was made private; somebody else's file is theirs.
fn let_all_read(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_file() && own && found.mode() & CA_COPY_MODE != CA_COPY_MODE {
        fs::set_permissions(path, Permissions::from_mode(CA_COPY_MODE))?;
    }
    Ok(())
}
