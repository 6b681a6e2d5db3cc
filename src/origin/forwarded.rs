//! Headers in which proxies speak of their callers: which they are, and how the one that counts is read.

pub mod names;

mod x_forwarded;

use std::net::IpAddr;

use crate::net::range::Ranges;

pub(super) use self::x_forwarded::client;
pub use self::x_forwarded::scheme;

/// Where the walk over a chain of hops, nearest first, ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Walk {
    /// No such header.
    Absent,
    /// Trusted proxies only.
    AllTrusted,
    /// The first readable hop that is not trusted.
    Client {
        /// Its address, canonical.
        ip: IpAddr,
        /// Its port, if the proxy wrote one.
        port: Option<u16>,
    },
    /// A hop claims an address that no caller can have.
    NotPossible,
    /// More trusted hops than are walked.
    TooMany,
    /// A hop that cannot be read.
    Unreadable,
}

/// What the walk passes.
pub(super) struct Chain<'a> {
    /// Which hops are passed.
    pub(super) trusted: &'a Ranges,
    /// Where passed hops are noted, nearest first.
    pub(super) via: &'a mut Vec<IpAddr>,
}
