//! The pairs that people drop into `certificates.dir`, found by how tools name them: `claw.crt` with `claw.key`,
//! `claw.pem` with `claw-key.pem` (mkcert), `fullchain.pem` with `privkey.pem` (certbot), `tls.crt` with `tls.key`
//! (Kubernetes), in the folder itself and in those right below it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::FilePair;
use crate::base::limits::{DROPPED_PAIRS_MAX, FOLDER_ENTRIES_MAX};
use crate::base::private_file::{Fault, Owners, PrivateFileError, check_owner, check_unwritable};

/// Our own copy of the local CA's certificate lies there too.
pub const CA_COPY_FILE: &str = "local-ca.crt";

/// How a certificate's file may end, the best first.
const ENDINGS: [&str; 4] = ["crt", "pem", "cer", "cert"];

/// What a look through the folders has brought.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of their names.
    pub pairs: Vec<FilePair>,
    /// Folders of which nothing is taken.
    pub bad: Vec<BadFolder>,
}

/// A folder that cannot be read, or into which others could put something.
#[derive(Debug)]
pub struct BadFolder {
    /// What is wrong with it.
    pub fault: PrivateFileError,
    /// How many pairs there would be in it and below; none where it cannot be read.
    pub pairs: usize,
}

impl BadFolder {
    /// Whether it is anybody's loss: one without pairs may be for whatever else.
    pub fn costs_pairs(&self) -> bool {
        self.pairs > 0 || matches!(self.fault.fault, Fault::Io(_))
    }

    /// Whether `pair` lies in it or below: who can write to a folder can swap those below it.
    pub fn holds(&self, pair: &FilePair) -> bool {
        pair.key.starts_with(&self.fault.path)
    }
}

impl Found {
    /// Whether nothing that was seen of `pair`, or not seen, can be relied on.
    pub fn leaves_open(&self, pair: &FilePair) -> bool {
        self.bad.iter().any(|folder| folder.holds(pair))
    }

    /// Whether `pair`, which was seen before, is none any more for sure: a file of it is not there, or its key is another
    /// certificate's now. That it was not found is no proof: there may be more than a look takes.
    pub fn lets_go(&self, pair: &FilePair) -> bool {
        let is_swapped = || self.pairs.iter().any(|found| found.key == pair.key && found.cert != pair.cert);
        !self.leaves_open(pair) && (is_gone(&pair.cert) || is_gone(&pair.key) || is_swapped())
    }
}

/// Whether there is no such file for sure: one that cannot be looked at may well be there.
pub fn is_gone(path: &Path) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    fs::metadata(path).is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
}

/// The pairs in `folder` and in the folders right below it; none where it is absent. A bad folder costs what is in it.
pub fn find(folder: &Path) -> Found {
    let names = match names_in(folder) {
        Ok(names) => names,
        Err(_) if is_gone(folder) => return Found::default(),
        Err(cause) => return Found { pairs: Vec::new(), bad: vec![unreadable(folder, cause)] },
    };
    let (mut found, mut withheld) = (Found { pairs: pairs_of(folder, &names), bad: Vec::new() }, 0);
    for below in folders(folder, &names) {
        match names_in(&below).map(|names| pairs_of(&below, &names)) {
            Ok(pairs) => match check(&below) {
                Ok(()) => found.pairs.extend(pairs),
                Err(fault) => {
                    withheld += pairs.len();
                    found.bad.push(BadFolder { fault, pairs: pairs.len() });
                }
            },
            Err(_) if is_gone(&below) => {}
            Err(cause) => found.bad.push(unreadable(&below, cause)),
        }
    }
    if let Err(fault) = check(folder) {
        found.bad.insert(0, BadFolder { fault, pairs: found.pairs.len() + withheld });
        found.pairs.clear();
    }
    found.pairs.truncate(DROPPED_PAIRS_MAX);
    found
}

fn unreadable(folder: &Path, cause: io::Error) -> BadFolder {
    BadFolder { fault: PrivateFileError::new(folder, Fault::Io(cause)), pairs: 0 }
}

/// Where pairs may lie: `folder` and those right below it.
pub fn folders_of(folder: &Path) -> Vec<PathBuf> {
    let below = names_in(folder).map(|names| folders(folder, &names).collect()).unwrap_or_default();
    [vec![folder.to_owned()], below].concat()
}

