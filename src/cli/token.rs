//! `doorward token`: the owner's secret, on request, alone on standard output so that scripts can take it.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::admin::client::CallError;
use crate::admin::request::Request;

use super::audit;
use super::failure::Failure;
use super::instance::{Instance, lock};
use super::{Context, Form, print, print_json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the gateway token.
    Show,
    /// Replace the gateway token: what was issued under the old one is void; devices stay paired and sign in with it once.
    Rotate,
}

pub(super) fn token(command: &Command, context: &Context) -> Result<(), Failure> {
    let instance = Instance::find(context)?;
    match command {
        Command::Show => {
            let token = instance.token()?;
            match context.form {
                Form::Json => print_json(&json!({"token": token.expose()})),
                Form::Text => print(&format!("{}\n", token.expose())),
            }
        }
        Command::Rotate => {
            rotate(&instance)?;
            match context.form {
                Form::Json => print_json(&json!({"rotated": true})),
                Form::Text => print(&format!(
                    "The gateway token is a new one: {}\nWhoever signed in with the old one, or with what was handed out \
                     under it, must sign in again with this one: each paired device once (it stays paired), and every \
                     script that has the old token. An invite or setup code that was open is void.\n",
                    instance.owner_command().with("token show")
                )),
            }
        }
    }
}

fn rotate(instance: &Instance) -> Result<(), Failure> {
    match instance.call(&Request::RotateToken) {
        // Nobody runs, and the lock sees to it that nobody starts meanwhile.
        Err(CallError::NotRunning { .. }) => {
            let config = instance.config()?;
            let _lock = lock(config)?;
            audit::record(config, "token.rotate", Value::Null)?;
            audit::end_invite(config, "token.rotate")?;
            let source = config.core.token(&config.state_dir);
            source.rotate().map_err(|error| Failure::failed(&error, error.hint()))?;
            Ok(())
        }
        answer => Ok(answer.map(drop)?),
    }
}
