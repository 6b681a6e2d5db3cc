//! The instance that a command is about: that of its configuration, found also where the file went wrong since.
//!
//! Invariant: no command acts on an instance that its caller did not mean. A valid file says where its instance is. What can
//! still be read of another one is only a guess at that, so whoever answers there must say that it was started with this
//! very file; with two instances and a spoiled line the owner of one would otherwise approve a device at the other.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fs, iter};

use serde_json::Value;

use crate::admin::client;
use crate::admin::client::CallError;
use crate::admin::request::{Request, SOCKET};
use crate::app::lock::{self, LockError, StateLock};
use crate::base::owner_command::OwnerCommand;
use crate::base::secret::Secret;
use crate::config::{Config, ConfigError};
use crate::store::keys::token::TokenSource;

use super::Context;
use super::failure::Failure;

/// The instance of a configuration.
#[derive(Debug)]
pub(super) struct Instance {
    /// Where its admin socket is, or may be.
    places: Vec<PathBuf>,
    file: Option<PathBuf>,
    pub(super) state_dir: PathBuf,
    token: TokenSource,
    /// What is wrong with the file, if the instance runs all the same.
    config: Result<Box<Config>, Failure>,
}

impl Instance {
    /// The instance of this configuration, whether it runs or not; of a file that went wrong since, the one that runs with it.
    /// That is said in one line.
    ///
    /// # Errors
    /// What is wrong with the file, where no instance says that it runs with it.
    pub(super) fn find(context: &Context) -> Result<Self, Failure> {
        let instance = Self::find_untold(context)?;
        if let Err(fault) = &instance.config {
            let _ = writeln!(
                io::stderr(),
                "warning: {}; the running doorward goes by what it read before (doorward check tells all)",
                fault.first_line()
            );
        }
        Ok(instance)
    }

    /// As [`Instance::find`], for those whose own answer tells what became of the file.
    ///
    /// # Errors
    /// As [`Instance::find`].
    pub(super) fn find_untold(context: &Context) -> Result<Self, Failure> {
        match Config::load(context.named.as_deref(), &context.environment) {
            Ok(config) => Ok(Self::of(config, context)),
            Err(fault) => Self::running(fault, context),
        }
    }

    /// The instance of a valid configuration.
    pub(super) fn of(config: Config, context: &Context) -> Self {
        Self {
            places: places(&config.state_dir, context),
            file: config.file.clone(),
            state_dir: config.state_dir.clone(),
            token: config.core.token(&config.state_dir),
            config: Ok(Box::new(config)),
        }
    }

    /// The instance that says that it runs with this file.
    fn running(fault: ConfigError, context: &Context) -> Result<Self, Failure> {
        let fault = Failure::from(fault);
        let Some(file) = context.environment.config_file(context.named.as_deref()) else { return Err(fault) };
        let states = Config::possible_states(&file, &context.environment);
        let mut tried: Vec<PathBuf> = states.iter().flat_map(|state_dir| places(state_dir, context)).collect();
        tried.dedup();
        let mut others = Vec::new();
        for place in tried {
            match client::call(std::slice::from_ref(&place), &Request::Status) {
                Ok(status) => {
                    let path = |key: &str| status.get(key).and_then(Value::as_str).map(PathBuf::from);
                    let theirs = path("config");
                    if let (Some(theirs), Some(state_dir), Some(token)) = (&theirs, path("stateDir"), path("tokenFile"))
                        && is_same(theirs, &file)
                    {
                        // It is there, for the instance reads it; who makes it where it is not is nobody's concern here.
                        let token = TokenSource::Operator(token);
                        return Ok(Self {
                            places: vec![place],
                            file: Some(file),
                            state_dir,
                            token,
                            config: Err(fault),
                        });
                    }
                    let theirs =
                        theirs.map_or_else(|| "without a file".to_owned(), |file| format!("with {}", file.display()));
                    others.push(format!("the doorward that answers at {} was started {theirs}", place.display()));
                }
                Err(CallError::NotRunning { .. }) => {}
                Err(error) => others.push(error.to_string()),
            }
        }
        Err(fault.and(others))
    }

    /// Asks it, with the error of the call itself.
    ///
    /// # Errors
    /// [`CallError`].
    pub(super) fn call(&self, request: &Request) -> Result<Value, CallError> {
        client::call(&self.places, request)
    }

    /// Asks it.
    ///
    /// # Errors
    /// What to tell the owner.
    pub(super) fn ask(&self, request: &Request) -> Result<Value, Failure> {
        Ok(self.call(request)?)
    }

    /// Its configuration, for what is done where it does not run.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn config(&self) -> Result<&Config, Failure> {
        self.config.as_deref().map_err(Clone::clone)
    }

    /// The commands that reach it.
    pub(super) fn owner_command(&self) -> OwnerCommand {
        OwnerCommand::new(self.file.as_deref())
    }

    /// The gateway token as it stands in its file. None is made here: the first start does that.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) fn token(&self) -> Result<Secret<String>, Failure> {
        let source = &self.token;
        if matches!(source, TokenSource::State(_)) && !source.path().exists() {
            let message = format!("there is no gateway token yet: {}", source.path().display());
            return Err(Failure::failed(message, "the first `doorward run` makes one"));
        }
        source.read().map_err(|error| Failure::failed(&error, error.hint()))
    }
}

/// The state of an instance that does not run, and that nobody starts meanwhile.
///
/// # Errors
/// Whose it is, with what to do.
pub(super) fn lock(config: &Config) -> Result<StateLock, Failure> {
    StateLock::take(&config.state_dir).map_err(|error| {
        let hint = match &error {
            LockError::Held { holder, .. } => {
                let kill = holder.pid.map(|pid| format!(" (`kill {pid}`, or by what started it)")).unwrap_or_default();
                format!("this is done while doorward does not run: stop it{kill}, repeat this, and start it again")
            }
            _ => error.hint(),
        };
        Failure::failed(&error, hint)
    })
}

/// Where the admin socket of a state folder may be.
fn places(state_dir: &Path, context: &Context) -> Vec<PathBuf> {
    // The lock says where a service manager's runtime folder is, which a shell does not know.
    let announced = lock::holder(state_dir).socket;
    let folders = context.environment.runtime_dir().into_iter().chain(iter::once(state_dir.to_path_buf()));
    let mut places: Vec<_> = announced.into_iter().chain(folders.map(|folder| folder.join(SOCKET))).collect();
    places.dedup();
    places
}

/// Whether both are the same file's name, which may be that of a file that is gone.
fn is_same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| {
        fs::canonicalize(path).ok().or_else(|| Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?)))
    };
    one == other || resolved(one).is_some_and(|one| resolved(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_known_by_any_of_its_names_also_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let (file, by_link) = (real.join("d.toml"), link.join("d.toml"));
        for _ in 0..2 {
            assert!(is_same(&file, &by_link) && is_same(&file, &real.join("../real/d.toml")));
            assert!(!is_same(&file, &real.join("other.toml")) && !is_same(&file, &folder.path().join("d.toml")));
            fs::write(&file, "").unwrap();
        }
        assert!(is_same(Path::new("/none/d.toml"), Path::new("/none/d.toml")));
        assert!(!is_same(Path::new("/none/d.toml"), Path::new("/none/e.toml")));
    }
}
