//! How far a published port reaches, as the last dial from inside found it. Only a refusal proves anything: a port
//! that gives no answer may give one to others.

use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;

/// What the last probe of a published port came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Exposure {
    /// Refused at every address of the host that we have: the port is published on its loopback, or not at all.
    Closed,
    /// There is nothing to dial: we are on no container network whose host we could reach.
    NoHost,
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
    /// A rootless runtime, or one that maps its users: its forwarder takes callers in the network of the host and hands them
    /// to loopback in a network between, so that the gateway refuses us, however far the port reaches.
    Unprovable,
    /// No answer, or an unclear one. A firewall that drops our packets (ufw does by default) drops them whether the port
    /// is open to others or not, for what the runtime publishes passes such a firewall by: it proves nothing.
    Unproven {
        /// Where.
        at: SocketAddr,
        /// Our own container network, from which it was dialled.
        from: IpNet,
    },
}

/// One address at which the last probe dialled a published port, and what came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dial {
    /// Where.
    pub at: SocketAddr,
    /// What came of it.
    pub answer: Answer,
}

/// What came of a dial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Somebody takes the connection.
    Answered(Answerer),
    /// Nobody listens there, or a firewall says so in the port's place.
    Refused,
    /// Nothing, or nothing that proves anything.
    Unclear,
}

impl Answer {
    /// The word for it in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Refused => "refused",
            Self::Unclear => "no clear answer",
        }
    }
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
            Self::Closed => None,
            Self::NoHost => {
                Some("run this on a bridge network of Docker or Podman, or set local = \"never\"".to_owned())
            }
            Self::Open { .. } => Some(format!("publish it on the host's loopback only: -p 127.0.0.1:{port}:{port}")),
            Self::Pending => Some("look again in a few seconds".to_owned()),
            Self::Unprovable => Some(
                "set local = \"never\" and approve devices by `doorward devices approve`, or run this in a container whose \
                 users are not mapped"
                    .to_owned(),
            ),
            // A rule that rejects would say "refused" in the port's place, open or not.
            Self::Unproven { at, from } => Some(format!(
                "the host's firewall keeps this container from seeing whether the port is closed: let it through to {at}, \
                 where nothing listens if the port is published on loopback only (with ufw, on the host: sudo ufw allow \
                 proto tcp from {from} to {} port {}); do not reject there, that would look closed when it is not",
                at.ip(),
                at.port()
            )),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("not reachable beyond the host's loopback"),
            Self::NoHost => f.write_str("not proven closed: no container network with a gateway"),
            Self::Open { at, by: Answerer::Ourselves } => {
                write!(f, "open beyond the host's loopback: this very listener answers at {at}")
            }
            Self::Open { at, by: Answerer::Somebody } => {
                write!(f, "open beyond the host's loopback: something answers at {at}")
            }
            Self::Pending => f.write_str("not probed yet"),
            Self::Unprovable => {
                f.write_str("not proven closed: the runtime is rootless, and its ports cannot be dialled from inside")
            }
            Self::Unproven { at, .. } => write!(f, "not proven closed: no clear answer from {at}"),
        }
    }
}
