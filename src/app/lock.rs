//! One state folder, one instance. The kernel holds the lock, so that a crash frees it; the file says who has it and
//! where its admin socket is.

use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, OFlags, access, openat};
use rustix::io::Errno;
use thiserror::Error;

use crate::base::limits::LOCK_FILE_BYTES_MAX;
use crate::base::owner_command::quoted;
use crate::base::private_file::{self, Fault, Link, Owners, PrivateFileError, STICKY};
use crate::store;

/// The file name of the lock.
const FILE: &str = "lock";

/// The state folder, ours alone until this is dropped.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Who has, or had, the lock.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holder {
    /// Its process id.
    pub pid: Option<u32>,
    /// Its admin socket.
    pub socket: Option<PathBuf>,
}

impl StateLock {
    /// Makes the folder if need be (0700) and takes its lock.
    ///
    /// # Errors
    /// [`LockError`]; [`LockError::Held`] names the holder.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        make_private(state_dir)?;
        let path = state_dir.join(FILE);
        let failed = |cause| LockError::Unusable { path: path.clone(), cause };
        let file = open(&path, OFlags::CREATE)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { state_dir: state_dir.to_path_buf(), holder: read(&file) });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let lock = Self { file };
        lock.write(None).map_err(failed)?;
        Ok(lock)
    }

    /// Tells commands where the admin socket is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, socket: &Path) -> io::Result<()> {
        self.write(Some(socket))
    }

    fn write(&self, socket: Option<&Path>) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        if let Some(socket) = socket {
            writeln!(file, "{}", socket.display())?;
        }
        file.flush()
    }
}

/// Whether an instance runs on a state folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occupancy {
    /// None does.
    Free,
    /// One does.
    Held,
}

/// Says what [`StateLock::take`] would refuse, but for a running instance, and makes nothing.
///
/// # Errors
/// As [`StateLock::take`].
pub fn judge(state_dir: &Path) -> Result<Occupancy, LockError> {
    let unusable = |path: &Path, cause| LockError::Unusable { path: path.to_path_buf(), cause };
    match fs::symlink_metadata(state_dir) {
        Ok(_) => check_private(state_dir)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It would be made, in the nearest folder that is there.
            let parent = state_dir.ancestors().skip(1).find(|folder| folder.exists());
            let parent = parent.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let may_make = access(parent, Access::WRITE_OK | Access::EXEC_OK);
            return may_make.map(|()| Occupancy::Free).map_err(|cause| unusable(parent, cause.into()));
        }
        Err(cause) => return Err(unusable(state_dir, cause)),
    }
    let path = state_dir.join(FILE);
    match open(&path, OFlags::empty()) {
        // Shared, so that two judgements at once do not take each other for an instance.
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(Occupancy::Free),
            Err(TryLockError::WouldBlock) => Ok(Occupancy::Held),
            Err(TryLockError::Error(cause)) => Err(unusable(&path, cause)),
        },
        Err(LockError::Unusable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(Occupancy::Free),
        Err(error) => Err(error),
    }
}

/// Not through a link, which could lead to somebody else's file: what is opened here is written over.
fn open(path: &Path, more: OFlags) -> Result<File, LockError> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | more;
    let failed = |cause| LockError::Unusable { path: path.to_path_buf(), cause };
    let file: File = match openat(CWD, path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file.into(),
        Err(Errno::LOOP) => return Err(PrivateFileError::new(path, Fault::Symlink).into()),
        Err(cause) => return Err(failed(cause.into())),
    };
    let metadata = file.metadata().map_err(failed)?;
    private_file::check_file(&metadata).map_err(|fault| PrivateFileError::new(path, fault))?;
    Ok(file)
}

/// Who holds the lock of `state_dir`, as its file says; also true of one that is gone.
pub fn holder(state_dir: &Path) -> Holder {
    private_file::open(&state_dir.join(FILE), Link::Refused).map(|file| read(&file)).unwrap_or_default()
}

fn read(mut file: &File) -> Holder {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(LOCK_FILE_BYTES_MAX).read_to_string(&mut text));
    if read.is_err() {
        return Holder::default();
    }
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok());
    Holder { pid, socket: lines.next().map(PathBuf::from) }
}

