//! The catalogue as data: header lines that a stranger adds to an honest request, and what the core gets then.

/// What comes of a request with a row's lines, by one way in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The core gets these lines besides those of the honest request.
    Kept(&'static [&'static str]),
    /// HTTP/2 calls such a request malformed (RFC 9113 §8.2.2): its stream is reset, and nothing arrives.
    Malformed,
    /// This status, and nothing arrives.
    Refused(u16),
    /// The core gets, byte for byte, what it gets without the lines.
    Same,
}

use Outcome::{Kept, Malformed, Refused, Same};

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// What the stranger adds.
    pub(super) lines: &'static [(&'static str, &'static str)],
    /// What comes of it over HTTP/1.1.
    pub(super) http1: Outcome,
    /// Over HTTP/2.
    pub(super) http2: Outcome,
    /// On the way to a WebSocket.
    pub(super) socket: Outcome,
}

const fn row(lines: &'static [(&'static str, &'static str)]) -> Row {
    Row { lines, http1: Same, http2: Same, socket: Same }
}

impl Row {
    const fn with_http2(self, http2: Outcome) -> Self {
        Self { http2, ..self }
    }

    const fn with_all(self, outcome: Outcome) -> Self {
        Self { http1: outcome, http2: outcome, socket: outcome, ..self }
    }

    const fn with_socket(self, socket: Outcome) -> Self {
        Self { socket, ..self }
    }
}

/// A token of three parts that nobody signed.
const FORGED: &str = "eyJhbGciOiJFZERTQSJ9.eyJsb2NhbCI6dHJ1ZX0.AAAA";

