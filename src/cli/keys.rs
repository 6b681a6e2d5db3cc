//! `doorward keys`: the keys that sign assertions, in the running instance or, where none runs, in the state folder.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::admin::client::CallError;
use crate::admin::keys::describe;
use crate::admin::request::Request;
use crate::base::clock::Clock;
use crate::store::keys::signing::{Replaced, SigningKeys, SigningKeysError};

use super::audit;
use super::failure::Failure;
use super::instance::{Instance, lock};
use super::{Context, Form, print, print_json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the keys that verify now, the one that signs first.
    List,
    /// Sign with a new key; the one before verifies for another hour, so nothing that is under way is refused.
    Rotate {
        /// Others have seen the key: believe nothing more that it, or any key before it, signed.
        #[arg(long)]
        compromised: bool,
    },
}

pub(super) fn keys(command: &Command, context: &Context) -> Result<(), Failure> {
    let instance = Instance::find(context)?;
    let keys = match command {
        Command::List => list(&instance)?,
        Command::Rotate { compromised: true } => rotate(Replaced::Compromised, &instance)?,
        Command::Rotate { compromised: false } => rotate(Replaced::Overlaps, &instance)?,
    };
    match context.form {
        Form::Json => print_json(&keys),
        Form::Text => print(&shown(&keys)),
    }
}

fn list(instance: &Instance) -> Result<Value, Failure> {
    match instance.call(&Request::Keys) {
        Err(CallError::NotRunning { .. }) => {
            let keys = SigningKeys::find(&instance.config()?.state_dir).map_err(failed)?;
            Ok(describe(&keys.map(|keys| keys.list()).unwrap_or_default()))
        }
        answer => Ok(answer?),
    }
}

fn rotate(replaced: Replaced, instance: &Instance) -> Result<Value, Failure> {
    match instance.call(&Request::RotateKeys { replaced }) {
        // Nobody runs, and the lock sees to it that nobody starts meanwhile.
        Err(CallError::NotRunning { .. }) => {
            let config = instance.config()?;
            let _lock = lock(config)?;
            audit::record(config, "keys.rotate", json!({"replaced": replaced}))?;
            let now = Clock::system().now();
            let mut keys = SigningKeys::open(&config.state_dir, now).map_err(failed)?;
            keys.rotate(replaced, now).map_err(failed)?;
            Ok(describe(&keys.list()))
        }
        answer => Ok(answer?),
    }
}

fn failed(error: SigningKeysError) -> Failure {
    Failure::failed(&error, error.hint())
}

fn shown(keys: &Value) -> String {
    let keys = keys.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let line = |key: &Value| {
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        format!("{}  {}\n", text("kid"), text("state"))
    };
    if keys.is_empty() {
        "there is no key yet: the first `doorward run` makes one\n".to_owned()
    } else {
        keys.iter().map(line).collect()
    }
}
