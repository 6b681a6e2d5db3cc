//! What comes out about a request while it is decided about, put together for whoever asks about it later.

use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;

use super::Edge;
use super::context::Connection;
use crate::decisions::{Asked, Case};
use crate::identity::claims::IdentityClaim;
use crate::listener::Settings;
use crate::listener::facts::ConnectionFacts;
use crate::net::host::{Authority, Scheme};
use crate::origin::{self, Network, Origin, resolve};
use crate::tailscale::Word;

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) authority: Option<Authority>,
    pub(super) listener: Option<Arc<Settings>>,
    pub(super) identity: Option<IdentityClaim>,
    pub(super) network: Option<Arc<Network>>,
    pub(super) origin: Option<Origin>,
    pub(super) scheme: Option<Scheme>,
    pub(super) tailnet: Option<Arc<Word>>,
}

impl Record {
    /// The case of the request with this head. Who called is found out now, if the request never came so far.
    pub(super) fn case(self, head: &Parts, connection: &Connection, edge: &Edge) -> Case {
        self.decided_by(&head.headers, connection.facts(), edge, |authority, scheme, rules| {
            Asked::of(head, authority, scheme, rules)
        })
    }

    /// The case of a head that was not read: who called is what the connection alone says.
    pub(super) fn unread(facts: &Arc<ConnectionFacts>, edge: &Edge) -> Case {
        Self::default().decided_by(&HeaderMap::new(), facts, edge, |_, scheme, _| Asked::unread(scheme))
    }

    /// The case of a connection that came to no request.
    pub(super) fn unopened(facts: &Arc<ConnectionFacts>, edge: &Edge) -> Case {
        Self::default().decided_by(&HeaderMap::new(), facts, edge, |_, scheme, _| Asked::nothing(scheme))
    }

    fn decided_by(
        self,
        headers: &HeaderMap,
        facts: &Arc<ConnectionFacts>,
        edge: &Edge,
        asked: impl FnOnce(Option<&Authority>, Scheme, &origin::Settings) -> Asked,
    ) -> Case {
        let listener = self.listener.unwrap_or_else(|| facts.listener.load());
        let network = self.network.unwrap_or_else(|| edge.0.network.load());
        let scheme = self.scheme.unwrap_or_else(|| facts.scheme());
        let tailnet = self.tailnet.unwrap_or_else(|| facts.tailnet.last()).whois();
        let origin = self.origin.unwrap_or_else(|| {
            let said = facts.said(headers, self.authority.as_ref(), scheme, tailnet);
            resolve(&said, &listener.origin, &network)
        });
        Case {
            at: edge.0.clock.now(),
            connection: Arc::clone(facts),
            asked: asked(self.authority.as_ref(), scheme, &listener.origin),
            listener,
            network,
            tailnet,
            origin,
            identity: self.identity,
        }
    }
}
