//! One WebSocket from our `connect.challenge` to `hello-ok`, or to the refusal and the close.
//!
//! Until `hello-ok` a caller gets one message of ours, one of its own of at most 64 KiB, and ten seconds.

mod node;
mod wait;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;
use std::task::Waker;

use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::debug;
use tracing::info;
use uuid::Uuid;

use crate::base::code::Code;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::core::Inner;
use crate::core::admission::Admission;
use crate::core::bridged::Bridged;
use crate::core::bridged::Way;
use crate::core::desk::Applicant;
use crate::core::desk::Rejection;
use crate::core::desk::Welcome;
use crate::core::dispatch;
use crate::core::handshake::wait::first_frame;
use crate::core::handshake::wait::send;
use crate::core::refusal_log::next_step;
use crate::core::registry::Peer;
use crate::core::session::Connected;
use crate::core::session::Open;
use crate::core::session::Session;
use crate::core::upstream;
use crate::core::upstream::Guest;
use crate::core::websocket::Gone;
use crate::core::websocket::WebSocket;
use crate::decisions;
use crate::decisions::Outcome;
use crate::identity::claims::Assertion;
use crate::pairing::device::Challenge;
use crate::pairing::device::prove;
use crate::pairing::step::Page;
use crate::protocol::connect::Connect;
use crate::protocol::event;
use crate::protocol::frame;
use crate::protocol::frame::FrameError;
use crate::protocol::frame::Request;
use crate::protocol::frame::StateVersion;
use crate::protocol::hello::HelloOk;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::version::Version;

/// Before `hello-ok`: the challenge is out, nothing is proven.
pub(super) struct Challenged {
    admission: Admission,
    challenge: Challenge,
    deadline: Instant,
    /// The socket at the gateway behind us whose challenge this one has, for it may be a node's.
    guest: Option<Guest>,
    /// Its entry among the open sockets, once it was let in.
    peer: Option<Arc<Peer>>,
    /// The caller's first message, as it came.
    first: Utf8Bytes,
    /// Frames that arrived while `connect` was looked at.
    early: VecDeque<Utf8Bytes>,
}

/// Why there will be no session, and what the caller is told.
struct Refused {
    failure: Failure,
    version: Version,
    /// The id of the request that gets the error.
    request: Option<String>,
    code: Option<Code>,
    judged: Option<Box<decisions::Connect>>,
}

impl Refused {
    fn silent(failure: Failure) -> Self {
        Self { failure, version: Version::V4, request: None, code: None, judged: None }
    }

    fn answered(failure: Failure, version: Version, request: String) -> Self {
        Self { failure, version, request: Some(request), code: Code::random(), judged: None }
    }
}

/// How waiting for the peer ended.
enum Unready {
    /// It is gone.
    Gone,
    /// There is something to tell it.
    Refused(Refused),
}

impl From<Gone> for Unready {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Refused> for Unready {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S, Challenged> {
    /// Takes a socket over after its 101.
    pub(super) fn begin(core: Arc<Inner>, admission: Admission, socket: WebSocket<S>) -> Self {
        let challenge = Challenge::new(Uuid::new_v4().to_string());
        let deadline = Instant::now() + core.timing.connect_wait;
        let (guest, peer, first, early) = (None, None, Utf8Bytes::default(), VecDeque::new());
        Self { core, socket, state: Challenged { admission, challenge, deadline, guest, peer, first, early } }
    }

    /// The session; none if the caller was refused or went away.
    pub(super) async fn handshake(mut self) -> Option<Open<S>> {
        let admitted = match self.admit().await {
            Ok((welcome, request)) => self.reach(welcome, request).await,
            Err(unready) => Err(unready),
        };
        match admitted {
            Ok((welcome, request, far)) => self.welcome(welcome, &request, far).await,
            Err(Unready::Gone) => {
                debug!(conn = %self.claims().cid, "closed before connect");
                self.remember(None, Outcome::Gone);
                None
            }
            Err(Unready::Refused(refused)) => {
                self.refuse(refused).await;
                None
            }
        }
    }

