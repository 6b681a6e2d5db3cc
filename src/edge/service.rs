//! A connection handed to pingora's proxy, and the bound that pingora lacks: how many requests one of HTTP/2 carries.

use std::pin::pin;
use std::sync::Arc;

use pingora_core::apps::ServerApp;
use pingora_proxy::{HttpProxy, ProxyHttp};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Edge;
use super::access_log::head_refused;
use super::context::Connection;
use super::record::Record;
use crate::base::limits::{ANSWER_WAIT, LABEL_CHARS_MAX};
use crate::base::printable::printable;
use crate::decisions::Outcome;
use crate::listener::accept::Serve;
use crate::listener::connection::ConnectionError;
use crate::listener::facts::{ConnectionFacts, HeadRefusal};
use crate::listener::io::EdgeIo;

/// Hands connections to this event loop's proxy.
pub(super) struct Service<P> {
    pub(super) proxy: Arc<HttpProxy<P>>,
    pub(super) closing: watch::Receiver<bool>,
}

impl<P> Clone for Service<P> {
    fn clone(&self) -> Self {
        Self { proxy: Arc::clone(&self.proxy), closing: self.closing.clone() }
    }
}

impl<P> Serve for Service<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn serve(&self, mut io: Box<EdgeIo>) {
        let facts = Arc::clone(io.facts());
        io.attach(Arc::new(Connection::new(Arc::clone(&facts))));
        if facts.is_h2() {
            Box::pin(self.serve_h2(io, &facts)).await;
        } else {
            self.proxy.process_new(io, &self.closing).await;
        }
    }
}

/// A service whose connections are remembered where they end in a head that is no request.
pub(super) struct Remembering<P> {
    pub(super) service: Service<P>,
    pub(super) edge: Edge,
}

impl<P> Clone for Remembering<P> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), edge: self.edge.clone() }
    }
}

impl<P> Serve for Remembering<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn serve(&self, io: Box<EdgeIo>) {
        let facts = Arc::clone(io.facts());
        self.service.serve(io).await;
        if let Some(refusal) = facts.head_refusal() {
            self.edge.remember(refusal, &facts);
        }
    }

    fn failed(&self, facts: ConnectionFacts, error: &ConnectionError) {
        if let Some(reason) = error.reason() {
            let case = Record::unopened(&Arc::new(facts), &self.edge);
            let cause = Some(printable(&error.to_string(), LABEL_CHARS_MAX));
            let outcome = Outcome::Refused { reason, cause, status: None, connect: None };
            self.edge.core().decisions().keep(case.decided(None, outcome));
        }
    }
}

impl Edge {
    /// Keeps that a head was refused, with what was known of its sender without it, and writes its line.
    fn remember(&self, refusal: HeadRefusal, facts: &Arc<ConnectionFacts>) {
        let HeadRefusal { fault, code } = refusal;
        let case = Record::unread(facts, self);
        let origin = case.origin.clone();
        let (reason, status) = (fault.reason(), Some(fault.status().as_u16()));
        let outcome = Outcome::Refused { reason, cause: Some(fault.to_string()), status, connect: None };
        self.core().decisions().keep(case.decided(code, outcome));
        facts.tally.answered(fault.status());
        head_refused(refusal, &origin, facts);
    }
}

impl<P> Service<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    /// Pingora ends a connection of HTTP/2 by GOAWAY when its process is told to close: each of ours has a process of its own
    /// to be told so. What the caller had sent by then is answered, and what it sends later belongs on a new connection
    /// (RFC 9113 §6.8).
    async fn serve_h2(&self, io: Box<EdgeIo>, facts: &ConnectionFacts) {
        let (ending, watched) = watch::channel(false);
        let mut closing = self.closing.clone();
        let mut serving = pin!(self.proxy.process_new(io, &watched));
        tokio::select! {
            _ = &mut serving => {}
            // The drain has its own end.
            _ = closing.changed() => {
                ending.send_replace(true);
                serving.await;
            }
            () = facts.used_up() => {
                ending.send_replace(true);
                // Who goes on all the same is cut off.
                let _late = timeout(ANSWER_WAIT, serving).await;
            }
        }
    }
}
