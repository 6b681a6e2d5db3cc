//! Where things lie: which configuration is read, and which folder holds the state. The environment is read once,
//! by the command line, and comes here as a value.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::base::clock::Clock;
use crate::base::clock::UnixMillis;

use super::ConfigError;

/// The file that is read when it lies in the working folder and nothing else is named.
const FILE: &str = "doorward.toml";

/// What doorward reads of its environment. Empty variables count as not set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `$DOORWARD_CONFIG`.
    pub config: Option<OsString>,
    /// `$STATE_DIRECTORY`, systemd's word; the first of a list.
    pub state_directory: Option<OsString>,
    /// `$DOORWARD_STATE`.
    pub doorward_state: Option<OsString>,
    /// `$XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// `$HOME`.
    pub home: Option<OsString>,
    /// `$RUNTIME_DIRECTORY`, systemd's word; the first of a list.
    pub runtime_directory: Option<OsString>,
    /// `$DOORWARD_LOG`.
    pub log: Option<String>,
    /// The user it runs as, where that is known.
    pub uid: Option<u32>,
    /// The time it is read at.
    pub now: UnixMillis,
    /// The working folder.
    pub folder: PathBuf,
}

impl Environment {
    /// Reads this process's environment.
    ///
    /// # Errors
    /// When the working folder is gone.
    pub fn read() -> std::io::Result<Self> {
        Ok(Self {
            config: std::env::var_os("DOORWARD_CONFIG"),
            state_directory: std::env::var_os("STATE_DIRECTORY"),
            doorward_state: std::env::var_os("DOORWARD_STATE"),
            xdg_state_home: std::env::var_os("XDG_STATE_HOME"),
            home: std::env::var_os("HOME"),
            runtime_directory: std::env::var_os("RUNTIME_DIRECTORY"),
            log: std::env::var("DOORWARD_LOG").ok(),
            uid: Some(rustix::process::geteuid().as_raw()),
            now: Clock::system().now(),
            folder: std::env::current_dir()?,
        })
    }

    /// Whether it runs as root.
    pub fn is_root(&self) -> bool {
        self.uid == Some(0)
    }

    /// The configuration file to read: `named` by `--config`, else `$DOORWARD_CONFIG`, else `doorward.toml` in the
    /// working folder. `None` is the built-in local profile.
    pub fn config_file(&self, named: Option<&Path>) -> Option<PathBuf> {
        let by_variable = || given(self.config.as_ref()).map(PathBuf::from);
        let here = || Some(self.folder.join(FILE)).filter(|file| file.exists());
        named.map(Path::to_path_buf).or_else(by_variable).or_else(here).map(|file| self.folder.join(file))
    }

    /// The state folder when the configuration names none.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] when nothing says where it could be.
    pub fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        let named =
            first(self.state_directory.as_ref()).or_else(|| given(self.doorward_state.as_ref()).map(PathBuf::from));
        // XDG: "All paths set in these environment variables must be absolute", others are ignored.
        let absolute = |folder: &PathBuf| folder.is_absolute();
        let shared = || given(self.xdg_state_home.as_ref()).map(PathBuf::from).filter(absolute);
        let home = || given(self.home.as_ref()).map(|home| PathBuf::from(home).join(".local/state")).filter(absolute);
        named
            .map(|folder| self.folder.join(folder))
            .or_else(|| shared().or_else(home).map(|folder| folder.join("doorward")))
            .ok_or(ConfigError::NoHome)
    }

    /// The folder for the admin socket, if the service manager made one.
    pub fn runtime_dir(&self) -> Option<PathBuf> {
        first(self.runtime_directory.as_ref())
    }
}

fn given(variable: Option<&OsString>) -> Option<&OsString> {
    variable.filter(|value| !value.is_empty())
}

fn first(variable: Option<&OsString>) -> Option<PathBuf> {
    let first = given(variable)?.as_bytes().split(|byte| *byte == b':').find(|part| !part.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(first.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variable = |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| value.into());
        Environment {
            config: variable("DOORWARD_CONFIG"),
            state_directory: variable("STATE_DIRECTORY"),
            doorward_state: variable("DOORWARD_STATE"),
            xdg_state_home: variable("XDG_STATE_HOME"),
            home: variable("HOME"),
            runtime_directory: variable("RUNTIME_DIRECTORY"),
            log: None,
            uid: None,
            now: UnixMillis::default(),
            folder: "/srv".into(),
        }
    }

    #[test]
    fn the_state_folder_is_the_first_that_is_named() {
        for (variables, expected) in [
            (&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("DOORWARD_STATE", "/x")][..], "/var/lib/a"),
            (&[("STATE_DIRECTORY", ""), ("DOORWARD_STATE", "here"), ("HOME", "/h")], "/srv/here"),
            (&[("XDG_STATE_HOME", "/xdg"), ("HOME", "/h")], "/xdg/doorward"),
            (&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], "/h/.local/state/doorward"),
        ] {
            assert_eq!(environment(variables).state_dir().unwrap(), Path::new(expected), "{variables:?}");
        }
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "h")]] {
            assert!(matches!(environment(variables).state_dir(), Err(ConfigError::NoHome)), "{variables:?}");
        }
    }

    #[test]
    fn the_configuration_is_the_first_that_is_named() {
        let named = environment(&[("DOORWARD_CONFIG", "/etc/d.toml")]);
        assert_eq!(named.config_file(Some(Path::new("x.toml"))).unwrap(), Path::new("/srv/x.toml"));
        assert_eq!(named.config_file(None).unwrap(), Path::new("/etc/d.toml"));
        assert_eq!(environment(&[("DOORWARD_CONFIG", "")]).config_file(None), None);
        let folder = tempfile::tempdir().unwrap();
        let here = Environment { folder: folder.path().to_path_buf(), ..Environment::default() };
        assert_eq!(here.config_file(None), None);
        std::fs::write(folder.path().join(FILE), "").unwrap();
        assert_eq!(here.config_file(None).unwrap(), folder.path().join(FILE));
    }
}
