//! Everything that a start would refuse, said without a start: nothing is made, changed or taken.

use std::net::SocketAddr;

use tokio::runtime::Builder;

use crate::admin::request::SOCKET;
use crate::admin::server;
use crate::base::clock::Clock;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::config::place::Environment;
use crate::core::CoreError;
use crate::listener::bind;
use crate::store::keys::signing::SigningKeys;
use crate::store::{FILE_NAME, Store};

use super::AppError;
use super::lock::{self, Standing};

/// What stands in the way of a start besides the configuration's own text, in the order of a start. A running instance
/// does not: what it has taken is not asked for.
pub fn judge(config: &Config, environment: &Environment) -> Vec<AppError> {
    let mut faults = Vec::new();
    let standing = lock::judge(&config.state_dir);
    let is_free = !matches!(standing, Ok(Standing::Held));
    faults.extend(standing.err().map(AppError::from));
    faults.extend(SigningKeys::judge(&config.state_dir).err().map(AppError::from));
    faults.extend(judge_store(config).err());
    let token = config.core.token(&config.state_dir);
    faults.extend(token.judge().err().map(|error| AppError::Core(CoreError::Token(error))));
    let certificates = Certificates::judge(&config.certificates, Clock::system().now());
    faults.extend(certificates.into_iter().map(AppError::from));
    if is_free {
        let addresses: Vec<SocketAddr> =
            config.listeners.iter().flat_map(|listener| listener.bind.iter().copied()).collect();
        faults.extend(bind::judge(&addresses).into_iter().map(AppError::from));
        faults.extend(server::judge(&config.socket_folder(environment).join(SOCKET)).err().map(AppError::from));
    }
    faults
}

fn judge_store(config: &Config) -> Result<(), AppError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(AppError::Runtime)?;
    Ok(runtime.block_on(Store::judge(&config.state_dir.join(FILE_NAME)))?)
}
