//! The doors: accepting within caps, PROXY headers, the kernel's word on a loopback peer, TLS, and the
//! limits of a connection that HTTP cannot see.
//!
//! Each event loop has its own sockets and its own accept loop; what comes out is an [`io::EdgeIo`]
//! that carries the [`facts::ConnectionFacts`] to every request.

use std::net::SocketAddr;

use crate::origin;

pub mod accept;
pub mod bind;
pub mod caps;
pub mod connection;
pub mod facts;
pub mod head;
pub mod io;
pub mod owner;
mod refusal;

#[cfg(test)]
mod tests;

/// One `[[listener]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in logs, assertions and answers.
    pub name: String,
    /// The addresses it listens on, all of them or none.
    pub bind: Vec<SocketAddr>,
    /// What is spoken on them.
    pub protocol: Protocol,
    /// What is served there.
    pub serve: Serve,
    /// What is read and believed there about who is calling.
    pub origin: origin::Settings,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// TLS or plain, by the first byte of each connection.
    Auto,
    /// Plain HTTP.
    Http,
    /// TLS only.
    Https,
}

/// What is served on a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Serve {
    /// Everything.
    All,
    /// A redirect to https.
    Redirect,
}

impl Protocol {
    /// The configuration's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Serve {
    /// The configuration's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Redirect => "redirect",
        }
    }
}
