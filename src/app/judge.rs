//! Everything that a start would refuse, said without a start: nothing is made, changed or taken.

use std::net::SocketAddr;

use tokio::runtime::Builder;

use crate::admin::request::SOCKET;
use crate::admin::server;
use crate::base::clock::Clock;
use crate::certificates::{Certificates, doubt};
use crate::config::Config;
use crate::config::place::Environment;
use crate::core::CoreError;
use crate::core::upstream::{self, State, Upstream};
use crate::edge::identities;
use crate::listener::bind;
use crate::listener::knock::Knocks;
use crate::listener::own_bridge;
use crate::pairing::rule::review;
use crate::store::keys::signing::SigningKeys;
use crate::store::keys::token;
use crate::store::{FILE_NAME, Store};

use super::AppError;
use super::lock::{self, Occupancy};
use super::{network, probe};

/// What stands in the way of a start besides the configuration's own text, in the order of a start. A running instance
/// does not: what it has taken is not asked for.
pub fn judge(config: &Config, environment: &Environment) -> Vec<AppError> {
    let mut faults = Vec::new();
    let occupancy = lock::judge(&config.state_dir);
    let is_free = !matches!(occupancy, Ok(Occupancy::Held));
    faults.extend(occupancy.err().map(AppError::from));
    faults.extend(SigningKeys::judge(&config.state_dir).err().map(AppError::from));
    faults.extend(judge_store(config).err());
    let token = config.core.token(&config.state_dir);
    faults.extend(token.judge().err().map(|error| AppError::Core(CoreError::Token(error))));
    let upstream = config.core.upstream.as_ref();
    let judged = upstream.and_then(|upstream| Upstream::judge(upstream, &config.state_dir).err());
    faults.extend(judged.map(AppError::from));
    let certificates = Certificates::judge(&config.certificates, Clock::system().now());
    faults.extend(certificates.into_iter().map(AppError::from));
    match network::read() {
        Ok(looked) => faults.extend(own_bridge::judge(&config.listeners, &looked.network).err().map(AppError::from)),
        Err(error) => faults.push(AppError::Network(error)),
    }
    if is_free {
        let listeners = config.listeners.iter().flat_map(|listener| &listener.bind);
        let addresses: Vec<SocketAddr> = listeners.chain(&config.metrics.bind).copied().collect();
        faults.extend(bind::judge(&addresses).into_iter().map(AppError::from));
        faults.extend(server::judge(&config.socket_folder(environment).join(SOCKET)).err().map(AppError::from));
    }
    faults
}

/// What is to be said of a gateway behind us that has another token than we have.
pub(super) fn two_tokens(config: &Config) -> Option<String> {
    let theirs = token::read_upstream(config.core.upstream.as_ref()?.token_file.as_deref()?).ok()?;
    let ours = token::read_upstream(config.core.token(&config.state_dir).path()).ok()?;
    (!theirs.is(ours.expose())).then(|| {
        "core.token_file and core.upstream.token_file hold different tokens, so no node can pass to the gateway; leave \
         core.token_file out, or let both name one file"
            .to_owned()
    })
}

/// What stands in the way of nothing but shows only from here: certificates that are not what they may be meant for, keys of
/// identities that cannot be read, links that the
/// kernel does not tell, and ports that are published wider than their listener says. Dials those, as a start would, but for
/// those whose reach is `known`: a running instance would take our dial for a stranger's.
pub fn look_around(config: &Config, known: &[u16]) -> Vec<String> {
    let mut shown: Vec<String> = config.identities.iter().filter_map(keyless).chain(two_tokens(config)).collect();
    let doubts = doubt::doubts(&config.certificates, Clock::system().now());
    shown.extend(doubts.iter().map(|doubt| format!("{doubt}; {}", doubt.hint())));
    let mut ports = probe::published(&config.listeners);
    ports.retain(|port| !known.contains(port));
    let Some((looked, runtime)) = network::read().ok().zip(Builder::new_current_thread().enable_all().build().ok())
    else {
        return shown;
    };
    shown.extend(review::hidden(&config.core.rules, &looked.network));
    shown.extend(looked.unread.map(|unread| format!("{unread}; {}", unread.hint())));
    for port in ports {
        let probed = runtime.block_on(probe::probe(&looked.network, port, &Knocks::default()));
        if let Some(hint) = probed.exposure.hint(port) {
            shown.push(exposed(port, &probed.exposure.to_string(), &hint));
        }
    }
    shown
}

/// How the upstream is, as far as its first word: nothing if it says that.
///
/// # Errors
/// [`AppError`] when nobody can look.
pub fn look_upstream(settings: &upstream::Settings) -> Result<Option<State>, AppError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(AppError::Runtime)?;
    Ok(runtime.block_on(Upstream::look(settings))?)
}

/// That no token of this identity can be checked, and what to do about it.
fn keyless(identity: &identities::Settings) -> Option<String> {
    let error = identity.keys.judge().err()?;
    let (provider, keys) = (&identity.expected.provider, &identity.keys);
    Some(format!("identity {provider}: its tokens will be refused, {error}: {keys}; {}", error.hint()))
}

/// That nobody is local through this port, and what to do about it.
pub fn exposed(port: u16, found: &str, hint: &str) -> String {
    format!("published port {port} is {found}, so nobody is local there; {hint}")
}

fn judge_store(config: &Config) -> Result<(), AppError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(AppError::Runtime)?;
    Ok(runtime.block_on(Store::judge(&config.state_dir.join(FILE_NAME)))?)
}
