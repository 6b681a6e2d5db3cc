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
use crate::listener::knock::Knocks;
use crate::listener::own_bridge;
use crate::store::keys::signing::SigningKeys;
use crate::store::{FILE_NAME, Store};

use super::AppError;
use super::lock::{self, Standing};
use super::{network, probe};

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
    match network::read() {
        Ok(network) => faults.extend(own_bridge::judge(&config.listeners, &network).err().map(AppError::from)),
        Err(error) => faults.push(AppError::Network(error)),
    }
    if is_free {
        let addresses: Vec<SocketAddr> =
            config.listeners.iter().flat_map(|listener| listener.bind.iter().copied()).collect();
        faults.extend(bind::judge(&addresses).into_iter().map(AppError::from));
        faults.extend(server::judge(&config.socket_folder(environment).join(SOCKET)).err().map(AppError::from));
    }
    faults
}

/// What stands in the way of nothing but shows only from here: ports that are published wider than their listener says.
/// Dials them, as a start would, but for those whose reach is `known`: a running instance would take our dial for a stranger's.
pub fn look_around(config: &Config, known: &[u16]) -> Vec<String> {
    let mut ports = probe::published(&config.listeners);
    ports.retain(|port| !known.contains(port));
    let Some((network, runtime)) = network::read().ok().zip(Builder::new_current_thread().enable_all().build().ok())
    else {
        return Vec::new();
    };
    let mut shown = Vec::new();
    for port in ports {
        let exposure = runtime.block_on(probe::probe(&network, port, &Knocks::default())).exposure;
        if let Some(hint) = exposure.hint(port) {
            shown.push(exposed(port, &exposure.to_string(), &hint));
        }
    }
    shown
}

/// That nobody is local through this port, and what to do about it.
pub fn exposed(port: u16, found: &str, hint: &str) -> String {
    format!("published port {port} is {found}, so nobody is local there; {hint}")
}

fn judge_store(config: &Config) -> Result<(), AppError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(AppError::Runtime)?;
    Ok(runtime.block_on(Store::judge(&config.state_dir.join(FILE_NAME)))?)
}