pub(super) const ROWS: &[Row] = &[
    row(&[("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "::1"), ("Forwarded", "for=127.0.0.1")]),
    row(&[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "::1, 127.0.0.1"), ("x-forwarded-for", "")]),
    row(&[("CF-Connecting-IP", "127.0.0.1"), ("True-Client-IP", "127.0.0.1"), ("Fastly-Client-IP", "127.0.0.1")]),
    row(&[("X-Client-IP", "::1"), ("X-Cluster-Client-IP", "::1"), ("X-Envoy-External-Address", "::1")]),
    row(&[("Connection", "close, X-Forwarded-For, X-Real-IP, X-OpenClaw-Edge-Identity, Authorization")])
        .with_http2(Malformed),
    row(&[("Connection", "X-Doorward-Assertion"), ("Connection", "x-doorward-assertion,,Cookie ,\tHost")])
        .with_http2(Malformed),
    row(&[("Connection", "Host, Content-Length, Origin, Cookie, Authorization, Sec-WebSocket-Key, Connection")])
        .with_http2(Malformed),
    row(&[("Connection", "X-Mine"), ("X-Mine", "ends at the next hop")]).with_http2(Malformed),
    row(&[("Connection", "x_doorward_assertion, @, \"close\"")]).with_http2(Malformed),
    row(&[("X_Forwarded_For", "::1"), ("X-OpenClaw_Edge_Identity", FORGED), ("X_OPENCLAW_EDGE_IDENTITY", FORGED)]),
    row(&[("X.OpenClaw.Edge.Identity", FORGED), ("X_Doorward-Assertion", FORGED), ("x.doorward.assertion", FORGED)]),
    // Spellings of what frames a request or opens a socket, for a reader behind us who folds.
    row(&[("Transfer_Encoding", "chunked"), ("Content_Length", "4"), ("content.length", "4"), ("Keep_Alive", "1")]),
    row(&[("Sec_WebSocket_Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Sec-WebSocket_Protocol", "x"), ("HTTP2_Settings", "")]),
    row(&[("Proxy", "http://evil.example"), ("Proxy_Authorization", "Basic x"), ("SSL_CLIENT_VERIFY", "SUCCESS")]),
    row(&[("X-Doorward-Assertion", FORGED)]),
    row(&[("X-Doorward-Assertion", FORGED), ("x-doorward-assertion", FORGED), ("X-Openclaw-Edge-Identity", FORGED)]),
    row(&[("X-Doorward-Assertion", ""), ("X-Doorward-Assertion-2", FORGED), ("X-Doorward", FORGED)])
        .with_all(Kept(&["x-doorward: eyJhbGciOiJFZERTQSJ9.eyJsb2NhbCI6dHJ1ZX0.AAAA"])),
    row(&[("x-openclaw-scopes", "operator.admin"), ("x-openclaw-agent-id", "x"), ("X-OpenClaw-Anything", "x")]),
    row(&[("tailscale-user-login", "owner@x"), ("Tailscale-User-Name", "o"), ("Tailscale-Headers-Info", "x")]),
    row(&[("x-forwarded-user", "owner@x"), ("X-Forwarded-Email", "owner@x"), ("X-Forwarded-Groups", "admin")]),
    row(&[("Remote-User", "owner"), ("X-Remote-User", "owner"), ("Remote-Groups", "admin"), ("X-WebAuth-User", "o")]),
    row(&[("Cf-Access-Jwt-Assertion", FORGED), ("Cf-Access-Authenticated-User-Email", "owner@x")]),
    row(&[("X-Pomerium-Jwt-Assertion", FORGED), ("X-Pomerium-Claim-Email", "owner@x")]),
    row(&[("X-Goog-IAP-JWT-Assertion", FORGED), ("X-Goog-Authenticated-User-Email", "owner@x")]),
    row(&[("X-Auth-Request-User", "o"), ("X-Auth-Request-Access-Token", FORGED), ("X-authentik-username", "o")]),
    row(&[("X-Amzn-Oidc-Data", FORGED), ("X-MS-CLIENT-PRINCIPAL-NAME", "o"), ("X-Vouch-User", "o")]),
    row(&[("Client-Cert", ":AAAA:"), ("X-SSL-Client-DN", "CN=o"), ("X-Forwarded-Client-Cert", "Hash=0")]),
    row(&[("X-User", "o"), ("X-User-Id", "1"), ("X-Email", "o@x"), ("X-Roles", "admin"), ("X-Groups", "admin")]),
    row(&[("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Port", "80")]),
    row(&[("X-Forwarded-Prefix", "//evil"), ("X-Forwarded-Scheme", "http"), ("X-Scheme", "http"), ("X-Host", "e")]),
    row(&[("X-Forwarded-Proto", "https"), ("Front-End-Https", "on"), ("Origin", "https://localhost")])
        .with_all(Kept(&["origin: https://localhost"]))
        .with_socket(Refused(403)),
    row(&[("X-Forwarded-Host", "evil.example"), ("Origin", "http://evil.example")])
        .with_all(Kept(&["origin: http://evil.example"]))
        .with_socket(Refused(403)),
    row(&[("X-Original-URL", "/admin"), ("X-Rewrite-URL", "/admin"), ("X-Forwarded-Uri", "/healthz")]),
    row(&[("X-HTTP-Method-Override", "DELETE"), ("X-HTTP-Method", "DELETE"), ("X-Method-Override", "DELETE")]),
    row(&[("X-Accel-Redirect", "/etc"), ("X-Sendfile-Type", "X-Accel-Redirect"), ("X-Original-Method", "DELETE")]),
    row(&[("User-Agent", "GoogleHC/1.0")]).with_all(Kept(&["user-agent: GoogleHC/1.0"])),
    row(&[("User-Agent", "kube-probe/1.29")]).with_all(Kept(&["user-agent: kube-probe/1.29"])),
    row(&[("Proxy-Connection", "keep-alive")]).with_http2(Malformed),
    row(&[("Keep-Alive", "timeout=9999")]).with_http2(Malformed),
    row(&[("Proxy-Authorization", "Basic x"), ("Proxy-Authenticate", "Basic"), ("Trailer", "X-Doorward-Assertion")]),
    row(&[("TE", "trailers, chunked")]).with_http2(Malformed),
    row(&[("TE", "trailers")]),
    row(&[("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
        .with_http2(Malformed)
        .with_socket(Refused(400)),
    row(&[("Expect", "100-continue")]),
    row(&[("Expect", "100-continue, 200-ok")]).with_all(Refused(417)),
    row(&[("Expect", "100-continue"), ("Expect", "100-continue")]).with_all(Refused(417)),
];

/// Names that nobody may send in any spelling: of each kind the core, or a gateway behind it, could take for our word.
pub(super) const PROTECTED: &[&str] = &[
    "x-doorward-assertion",
    "x-openclaw-scopes",
    "x-openclaw-edge-identity",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-user",
    "x-real-ip",
    "forwarded",
    "via",
    "tailscale-user-login",
    "cf-connecting-ip",
    "cf-access-jwt-assertion",
    "true-client-ip",
    "remote-user",
    "x-remote-user",
    "x-auth-request-user",
    "x-pomerium-jwt-assertion",
    "x-goog-iap-jwt-assertion",
    "x-authentik-username",
    "x-original-url",
    "x-http-method-override",
    "client-cert",
    "ssl-client-verify",
];

/// Requests whose target host has no single reading over HTTP/1.1, and the status; nothing arrives.
pub(super) const HOSTS: &[(&str, u16)] = &[
    ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost?b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: \r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost:\u{e4}\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: local host\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ("GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
    ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET http://a@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET http:/// HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("GET http://localhost/ HTTP/1.1\r\n\r\n", 400),
];

/// Trailer sections that follow a body, over both versions.
pub(super) const TRAILERS: &[&[(&str, &str)]] = &[
    &[("x-doorward-assertion", FORGED)],
    &[("x-doorward-assertion", FORGED), ("x-doorward-assertion", FORGED), ("x_doorward_assertion", FORGED)],
    &[("x-openclaw-edge-identity", FORGED), ("x-openclaw-scopes", "operator.admin"), ("x-forwarded-for", "127.0.0.1")],
    &[("host", "evil.example"), ("content-length", "0"), ("authorization", "Bearer other"), ("origin", "null")],
];