/// Makes `folder` and its parents, or checks that nobody else can look into it.
fn make_private(folder: &Path) -> Result<(), LockError> {
    let failed = |cause| LockError::Unusable { path: folder.to_path_buf(), cause };
    if fs::symlink_metadata(folder).is_err() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    check_private(folder)
}

/// Checks that `folder` is ours and that nobody else can look into it.
fn check_private(folder: &Path) -> Result<(), LockError> {
    let path = folder.to_path_buf();
    let found = private_file::follow(folder).map_err(|error| match (&error.fault, fs::canonicalize(folder)) {
        (Fault::Symlink, target) => LockError::Link { path: error.path, target: target.ok() },
        _ => error.into(),
    })?;
    private_file::check_owner(&found, Owners::Us).and_then(|()| private_file::check_closed(&found)).map_err(|fault| {
        match fault {
            Fault::Owner { .. } | Fault::Mode { .. } if is_shared(&path, &found) => LockError::Shared { path },
            Fault::Owner { found, wanted } => LockError::Foreign { path, owner: found, own: wanted },
            Fault::Mode { found, .. } => LockError::Open { path, mode: found },
            other => LockError::Unusable { path, cause: io::Error::other(other) },
        }
    })
}

/// Whether a folder is more than a state folder, so that nobody must be told to close it or give it away: `/tmp`, or one
/// that holds other things.
fn is_shared(folder: &Path, metadata: &Metadata) -> bool {
    let is_sticky = metadata.mode() & STICKY != 0;
    let is_state = || folder.join(FILE).exists() || folder.join(store::FILE_NAME).exists();
    // What cannot be looked into may hold anything.
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    is_sticky || !(is_state() || is_empty())
}

/// Why the state folder is not ours.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another user owns the folder.
    #[error("the state folder belongs to user {owner}, and this is user {own}: {}", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Us.
        own: u32,
    },
    /// Another instance runs on it.
    #[error("another doorward{} runs on this state folder: {}", by(holder), state_dir.display())]
    Held {
        /// The folder.
        state_dir: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// Somebody could point it elsewhere.
    #[error("the state folder is a symbolic link: {}", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads, if anywhere.
        target: Option<PathBuf>,
    },
    /// Others can look into the folder.
    #[error("other users can look into the state folder (mode {mode:o}): {}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no folder for state alone, and others can look into it or own it.
    #[error("the state folder is shared with others or holds other things: {}", path.display())]
    Shared {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("the state folder cannot be used ({cause}): {}", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Something else is where a folder or file of ours belongs.
    #[error("the state folder cannot be used: {0}")]
    Wrong(#[from] PrivateFileError),
}

impl LockError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Foreign { path, owner, .. } => {
                format!(
                    "run doorward as user {owner}, or give it the folder: chown -R \"$(id -u)\" {}",
                    quoted(&path.display().to_string())
                )
            }
            Self::Held { holder, .. } => match holder.pid {
                Some(pid) => format!(
                    "`doorward status` asks it; `kill {pid}` ends it; a second instance needs its own `state_dir` and ports"
                ),
                None => "`doorward status` asks it; a second instance needs its own `state_dir` and ports".into(),
            },
            Self::Link { target: Some(target), .. } => {
                format!("name the folder itself: `state_dir` or $DOORWARD_STATE = {}", target.display())
            }
            Self::Link { path, target: None } => {
                format!("it leads nowhere: remove {}, or name the folder itself", path.display())
            }
            Self::Open { path, .. } => format!("chmod 700 {}", quoted(&path.display().to_string())),
            Self::Wrong(error) => error.hint(),
            Self::Shared { path } => format!(
                "name a folder of doorward's own by `state_dir` or $DOORWARD_STATE, for example {}",
                path.join("doorward").display()
            ),
            Self::Unusable { .. } => {
                "make it writable for this user, or name another folder: `state_dir` or $DOORWARD_STATE".into()
            }
        }
    }
}

