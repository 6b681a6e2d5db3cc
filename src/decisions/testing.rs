//! Decisions made up for tests.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::Request;

use super::Asked;
use super::Case;
use super::Connect;
use super::Credential;
use super::Decision;
use super::Outcome;
use crate::base::clock::UnixMillis;
use crate::base::code::Code;
use crate::listener::facts::ConnectionFacts;
use crate::net::host::Scheme;
use crate::origin;
use crate::origin::Facts;
use crate::origin::Network;
use crate::origin::Owner;
use crate::origin::Whois;
use crate::origin::resolve;

/// A plain request for `/chat` by this peer on a listener that reads nothing, with a connection of its own.
pub(crate) fn case(peer: &str) -> Case {
    let network = Arc::new(Network::new([] as [IpAddr; 0], 0));
    let ip: IpAddr = peer.parse().unwrap();
    let connection = Arc::new(ConnectionFacts::plain(origin::Settings::default(), SocketAddr::new(ip, 40_000)));
    let head = Request::get("/chat").body(()).unwrap().into_parts().0;
    let facts = Facts {
        peer: connection.peer,
        proxy_header: None,
        owner: Owner::Unknown,
        tailnet: Whois::NotAsked,
        headers: &HeaderMap::new(),
        authority: None,
        scheme: Scheme::Http,
    };
    let listener = connection.listener.load();
    let origin = resolve(&facts, &listener.origin, &network);
    Case {
        at: UnixMillis(0),
        connection,
        listener,
        network,
        tailnet: Whois::NotAsked,
        asked: Asked::of(&head, None, Scheme::Http, &origin::Settings::default()),
        origin,
        identity: None,
    }
}

/// A refusal of a caller who brought nothing.
pub(crate) fn denial(peer: &str) -> Decision {
    let outcome = Outcome::Refused { reason: "misdirected-host", cause: None, status: Some(421), connect: None };
    case(peer).decided(Code::random(), outcome)
}

/// A device with the right secret that waits under this request id.
pub(crate) fn pending(peer: &str, request_id: &str) -> Decision {
    let connect = Connect {
        client: "openclaw-control-ui".to_owned(),
        version: 4,
        credential: Credential::Shared,
        device: Some("d".repeat(64)),
        role: "operator",
        asked: vec!["operator.read".to_owned()],
        granted: Vec::new(),
        approved_via: None,
        ruled: None,
        request_id: Some(request_id.to_owned()),
    };
    let connect = Some(Box::new(connect));
    let outcome = Outcome::Refused { reason: "pairing_required", cause: None, status: None, connect };
    case(peer).decided(Code::random(), outcome)
}

/// An answer.
pub(crate) fn served(peer: &str) -> Decision {
    case(peer).decided(None, Outcome::Served { status: 200 })
}
