//! Headers in which proxies speak of their callers: which they are, and how the one that counts is read.

pub mod names;

mod rfc7239;
mod single;
mod x_forwarded;

use std::net::IpAddr;
use std::ops::ControlFlow;

use http::HeaderMap;

use super::ClientIpHeader;
use super::Network;
use super::Settings;
use super::class::can_be_claimed;
use super::resolve::Via;
use super::witness::Verdict;
use super::witness::Witness;
use crate::base::limits::FORWARDED_HOPS_MAX;

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
    /// Several lines where one may stand.
    Repeated,
    /// More trusted hops than are walked.
    TooMany,
    /// A line is not by the header's grammar.
    Ungrammatical,
    /// A hop that cannot be read.
    Unreadable,
}

/// Walks the one `header` that the listener reads, right to left, to the first hop that `chain` does not trust.
///
/// Never left to right, and never past a hop that cannot be read: what stands further left is the caller's own text.
pub(super) fn client<W: Witness>(header: &ClientIpHeader, headers: &HeaderMap, chain: Chain<'_, W>) -> Walk {
    match header {
        ClientIpHeader::Forwarded => rfc7239::client(headers, chain),
        ClientIpHeader::None => Walk::Absent,
        ClientIpHeader::Single(name) => single::client(name, headers, chain),
        ClientIpHeader::XForwardedFor => x_forwarded::client(headers, chain),
    }
}

/// A hop as a proxy wrote it: address, canonical, and port.
type Node = (IpAddr, Option<u16>);

/// What the walk passes.
pub(super) struct Chain<'a, W> {
    settings: &'a Settings,
    network: &'a Network,
    via: &'a mut Via,
    witness: &'a mut W,
    walked: usize,
}

impl<'a, W: Witness> Chain<'a, W> {
    /// A walk past the hops that `settings` trust, which are noted in `via`, nearest first.
    pub(super) fn new(settings: &'a Settings, network: &'a Network, via: &'a mut Via, witness: &'a mut W) -> Self {
        Self { settings, network, via, witness, walked: 0 }
    }

    /// The hops that follow stand in this line, counted from the last.
    fn enter(&mut self, line: usize) {
        self.witness.line(line);
    }

    /// Passes a hop that was written as `text`, or ends there.
    fn pass(&mut self, text: &[u8], node: Option<Node>) -> ControlFlow<Walk> {
        let (verdict, end) = match node {
            _ if self.walked == FORWARDED_HOPS_MAX => (Verdict::BeyondBound, Some(Walk::TooMany)),
            None => (Verdict::Unreadable, Some(Walk::Unreadable)),
            Some((ip, _)) if self.settings.trusts(ip, self.network) => {
                self.via.push(ip);
                (Verdict::Trusted, None)
            }
            Some((ip, port)) if can_be_claimed(ip) => (Verdict::Client, Some(Walk::Client { ip, port })),
            Some(_) => (Verdict::NotPossible, Some(Walk::NotPossible)),
        };
        self.witness.element(self.walked, text, verdict);
        self.walked += 1;
        end.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    /// A line that is not even judged hop by hop.
    fn refuse(&mut self, line: usize, text: &[u8], verdict: Verdict) {
        self.witness.line(line);
        self.witness.element(self.walked, text, verdict);
        self.walked += 1;
    }

    /// No further line: what was met so far.
    fn end(&self) -> Walk {
        if self.walked == 0 { Walk::Absent } else { Walk::AllTrusted }
    }
}

/// `text` without the white space that may stand around a list's elements (RFC 9110 §5.6.3).
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod testing;