    async fn admit(&mut self) -> Result<(Welcome, Request), Unready> {
        let deadline = self.state.deadline;
        let at = self.lodge().await;
        let payload = event::challenge(self.state.challenge.nonce(), at);
        // Never: the payload is a plain map.
        let text = frame::event(event::CONNECT_CHALLENGE, &payload, None, None).unwrap_or_default();
        let socket = &mut self.socket;
        let first = wait::lodged(&mut self.state.guest, async move {
            send(socket, text).await?;
            first_frame(socket).await
        });
        let mut restart = self.core.draining.subscribe();
        let text = tokio::select! {
            first = timeout_at(deadline, first) => {
                first.map_err(|_| Refused::silent(Failure::ConnectLate))??
            }
            _ = restart.wait_for(|draining| *draining) => return Err(Refused::silent(Failure::Restart).into()),
        };
        let request = Request::parse(&text).map_err(|error| {
            Refused::silent(match error {
                FrameError::NotJson => Failure::FrameUnreadable,
                FrameError::NotRequest => Failure::FrameInvalid,
            })
        })?;
        let connect = Connect::read(&request)
            .map_err(|(version, failure)| Refused::answered(failure, version, request.id.clone()))?;
        self.state.first = text;
        let decided = self.decide(connect, request).await;
        if decided.is_err() {
            // Its place is for others now.
            self.state.guest = None;
        }
        decided
    }

    /// Takes `connect` to the desk, and holds what comes in meanwhile.
    async fn decide(&mut self, connect: Connect, request: Request) -> Result<(Welcome, Request), Unready> {
        let version = connect.version;
        // The nonce is spent with the first look at it.
        let challenge = std::mem::replace(&mut self.state.challenge, Challenge::new(String::new()));
        let proof = prove(&connect, challenge, self.core.clock.now());
        let (verified, page) = self.state.admission.evidence();
        let applicant = Applicant { connect, verified, page, proof };
        let core = Arc::clone(&self.core);
        let visit = core.visit(async move |core| core.connect(applicant).await);
        match self.meanwhile(visit).await? {
            Some(Ok(welcome)) => Ok((welcome, request)),
            Some(Err(Rejection { failure, code, judged })) => {
                Err(Refused { failure, version, request: Some(request.id), code, judged }.into())
            }
            None => Err(Refused::answered(Failure::Internal, version, request.id).into()),
        }
    }

    /// Opens the way to the gateway behind us, if there is one, for a client that was let in here.
    async fn reach(
        &mut self,
        mut welcome: Welcome,
        request: Request,
    ) -> Result<(Welcome, String, Option<Way>), Unready> {
        let Some(upstream) = self.core.upstream.clone() else { return Ok((welcome, request.id, None)) };
        let page = match self.state.admission.evidence().1 {
            Page::Absent => upstream::Page::Absent,
            Page::Present => upstream::Page::Present,
        };
        let (version, scopes) = (welcome.connect.version, welcome.admitted.scopes.clone());
        self.state.peer = Some(Arc::clone(welcome.registered.peer()));
        let came = match welcome.admitted.role {
            Role::Node => Box::pin(self.pass(&upstream, &mut welcome, &request)).await?,
            Role::Operator => {
                // A new one: what an operator may do is written on the head of its own.
                self.state.guest = None;
                let params = request.params.as_deref();
                Box::pin(self.meanwhile(upstream.bridge(params, &scopes, page))).await?.map_err(Failure::Upstream)
            }
        };
        // Nothing waits from here to `hello-ok`.
        self.is_ended(&mut Context::from_waker(Waker::noop()))?;
        match came {
            Ok((line, hello)) => Ok((welcome, request.id, Some(Way { upstream, line, hello }))),
            Err(failure) => {
                let refused = Refused::answered(failure, version, request.id);
                Err(Refused { judged: Some(welcome.judged), ..refused }.into())
            }
        }
    }

