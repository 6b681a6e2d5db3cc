//! Asking the running instance.

use std::path::Path;

use serde_json::Value;

use crate::admin::client;
use crate::admin::request::{Request, SOCKET};
use crate::app::lock;
use crate::config::Config;

use super::Context;
use super::failure::Failure;

/// Asks the instance of this configuration.
pub(super) fn ask(request: &Request, config: &Config, context: &Context) -> Result<Value, Failure> {
    Ok(call(request, config, context)?)
}

/// As [`ask`], where the file may be wrong: the instance that runs is found all the same. Where none runs, what is wrong
/// with the file is what there is to tell.
pub(super) fn ask_anyway(request: &Request, context: &Context) -> Result<Value, Failure> {
    let state_dir = Config::find_state(context.named.as_deref(), &context.environment)?;
    let answer = call_at(request, &state_dir, context);
    if matches!(answer, Err(client::CallError::NotRunning { .. })) {
        context.config()?;
    }
    Ok(answer?)
}

/// As [`ask`], with the error of the call itself.
pub(super) fn call(request: &Request, config: &Config, context: &Context) -> Result<Value, client::CallError> {
    call_at(request, &config.state_dir, context)
}

fn call_at(request: &Request, state_dir: &Path, context: &Context) -> Result<Value, client::CallError> {
    // The lock says where a service manager's runtime folder is, which a shell does not know.
    let announced = lock::holder(state_dir).socket;
    let folders = context.environment.runtime_dir().into_iter().chain([state_dir.to_path_buf()]);
    let mut places: Vec<_> = announced.into_iter().chain(folders.map(|folder| folder.join(SOCKET))).collect();
    places.dedup();
    client::call(&places, request)
}
