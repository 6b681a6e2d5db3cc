//! Answers to DNS-01 (RFC 8555 §8.4): a TXT value below `_acme-challenge`, put there by dynamic update (RFC 2136) or by a
//! program of the operator's.
//!
//! Promise: no value of anybody else's is touched; the CA is told when every name server shows ours; and each of ours is
//! removed whatever happened, for what is written is noted on disk first.

mod exchange;
pub mod fault;
mod hook;
mod key;
pub mod left;
mod lookup;
pub mod publish;
mod update;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use fault::DnsError;

/// `[certificates.acme.dns]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Who is asked where to write; none are those of this machine.
    pub resolvers: Vec<SocketAddr>,
    /// How it is written.
    pub way: Way,
}

/// How a value gets into the DNS, and out of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// By a program and its first words.
    Exec(Vec<String>),
    /// By dynamic update.
    Update(Update),
}

/// `update`: a name server that takes changes from who has its key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The key, as `tsig-keygen` writes it.
    pub key_file: PathBuf,
    /// Name or address, and port.
    pub server: String,
    /// The zone to change; none is found by asking.
    pub zone: Option<String>,
}

impl Settings {
    /// Looks at the files that it names, as an order will.
    ///
    /// # Errors
    /// [`DnsError`].
    pub fn judge(&self) -> Result<(), DnsError> {
        match &self.way {
            Way::Exec(words) => hook::judge(words).map(drop),
            Way::Update(update) => key::read(&update.key_file).map(drop),
        }
    }
}
