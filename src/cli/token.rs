//! `doorward token`: the owner's secret, on request, alone on standard output so that scripts can take it.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::admin::client::CallError;
use crate::admin::request::Request;
use crate::app::lock::StateLock;
use crate::base::secret::Secret;
use crate::config::Config;
use crate::store::keys::token::TokenSource;

use super::ask::call;
use super::audit;
use super::failure::Failure;
use super::{Context, Form, print, print_json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the gateway token.
    Show,
    /// Replace the gateway token: what was issued under the old one is void; devices stay paired and sign in with it once.
    Rotate,
}

pub(super) fn token(command: &Command, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    match command {
        Command::Show => {
            let token = read(&config)?;
            match context.form {
                Form::Json => print_json(&json!({"token": token.expose()})),
                Form::Text => print(&format!("{}\n", token.expose())),
            }
        }
        Command::Rotate => {
            rotate(&config, context)?;
            match context.form {
                Form::Json => print_json(&json!({"rotated": true})),
                Form::Text => print("The gateway token is a new one: doorward token show\n"),
            }
        }
    }
}

/// The token as it stands in its file. None is made here: the first start does that.
pub(super) fn read(config: &Config) -> Result<Secret<String>, Failure> {
    let source = config.core.token(&config.state_dir);
    if matches!(source, TokenSource::State(_)) && !source.path().exists() {
        let message = format!("there is no gateway token yet: {}", source.path().display());
        return Err(Failure::failed(message, "the first `doorward run` makes one"));
    }
    source.open().map_err(|error| Failure::failed(&error, error.hint()))
}

fn rotate(config: &Config, context: &Context) -> Result<(), Failure> {
    match call(&Request::RotateToken, config, context) {
        // Nobody runs, and the lock sees to it that nobody starts meanwhile.
        Err(CallError::NotRunning { .. }) => {
            let _lock = StateLock::take(&config.state_dir).map_err(|error| Failure::failed(&error, error.hint()))?;
            audit::record(config, "token.rotate", Value::Null)?;
            audit::end_invite(config, "token.rotate")?;
            let source = config.core.token(&config.state_dir);
            source.rotate().map_err(|error| Failure::failed(&error, error.hint()))?;
            Ok(())
        }
        answer => Ok(answer.map(drop)?),
    }
}
