//! What stands behind nginx and HAProxy: the core's own routes without the verifier, and WebSockets that say nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::{Extension, Router};
use doorward::base::clock::Clock;
use doorward::core::routes::router;
use doorward::identity::claims::OriginClaim;
use doorward::identity::headers::ASSERTION;
use doorward::identity::jwks::JwkSet;
use doorward::identity::signer::{Signer, SigningKey, Subject};
use doorward::identity::verifier::{Expected, Leeway, Lives, Verified, Verifier};
use doorward::origin::trail::Trail;
use doorward::origin::{Class, Kind, Source};
use futures_util::StreamExt as _;
use tokio::net::TcpListener;

pub(crate) const HTTP_PORT: u16 = 9_000;
pub(crate) const SOCKET_PORT: u16 = 9_001;

/// Serves until it is ended.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let http = TcpListener::bind(("127.0.0.1", HTTP_PORT)).await.expect("the backend's port");
        let sockets = TcpListener::bind(("127.0.0.1", SOCKET_PORT)).await.expect("the backend's second port");
        tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = sockets.accept().await else { continue };
                tokio::spawn(async move {
                    if let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await {
                        while let Some(Ok(_)) = socket.next().await {}
                    }
                });
            }
        });
        axum::serve(http, routes()).await.expect("the backend serves");
    });
}

/// The same routes, as if each request had been verified: one assertion, made at the start, serves them all.
fn routes() -> Router {
    router().layer(Extension(verified()))
}

fn verified() -> Verified {
    let clock = Clock::system();
    let (key, _) = SigningKey::generate().expect("a key");
    let keys = JwkSet::new(vec![key.public().clone()]);
    let signer = Signer::new(Arc::new(key), "bench", "bench", clock.clone()).expect("a signer");
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let origin = OriginClaim {
        kind: Kind::Ip,
        ip: Some(peer),
        port: None,
        class: Class::Private,
        local: false,
        peer,
        listener: "bench".to_owned(),
        source: Source::Peer,
        via: Vec::new(),
        steps: Trail::default(),
    };
    let subject = Subject { cid: "bench".to_owned(), origin, tls: None, identity: None };
    let token = signer.sign(&subject, None).expect("an assertion");
    let expected = Expected {
        issuer: "bench".to_owned(),
        audience: "bench".to_owned(),
        leeway: Leeway::SameHost,
        lives: Lives::Any,
    };
    let request = http::Request::get("/doorward/whoami").header("host", "127.0.0.1").header(ASSERTION, token);
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    Verifier::new(keys, expected, clock).verify_request(&parts).expect("a valid assertion")
}
