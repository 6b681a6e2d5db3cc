//! The `connect` request: read once against the schema, the version agreed on, the role known.

mod client;
mod params;

pub use client::Client;
pub use client::ClientId;
pub use client::ClientMode;
pub use client::Seat;

use serde_json::value::RawValue;

use crate::base::secret::Secret;
use crate::protocol::frame::Request;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::ScopesAsSent;
use crate::protocol::version::Version;

/// A `connect` whose shape is right. Nothing in it is proven. What no rule reads is checked and not kept.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The version both sides speak.
    pub version: Version,
    /// The program that calls.
    pub client: Client,
    /// What it wants to be.
    pub role: Role,
    /// What it asks for, as its device signed it; none when it names none.
    pub scopes: ScopesAsSent,
    /// Its device's claim, if it has a device.
    pub device: Option<DeviceParams>,
    /// Its credentials.
    pub auth: Auth,
}

/// A device's claim: who it says it is, and the signature that should prove it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceParams {
    /// The id: SHA-256 of the public key, in hexadecimal.
    pub id: String,
    /// The Ed25519 public key, base64url or PEM.
    pub public_key: String,
    /// The signature, base64url.
    pub signature: String,
    /// When the device signed, by its own clock or that of our challenge.
    pub signed_at: i64,
    /// The nonce of our challenge; version 3 lets it be absent on the wire, no rule does.
    pub nonce: Option<String>,
}

/// The credentials of a `connect`; empty ones are absent.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// The gateway's token, or a device token.
    pub token: Option<Secret<String>>,
    /// The gateway's secret again, under its other name.
    pub password: Option<Secret<String>>,
    /// A device token.
    pub device_token: Option<Secret<String>>,
    /// An invitation.
    pub bootstrap_token: Option<Secret<String>>,
}

impl Auth {
    /// What the signature payload calls `token`: the first of token, device token and bootstrap token.
    pub fn signed(&self) -> &str {
        let sent = [&self.token, &self.device_token, &self.bootstrap_token].into_iter().flatten().next();
        sent.map_or("", |secret| secret.expose().as_str())
    }

    /// Whether any credential was sent.
    pub fn is_empty(&self) -> bool {
        [&self.token, &self.password, &self.device_token, &self.bootstrap_token].into_iter().all(Option::is_none)
    }
}

impl Connect {
    /// Reads the first request of a socket.
    ///
    /// # Errors
    /// The failure to answer with, and the version in whose words.
    pub fn read(request: &Request) -> Result<Self, (Version, Failure)> {
        if request.method != "connect" {
            return Err((Version::V4, Failure::ConnectExpected));
        }
        params::read(request.params.as_deref().map_or("null", RawValue::get))
    }
}

#[cfg(test)]
mod tests;