    async fn welcome(mut self, welcome: Welcome, request: &str, way: Option<Way>) -> Option<Open<S>> {
        let ours = self.core.hello(&welcome);
        let Welcome { registered, admitted, connect, judged, handover } = welcome;
        self.remember(None, Outcome::Admitted(judged));
        let claims = self.claims();
        info!(
            conn = %claims.cid, client = %claims.origin.client_shown(), peer = %claims.origin.peer, role = %admitted.role,
            device = %admitted.device.map_or_else(|| "-".to_owned(), |device| device.to_string()),
            via = admitted.approved_via.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string), protocol = connect.version.number(),
            "connected"
        );
        let text = match &way {
            Some(way) => way.accepted(request, &ours),
            // Never: the payload is a plain map.
            None => frame::accepted(request, &ours).unwrap_or_default(),
        };
        let Self { core, mut socket, state } = self;
        let until = Instant::now() + core.timing.connect_wait;
        let heard = matches!(timeout_at(until, send(&mut socket, text)).await, Ok(Ok(())));
        if !heard {
            return None;
        }
        if let Some(handover) = handover {
            handover.confirm();
        }
        state.admission.succeeded();
        socket.widen();
        Some(match way {
            None => Open::Here(Box::new(Session { core, socket, state: Connected::new(registered, state.early) })),
            Some(way) => {
                Open::Bridged(Box::new(Session { core, socket, state: Bridged::new(registered, state.early, way) }))
            }
        })
    }

    async fn refuse(mut self, refused: Refused) {
        let Refused { failure, version, request, code, judged } = refused;
        let cause = failure.error(version).map(|error| printable(&error.message, LABEL_CHARS_MAX));
        self.remember(code, Outcome::Refused { reason: failure.reason(), cause, status: None, connect: judged });
        let claims = self.claims();
        let (conn, client, peer) = (&claims.cid, claims.origin.client_shown(), claims.origin.peer);
        let (reason, shown) = (failure.reason(), Code::shown(code));
        let line =
            next_step(&failure).and_then(|next| Some((next, self.core.refusal_log.pass(std::time::Instant::now())?)));
        match line {
            // Someone may be guessing, or may need help: worth a line.
            Some((next, held_back)) => {
                info!(%conn, %client, %peer, reason, code = shown, held_back, next, "connect refused");
            }
            None => debug!(%conn, %client, %peer, reason, code = shown, "connect refused"),
        }
        let error = match &code {
            Some(code) => failure.error_with_code(version, &code.to_string()),
            None => failure.error(version),
        };
        let answer = request.zip(error);
        let text = answer.and_then(|(request, error)| frame::refused(&request, &error).ok());
        if let Some(text) = text {
            let until = Instant::now() + self.core.timing.close_wait;
            if !matches!(timeout_at(until, send(&mut self.socket, text)).await, Ok(Ok(()))) {
                return;
            }
        }
        self.close(&failure.close(version)).await;
    }

    /// Keeps what was decided, with the facts that came along, for whoever asks why.
    fn remember(&mut self, code: Option<Code>, outcome: Outcome) {
        if let Some(case) = self.state.admission.take_case() {
            self.core.decisions.keep(case.decided(code, outcome));
        }
    }

    fn claims(&self) -> &Assertion {
        self.state.admission.claims()
    }
}

impl Inner {
    fn hello(&self, welcome: &Welcome) -> Value {
        let Welcome { registered, admitted, connect, .. } = welcome;
        let now = self.clock.now();
        let (presence, version) = self.board.list(&self.registry, std::time::Instant::now());
        let readable = admitted.scopes.covers(&Scope::READ);
        HelloOk {
            version: connect.version,
            server_version: env!("CARGO_PKG_VERSION"),
            connection: &registered.peer().arrival.connection,
            boot: &self.boot,
            build: connect.client.build_id.as_deref(),
            methods: dispatch::METHODS,
            events: event::EVENTS,
            presence: if readable { &presence } else { &[] },
            health: &event::health(now, 0),
            state_version: StateVersion { presence: version, health: 1 },
            uptime_ms: self.uptime_ms(),
            method: admitted.method,
            role: admitted.role,
            scopes: &admitted.scopes,
            device_token: admitted.token.as_ref().map(|token| (token, now)),
            other_tokens: &admitted.other_tokens,
        }
        .payload()
    }
}
