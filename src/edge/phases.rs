//! Pingora's phases of a request, each handed to whoever it is about: the edge, until the request goes on to the upstream, and
//! the request itself from then on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::apps::HttpServerOptions;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy};

use super::Edge;
use super::context::Connection;
use super::proxy::is_safe;
use super::upstream::Forwarded;
use crate::base::limits::{FORWARDED_IDLE_MAX, IDLE_WAIT, REQUESTS_PER_CONNECTION_MAX, SENDS_MAX};

/// Our half of pingora's proxy.
#[derive(Debug)]
pub(super) struct Proxy(Edge);

/// A proxy for one event loop.
pub(super) fn build(edge: Edge) -> HttpProxy<Proxy> {
    bounded(Proxy(edge))
}

/// Pingora's proxy around `inner`, with the bounds it lacks by default.
pub(super) fn bounded<P: ProxyHttp>(inner: P) -> HttpProxy<P> {
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: FORWARDED_IDLE_MAX,
        max_retries: SENDS_MAX,
        ..ServerConf::default()
    };
    let mut proxy = http_proxy(&Arc::new(conf), inner);
    let mut options = HttpServerOptions::default();
    // Pingora counts by this how often a connection is used again, one less than its requests.
    options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX.saturating_sub(1));
    options.h2_idle_timeout = Some(IDLE_WAIT);
    // Not to proxy it: to refuse it ourselves, with a reason and a line in the log.
    options.allow_connect_method_proxying = true;
    proxy.server_options = Some(options);
    // Options of one's own drop pingora's bounds, unless they start from these.
    proxy.h2_options = Some(default_h2_options());
    proxy
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// The request, while it is at the upstream.
    type CTX = Option<Box<Forwarded>>;

    fn new_ctx(&self) -> Self::CTX {
        None
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        let session = session.as_downstream_mut();
        let connection = Connection::of(session).ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        connection.facts().take_head();
        session.set_keepalive(self.0.is_ready().then_some(IDLE_WAIT.as_secs()));
        *ctx = self.0.serve(session, &connection).await?.map(Box::new);
        Ok(ctx.is_none())
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        forwarded(ctx)?.peer()
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        forwarded(ctx)?.write_head(head);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        let forwarded = forwarded(ctx)?;
        forwarded.pass_up(body.as_ref())?;
        if end_of_stream {
            forwarded.end_up();
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        forwarded(ctx)?.pass_head_down(head)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        forwarded(ctx)?.pass_down(body, end_of_stream).map(|()| None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        _ctx: &mut Self::CTX,
        client_reused: bool,
    ) -> Box<Error> {
        let is_harmless = is_safe(&session.req_header().method) && !session.as_ref().retry_buffer_truncated();
        if is_harmless && session.response_written().is_none() {
            // Only where a connection that was kept turned out to be closed.
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        if let Some(forwarded) = ctx.take() {
            forwarded.end(session.as_downstream(), error, &self.0);
        }
        // After a WebSocket was taken the session is dead: `of` finds no connection there, and nothing else may be asked.
        if let Some(connection) = Connection::of(session.as_downstream()) {
            connection.facts().finish_head();
        }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Self::CTX, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Self::CTX,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        match ctx {
            Some(forwarded) => forwarded.fail(session, error).await,
            // Of ourselves we fail only when the caller is gone.
            None => FailToProxy { error_code: 0, can_reuse_downstream: false },
        }
    }
}

/// The request that is at the upstream. Never without: the request filter sent it there.
fn forwarded(ctx: &mut Option<Box<Forwarded>>) -> Result<&mut Forwarded> {
    ctx.as_deref_mut().ok_or_else(|| Error::new_in(ErrorType::InternalError))
}
