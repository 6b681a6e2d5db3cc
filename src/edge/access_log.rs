//! One line for each request, refused ones and upgrades too. Everything a stranger chose is escaped and cut; query
//! strings, credentials and header values other than Host and User-Agent never come here.

use std::net::IpAddr;

use http::header::USER_AGENT;
use http::request::Parts;
use http::{StatusCode, Version};
use tokio::time::Instant;
use tracing::info;

use crate::base::code::Code;
use crate::base::limits::{LABEL_CHARS_MAX, LOG_PATH_CHARS_MAX, LOG_WORD_CHARS_MAX};
use crate::base::printable::printable;
use crate::listener::facts::{ConnectionFacts, HeadRefusal};
use crate::net::host::Authority;
use crate::origin::Origin;
use crate::telemetry::ACCESS;

/// A line being written while its request is served.
#[derive(Debug)]
pub struct Line {
    conn: String,
    listener: String,
    peer: IpAddr,
    client: Option<IpAddr>,
    class: &'static str,
    local: bool,
    protocol: &'static str,
    method: String,
    host: String,
    path: String,
    agent: String,
    reason: &'static str,
    code: Option<Code>,
    started: Instant,
}

/// What stands where nothing is known.
const NONE: &str = "-";

impl Line {
    /// The line of the request with this head.
    pub fn of(head: &Parts, facts: &ConnectionFacts) -> Self {
        let agent = head.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        Self {
            protocol: match head.version {
                Version::HTTP_2 => "h2",
                Version::HTTP_10 => "http/1.0",
                _ => "http/1.1",
            },
            method: printable(head.method.as_str(), LOG_WORD_CHARS_MAX),
            path: printable(head.uri.path(), LOG_PATH_CHARS_MAX),
            agent: agent.map_or(NONE.to_owned(), |agent| printable(&agent, LABEL_CHARS_MAX)),
            ..Self::without_head(facts)
        }
    }

    fn without_head(facts: &ConnectionFacts) -> Self {
        Self {
            conn: facts.id.to_string(),
            listener: facts.listener.load().name.clone(),
            peer: facts.peer.ip(),
            client: None,
            class: NONE,
            local: false,
            protocol: "http/1.1",
            method: NONE.to_owned(),
            host: NONE.to_owned(),
            path: NONE.to_owned(),
            agent: NONE.to_owned(),
            reason: NONE,
            code: None,
            started: Instant::now(),
        }
    }

    /// Says which host was asked for.
    pub fn host(&mut self, authority: &Authority) {
        self.host = printable(&authority.to_string(), LABEL_CHARS_MAX);
    }

    /// Says who is calling.
    pub fn origin(&mut self, origin: &Origin) {
        self.client = origin.client.map(|client| client.ip());
        self.class = origin.class.as_str();
        self.local = origin.is_local();
    }

    /// Says why the request was not served, and the code that its caller was given.
    pub fn refused(&mut self, reason: &'static str, code: Option<Code>) {
        (self.reason, self.code) = (reason, code);
    }

    /// Writes the line: `bytes` of a body were sent, or the caller was gone.
    pub fn finish(self, status: StatusCode, bytes: Option<usize>) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let client = self.client.map_or(NONE.to_owned(), |client| client.to_string());
        // Text as values, not by Display: the log's own quotes keep a stranger's spaces from looking like further fields.
        info!(
            target: ACCESS,
            conn = %self.conn, listener = self.listener, peer = %self.peer, %client, class = self.class, local = self.local,
            protocol = self.protocol, method = self.method, host = self.host, path = self.path, status = status.as_u16(),
            bytes = bytes.unwrap_or(0), gone = bytes.is_none(), reason = self.reason, code = Code::shown(self.code),
            micros, agent = self.agent, "request"
        );
    }
}

/// The line of a head that did not become a request.
pub fn head_refused(HeadRefusal { fault, code }: HeadRefusal, origin: &Origin, facts: &ConnectionFacts) {
    let mut line = Line::without_head(facts);
    line.refused(fault.reason(), code);
    line.origin(origin);
    line.finish(fault.status(), Some(0));
}
