//! The pairs that people drop into `certificates.dir`, found by how tools name them: `claw.crt` with `claw.key`,
//! `claw.pem` with `claw-key.pem` (mkcert), `fullchain.pem` with `privkey.pem` (certbot), `tls.crt` with `tls.key`
//! (Kubernetes), in the folder itself and in those right below it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{FileError, FilePair};
use crate::base::limits::{DROPPED_PAIRS_MAX, FOLDER_ENTRIES_MAX};
use crate::base::private_file::{Fault, PrivateFileError, check_unwritable};

/// Our own copy of the local CA's certificate lies there too.
pub const CA_COPY_FILE: &str = "local-ca.crt";

/// How a certificate's file may end, the best first.
const ENDINGS: [&str; 4] = ["crt", "pem", "cer", "cert"];

/// The pairs in `folder` and in the folders right below it, in the order of their names; none where it is absent.
///
/// # Errors
/// [`FileError::Folder`] where others could put something there.
pub fn find(folder: &Path) -> Result<Vec<FilePair>, FileError> {
    let Ok(names) = names_in(folder) else { return Ok(Vec::new()) };
    let mut pairs = pairs_of(folder, &names);
    for below in folders(folder, &names) {
        let found = names_in(&below).map(|names| pairs_of(&below, &names)).unwrap_or_default();
        if !found.is_empty() {
            check(&below)?;
        }
        pairs.extend(found);
    }
    if !pairs.is_empty() {
        check(folder)?;
    }
    pairs.truncate(DROPPED_PAIRS_MAX);
    Ok(pairs)
}

/// Where pairs may lie: `folder` and those right below it.
pub fn folders_of(folder: &Path) -> Vec<PathBuf> {
    let below = names_in(folder).map(|names| folders(folder, &names).collect()).unwrap_or_default();
    [vec![folder.to_owned()], below].concat()
}

fn check(folder: &Path) -> Result<(), FileError> {
    let judged = fs::metadata(folder).map_err(Fault::Io).and_then(|found| check_unwritable(&found));
    judged.map_err(|fault| FileError::Folder(PrivateFileError::new(folder, fault)))
}

fn folders<'a>(folder: &'a Path, names: &'a BTreeSet<String>) -> impl Iterator<Item = PathBuf> + 'a {
    names.iter().map(|name| folder.join(name)).filter(|path| path.is_dir())
}

/// A bounded number of names, those that are hidden or no text left out: `..data` is how Kubernetes swaps what it mounts.
fn names_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder)?.take(FOLDER_ENTRIES_MAX).filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.') && name != CA_COPY_FILE).collect())
}

fn pairs_of(folder: &Path, names: &BTreeSet<String>) -> Vec<FilePair> {
    let mut pairs = Vec::new();
    for key in names {
        let cert = match key.as_str() {
            "privkey.pem" => first(names, ["fullchain.pem".to_owned(), "cert.pem".to_owned()]),
            "key.pem" => first(names, ["cert.pem".to_owned(), "fullchain.pem".to_owned()]),
            _ => match (key.strip_suffix(".key"), key.strip_suffix("-key.pem")) {
                (Some(stem), _) => first(names, ENDINGS.map(|ending| format!("{stem}.{ending}"))),
                (None, Some(stem)) => first(names, [format!("{stem}.pem")]),
                (None, None) => None,
            },
        };
        pairs.extend(cert.map(|cert| FilePair { cert: folder.join(cert), key: folder.join(key) }));
    }
    pairs
}

fn first<const N: usize>(names: &BTreeSet<String>, wanted: [String; N]) -> Option<String> {
    wanted.into_iter().find(|name| names.contains(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn pairs_are_found_as_tools_name_them() {
        let house = tempfile::tempdir().unwrap();
        let folder = house.path();
        for name in [
            "claw.crt",
            "claw.pem",
            "claw.key",
            "mk.example+1.pem",
            "mk.example+1-key.pem",
            "alone.crt",
            "lonely.key",
            "local-ca.crt",
            "local-ca.key",
            ".hidden.crt",
            ".hidden.key",
        ] {
            fs::write(folder.join(name), "x").unwrap();
        }
        for (below, names) in [
            ("live", ["fullchain.pem", "privkey.pem", "cert.pem", "chain.pem"].as_slice()),
            ("secret", &["tls.crt", "tls.key", "ca.crt"]),
            ("..data", &["tls.crt", "tls.key"]),
            ("deep/er", &["tls.crt", "tls.key"]),
        ] {
            fs::create_dir_all(folder.join(below)).unwrap();
            for name in names {
                fs::write(folder.join(below).join(name), "x").unwrap();
            }
        }
        let short = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        let found: Vec<_> = find(folder).unwrap().iter().map(|pair| (short(&pair.cert), short(&pair.key))).collect();
        let expected = [
            ("claw.crt", "claw.key"),
            ("mk.example+1.pem", "mk.example+1-key.pem"),
            ("live/fullchain.pem", "live/privkey.pem"),
            ("secret/tls.crt", "secret/tls.key"),
        ];
        assert_eq!(found, expected.map(|(cert, key)| (cert.to_owned(), key.to_owned())));
        assert_eq!(folders_of(folder).len(), 4, "itself, live, secret, deep");
        assert!(find(&folder.join("absent")).unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_looked_into() {
        let house = tempfile::tempdir().unwrap();
        for name in ["a.crt", "a.key"] {
            fs::write(house.path().join(name), "x").unwrap();
        }
        for mode in [0o777, 0o770, 0o1777] {
            fs::set_permissions(house.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = find(house.path()).unwrap_err();
            assert!(matches!(error, FileError::Folder(_)), "{error}");
            assert!(error.hint().starts_with("chmod "), "{}", error.hint());
        }
        fs::set_permissions(house.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(house.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_flood_of_files_is_a_bounded_number_of_pairs() {
        let house = tempfile::tempdir().unwrap();
        for n in 0..DROPPED_PAIRS_MAX + 3 {
            fs::write(house.path().join(format!("{n}.crt")), "x").unwrap();
            fs::write(house.path().join(format!("{n}.key")), "x").unwrap();
        }
        assert_eq!(find(house.path()).unwrap().len(), DROPPED_PAIRS_MAX);
    }
}
