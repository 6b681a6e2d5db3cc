//! Asking the running instance.

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

/// As [`ask`], with the error of the call itself.
pub(super) fn call(request: &Request, config: &Config, context: &Context) -> Result<Value, client::CallError> {
    // The lock says where a service manager's runtime folder is, which a shell does not know.
    let announced = lock::holder(&config.state_dir).socket;
    let folders = config.socket_folders(&context.environment);
    let mut places: Vec<_> =
        announced.into_iter().chain(folders.into_iter().map(|folder| folder.join(SOCKET))).collect();
    places.dedup();
    client::call(&places, request)
}
