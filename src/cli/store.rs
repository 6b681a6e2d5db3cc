//! `doorward store`: whether the state is whole, a copy of it, and the way back to a copy.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::admin::client::CallError;
use crate::admin::request::Request;
use crate::base::clock::Clock;
use crate::config::Config;
use crate::store::{FILE_NAME, Store, StoreError};

use super::failure::Failure;
use super::instance::{Instance, lock};
use super::{Context, Form, print, print_json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look whether every record is what doorward wrote; changes nothing.
    Check,
    /// Copy the store, whole and verified, into `backups/` of the state folder or to FILE.
    Backup {
        /// A file that is not there yet.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Put a backup in the place of the store, without what was taken back since. Only while no doorward runs.
    Restore {
        /// The backup.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do it; without this, only tell what it would do.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn store(command: &Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Check => check(&Instance::find(context)?, context),
        Command::Backup { file } => backup(file.as_deref(), &Instance::find(context)?, context),
        Command::Restore { file, yes: true } => {
            let config = context.config()?;
            let _lock = lock(&config)?;
            let path = config.state_dir.join(FILE_NAME);
            let done = wait(async { Store::restore(&path, file, &Clock::system()).await })?;
            tell(&json!({ "restored": true, "plan": done }), context)
        }
        Command::Restore { file, yes: false } => {
            let config = context.config()?;
            let _lock = lock(&config)?;
            let path = config.state_dir.join(FILE_NAME);
            let plan = wait(async { Store::plan_restore(&path, file, &Clock::system()).await })?;
            tell(&json!({ "restored": false, "plan": plan }), context)?;
            Err(Failure::failed("nothing was changed", "read what would change, and repeat it with --yes"))
        }
    }
}

fn check(instance: &Instance, context: &Context) -> Result<(), Failure> {
    let faults = match instance.call(&Request::CheckStore) {
        Err(CallError::NotRunning { .. }) => {
            let config = instance.config()?;
            let _lock = lock(config)?;
            let faults = wait(async { Ok(Store::faults_of(&stored(config)?).await) })?;
            json!({ "faults": faults.iter().map(|fault| json!({"error": fault.to_string(), "hint": fault.hint()})).collect::<Vec<_>>() })
        }
        answer => answer?,
    };
    let list = faults.get("faults").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match context.form {
        Form::Json => print_json(&json!({ "whole": list.is_empty(), "faults": list }))?,
        Form::Text if list.is_empty() => print("ok: every record is what doorward wrote\n")?,
        Form::Text => {
            let text = |fault: &Value, name: &str| fault.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            let told = list.iter().fold(String::new(), |mut told, fault| {
                let _ = writeln!(told, "{}\nhint: {}", text(fault, "error"), text(fault, "hint"));
                told
            });
            print(&told)?;
        }
    }
    if list.is_empty() { Ok(()) } else { Err(Failure::told()) }
}

fn backup(file: Option<&Path>, instance: &Instance, context: &Context) -> Result<(), Failure> {
    // The instance has another working folder.
    let to = file.map(|file| context.environment.folder.join(file));
    let made = match instance.call(&Request::BackupStore { to: to.clone() }) {
        Err(CallError::NotRunning { .. }) => {
            let config = instance.config()?;
            let _lock = lock(config)?;
            let made = wait(async { Store::open(&stored(config)?).await?.backup(to.as_deref()).await })?;
            json!({ "backup": made })
        }
        answer => answer?,
    };
    match context.form {
        Form::Json => print_json(&made),
        Form::Text => print(&format!("{}\n", made.get("backup").and_then(Value::as_str).unwrap_or("-"))),
    }
}

fn tell(answer: &Value, context: &Context) -> Result<(), Failure> {
    if context.form == Form::Json {
        return print_json(answer);
    }
    let list = |name: &str| answer.pointer(&format!("/plan/{name}")).and_then(Value::as_array).cloned();
    let mut told = String::new();
    let mut lines = |title: &str, name: &str| {
        let Some(devices) = list(name) else {
            let _ = writeln!(told, "{title}: nobody can say, the store of now cannot be read");
            return;
        };
        let _ = writeln!(told, "{title}: {}", devices.len());
        for device in devices.iter().filter_map(Value::as_str) {
            let _ = writeln!(told, "  {device}");
        }
    };
    lines("paired afterwards", "paired");
    lines("come back", "comeBack");
    lines("get lost", "getLost");
    lines("stay out, something was taken from them since the backup", "stayOut");
    if answer.get("restored") == Some(&Value::Bool(true)) {
        told.push_str("The backup is the store now; the store of before is in backups/.\n");
    }
    print(&told)
}

/// The store, if there is one: none of these commands makes it.
fn stored(config: &Config) -> Result<PathBuf, StoreError> {
    let path = config.state_dir.join(FILE_NAME);
    if path.exists() { Ok(path) } else { Err(StoreError::Absent { path }) }
}

/// Waits for what the store does on a runtime of its own.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::failed(error, "see the limits of threads and open files (ulimit -a)"))?;
    runtime.block_on(work).map_err(|error| Failure::failed(&error, error.hint()))
}
