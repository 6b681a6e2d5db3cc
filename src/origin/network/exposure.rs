//! How far a published port reaches, as the last dial from inside found it. Only a refusal proves anything: a port
//! that gives no answer may give one to others.

use std::fmt;
use std::net::SocketAddr;

/// What the last probe of a published port came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Exposure {
    /// Refused at every gateway: the port is published on the host's loopback, or not at all.
    Closed,
    /// Somebody answers there: others than the host's own loopback can connect.
    Open {
        /// Where.
        at: SocketAddr,
        /// Who.
        by: Answerer,
    },
    /// No probe has ended yet.
    #[default]
    Pending,
    /// No answer, or an unclear one; without an address, there was no gateway to dial.
    Unproven {
        /// Where.
        at: Option<SocketAddr>,
    },
}

/// Who answers at the published port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answerer {
    /// This very process: the probe's nonce came in.
    Ourselves,
    /// Something that takes the connection.
    Somebody,
}

impl Exposure {
    /// What to do about it, where something is to be done.
    pub fn hint(self, port: u16) -> Option<String> {
        match self {
            Self::Closed | Self::Pending => None,
            Self::Open { .. } => Some(format!("publish it on the host's loopback only: -p 127.0.0.1:{port}:{port}")),
            Self::Unproven { at: Some(at) } => Some(format!(
                "let this container reach {at} through the host's firewall: a port that is published on loopback only \
                 refuses there"
            )),
            Self::Unproven { at: None } => {
                Some("run this on a bridge network of Docker or Podman, or set local = \"never\"".to_owned())
            }
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("not reachable beyond the host's loopback"),
            Self::Open { at, by: Answerer::Ourselves } => {
                write!(f, "open beyond the host's loopback: this very listener answers at {at}")
            }
            Self::Open { at, by: Answerer::Somebody } => {
                write!(f, "open beyond the host's loopback: something answers at {at}")
            }
            Self::Pending => f.write_str("not probed yet"),
            Self::Unproven { at: Some(at) } => write!(f, "not proven closed: no clear answer from {at}"),
            Self::Unproven { at: None } => f.write_str("not proven closed: no container network with a gateway"),
        }
    }
}
