//! What the tests of signer, verifier and claims have in common.

use http::Request;
use http::request::Parts;

use crate::identity::claims::{Class, OriginClaim, RequestClaim, TlsClaim, TlsVersion};
use crate::identity::signer::Subject;
use crate::origin::Kind;
use crate::origin::Source;
use crate::origin::trail::Step;

/// A stranger from the internet.
pub(crate) fn subject() -> Subject {
    Subject {
        cid: "c-1".to_owned(),
        origin: OriginClaim {
            kind: Kind::Ip,
            ip: Some("203.0.113.9".parse().unwrap()),
            port: Some(40_000),
            class: Class::Public,
            local: false,
            peer: "203.0.113.9".parse().unwrap(),
            listener: "public".to_owned(),
            source: Source::Peer,
            via: Vec::new(),
            steps: vec![Step::HeaderNotRead, Step::PeerIsClient, Step::LocalNever].try_into().unwrap(),
        },
        tls: Some(TlsClaim {
            version: TlsVersion::V1_3,
            sni: Some("claw.example".to_owned()),
            alpn: Some("h2".to_owned()),
            client_cert: None,
        }),
        identity: None,
    }
}

/// A WebSocket's opening.
pub(crate) fn opening() -> Parts {
    parts(
        "GET",
        "/chat?x=1",
        &[
            ("host", "claw.example"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
    )
}

/// The claim about [`opening`].
pub(crate) fn request_claim() -> RequestClaim {
    RequestClaim::of(&opening()).unwrap()
}

/// A request's head.
pub(crate) fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}
