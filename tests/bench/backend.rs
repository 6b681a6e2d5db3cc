//! What stands behind nginx and HAProxy: the core's own routes without the verifier, and WebSockets that say nothing.

use axum::Router;
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

fn routes() -> Router {
    Router::new()
}