fn by(holder: &Holder) -> String {
    holder.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_second_instance_learns_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        assert_eq!(judge(&state).unwrap(), Occupancy::Free);
        assert!(!state.exists(), "a judgement makes nothing");
        let lock = StateLock::take(&state).unwrap();
        assert_eq!(judge(&state).unwrap(), Occupancy::Held);
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        lock.announce(Path::new("/run/x/admin.sock")).unwrap();
        let error = StateLock::take(&state).unwrap_err();
        let expected = Holder { pid: Some(std::process::id()), socket: Some("/run/x/admin.sock".into()) };
        assert!(matches!(&error, LockError::Held { holder, .. } if *holder == expected), "{error}");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())));
        assert!(error.hint().contains(&format!("kill {}", std::process::id())));
        assert_eq!(holder(&state), expected);
        drop(lock);
        assert_eq!(judge(&state).unwrap(), Occupancy::Free);
        StateLock::take(&state).unwrap();
        assert_eq!(holder(&state).socket, None);
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = StateLock::take(folder.path()).unwrap_err();
        assert!(matches!(error, LockError::Open { mode: 0o755, .. }), "{error}");
        assert!(error.hint().starts_with("chmod 700 "));
        assert_eq!(judge(folder.path()).unwrap_err().to_string(), error.to_string());
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn nobody_is_told_to_close_or_give_away_a_folder_that_others_use() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, mixed, ours) = (folder.path().join("tmp"), folder.path().join("srv"), folder.path().join("state"));
        for (path, mode) in [(&shared, 0o1777), (&mixed, 0o755), (&ours, 0o755)] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::write(mixed.join("somebody's"), "").unwrap();
        fs::write(ours.join(store::FILE_NAME), "").unwrap();
        for path in [&shared, &mixed] {
            let error = StateLock::take(path).unwrap_err();
            assert!(matches!(error, LockError::Shared { .. }), "{error}");
            let hint = error.hint();
            assert!(!hint.contains("chmod") && !hint.contains("chown"), "{hint}");
            assert!(hint.contains("`state_dir`") && hint.ends_with("/doorward"), "{hint}");
        }
        assert!(matches!(StateLock::take(&ours), Err(LockError::Open { mode: 0o755, .. })));
    }

    #[test]
    fn a_file_or_a_link_in_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let refused = |state: &Path| {
            let (taken, judged) = (StateLock::take(state).unwrap_err(), judge(state).unwrap_err());
            assert_eq!(taken.to_string(), judged.to_string());
            taken
        };
        let fault = |state: &Path| match refused(state) {
            LockError::Wrong(error) => error.fault,
            other => panic!("{other}"),
        };
        assert!(matches!(fault(&file), Fault::NotAFolder));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let lock = folder.path().join(FILE);
        symlink(&file, &lock).unwrap();
        assert!(matches!(fault(folder.path()), Fault::Symlink));
        fs::remove_file(&lock).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&file, &lock).unwrap();
        assert!(matches!(fault(folder.path()), Fault::HardLink));
        assert_eq!(fs::read_to_string(&file).unwrap(), "x", "what it leads to is not written over");
        fs::remove_file(&lock).unwrap();
        rustix::fs::mknodat(CWD, &lock, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(matches!(fault(folder.path()), Fault::NotAFile));
        assert_eq!(holder(folder.path()), Holder::default(), "nobody waits for a pipe");
        fs::remove_file(&lock).unwrap();
        fs::write(&lock, "").unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(fault(folder.path()), Fault::Mode { found: 0o666, .. }));
    }

    #[test]
    fn a_state_folder_that_is_a_link_is_refused_and_its_target_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        DirBuilder::new().mode(0o700).create(&real).unwrap();
        symlink(&real, &link).unwrap();
        for refused in [judge(&link).unwrap_err(), StateLock::take(&link).unwrap_err()] {
            assert!(matches!(&refused, LockError::Link { path, .. } if *path == link), "{refused}");
            let real = fs::canonicalize(&real).unwrap();
            assert!(refused.hint().ends_with(&format!("$DOORWARD_STATE = {}", real.display())), "{}", refused.hint());
        }
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
        fs::remove_dir(&real).unwrap();
        assert!(matches!(StateLock::take(&link), Err(LockError::Link { target: None, .. })));
        assert!(!real.exists());
        // Links on the way there are followed, as in /var/run.
        fs::create_dir(&real).unwrap();
        StateLock::take(&link.join("state")).unwrap();
        assert!(real.join("state").join(FILE).exists());
    }
}