fn check(folder: &Path) -> Result<(), PrivateFileError> {
    let judged = fs::metadata(folder).map_err(Fault::Io).and_then(|found| {
        check_owner(&found, Owners::UsOrRoot)?;
        check_unwritable(&found)
    });
    judged.map_err(|fault| PrivateFileError::new(folder, fault))
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
    use crate::certificates::files::FileError;

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
        let found: Vec<_> = find(folder).pairs.iter().map(|pair| (short(&pair.cert), short(&pair.key))).collect();
        let expected = [
            ("claw.crt", "claw.key"),
            ("mk.example+1.pem", "mk.example+1-key.pem"),
            ("live/fullchain.pem", "live/privkey.pem"),
            ("secret/tls.crt", "secret/tls.key"),
        ];
        assert_eq!(found, expected.map(|(cert, key)| (cert.to_owned(), key.to_owned())));
        assert_eq!(folders_of(folder).len(), 4, "itself, live, secret, deep");
        assert!(find(&folder.join("absent")).pairs.is_empty());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_looked_into() {
        let house = tempfile::tempdir().unwrap();
        for name in ["a.crt", "a.key"] {
            fs::write(house.path().join(name), "x").unwrap();
        }
        for mode in [0o777, 0o770, 0o1777] {
            fs::set_permissions(house.path(), fs::Permissions::from_mode(mode)).unwrap();
            let mut found = find(house.path());
            let bad = found.bad.pop().unwrap();
            assert!(found.pairs.is_empty() && found.bad.is_empty() && bad.costs_pairs(), "{found:?}");
            let error = FileError::Folder(bad.fault);
            assert!(error.hint().starts_with("chmod go-w "), "{}", error.hint());
            let words = error.to_string();
            assert!(words.contains("only its owner may write") && !words.contains("700"), "{words}");
        }
        fs::set_permissions(house.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let found = find(house.path());
        assert!(found.pairs.len() == 1 && found.bad.is_empty(), "{found:?}");
    }

    #[test]
    fn a_folder_of_somebody_elses_is_not_looked_into() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: only root gives a folder to somebody else");
            return;
        }
        let house = tempfile::tempdir().unwrap();
        for name in ["a.crt", "a.key"] {
            fs::write(house.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::chown(house.path(), Some(65_534), None).unwrap();
        let mut found = find(house.path());
        let error = FileError::Folder(found.bad.pop().unwrap().fault);
        assert!(found.pairs.is_empty(), "{found:?}");
        assert_eq!(error.hint(), format!("chown 0 {}", house.path().display()));
        assert!(error.to_string().contains("owner is uid 65534"), "{error}");
    }

    #[test]
    fn a_bad_folder_costs_its_own_pairs_and_no_others() {
        let house = tempfile::tempdir().unwrap();
        for below in ["", "bad", "empty", "good"] {
            fs::create_dir_all(house.path().join(below)).unwrap();
            for name in ["a.crt", "a.key"].iter().filter(|_| below != "empty") {
                fs::write(house.path().join(below).join(name), "x").unwrap();
            }
        }
        for below in ["bad", "empty"] {
            fs::set_permissions(house.path().join(below), fs::Permissions::from_mode(0o775)).unwrap();
        }
        let found = find(house.path());
        let keys: Vec<_> = found.pairs.iter().map(|pair| pair.key.clone()).collect();
        assert_eq!(keys, ["a.key", "good/a.key"].map(|key| house.path().join(key)));
        let costly: Vec<_> = found.bad.iter().filter(|bad| bad.costs_pairs()).map(|bad| &bad.fault.path).collect();
        assert_eq!(costly, [&house.path().join("bad")]);
    }

    #[test]
    fn a_flood_of_files_is_a_bounded_number_of_pairs() {
        let house = tempfile::tempdir().unwrap();
        for n in 0..DROPPED_PAIRS_MAX + 3 {
            fs::write(house.path().join(format!("{n}.crt")), "x").unwrap();
            fs::write(house.path().join(format!("{n}.key")), "x").unwrap();
        }
        assert_eq!(find(house.path()).pairs.len(), DROPPED_PAIRS_MAX);
    }
}
