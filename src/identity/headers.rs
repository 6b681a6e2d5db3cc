//! What no caller may send: every header the core, or anything behind it, could take for our word.
//!
//! Identity headers are lost or doubled more often than forged, so the rule is: strip by look-alike family first, set last.
//! A family is a name with every separator folded to `-`, because
//! servers behind us read `X_Forwarded.For` as `X-Forwarded-For` (CGI, WSGI, PHP).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};

/// The assertion's header.
pub const ASSERTION: HeaderName = HeaderName::from_static("x-doorward-assertion");

/// Fields that end at the next hop (RFC 9110 §7.6.1), `Proxy-Connection` and `Keep-Alive` of old with them.
pub const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("te"),
    HeaderName::from_static("trailer"),
    HeaderName::from_static("transfer-encoding"),
    UPGRADE,
];

/// Families of headers by which products pass an origin, an identity, a permission or another target on. Each stands for
/// every name that begins with it. Sorted, and none begins another, so that one binary search finds the only candidate.
const FAMILIES: [&str; 77] = [
    "akamai-",
    "cdn-loop",
    "cf-",
    "client-cert",
    "client-ip",
    "cluster-client-ip",
    "do-connecting-ip",
    "eppn",
    "fastly-",
    "fly-",
    "forwarded",
    "front-end-https",
    "incap-",
    "mellon-",
    "ngrok-",
    "oidc-",
    "proxy",
    "remote-",
    "shib-",
    "ssl-",
    "tailscale-",
    "teleport-",
    "true-client-ip",
    "via",
    "wl-proxy-",
    "x-accel-",
    "x-akamai-",
    "x-amzn-",
    "x-appengine-",
    "x-arr-",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-name",
    "x-auth-request-",
    "x-auth-roles",
    "x-auth-user",
    "x-authelia-",
    "x-authenticated-",
    "x-authentik-",
    "x-azure-",
    "x-client-",
    "x-cluster-client-ip",
    "x-coming-from",
    "x-consumer-",
    "x-credential-",
    "x-doorward-",
    "x-email",
    "x-envoy-",
    "x-forwarded",
    "x-goog-",
    "x-groups",
    "x-host",
    "x-http-method",
    "x-jwt-",
    "x-method-override",
    "x-ms-client-principal",
    "x-nf-client-",
    "x-openclaw-",
    "x-original",
    "x-pomerium-",
    "x-proto",
    "x-proxy",
    "x-real-ip",
    "x-remote-",
    "x-rewrite-",
    "x-roles",
    "x-scheme",
    "x-sendfile-",
    "x-spiffe-",
    "x-ssl-",
    "x-tailscale-",
    "x-teleport-",
    "x-url-scheme",
    "x-user",
    "x-vercel-",
    "x-vouch-",
    "x-webauth-",
];

/// The longest name that is compared; families are shorter.
const FOLDED_BYTES_MAX: usize = 32;

/// A header name with everything folded that a reader behind us may fold.
struct Folded {
    bytes: [u8; FOLDED_BYTES_MAX],
    length: usize,
}

impl Folded {
    fn of(name: &HeaderName) -> Self {
        let mut bytes = [0; FOLDED_BYTES_MAX];
        let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        bytes.iter_mut().zip(name.as_str().bytes()).for_each(|(to, from)| *to = fold(from));
        Self { bytes, length: name.as_str().len().min(FOLDED_BYTES_MAX) }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Whether no caller may send a header of this name, because somebody could take it for our word.
pub fn is_look_alike(name: &HeaderName) -> bool {
    let folded = Folded::of(name);
    let after = FAMILIES.partition_point(|family| family.as_bytes() <= folded.as_bytes());
    let candidate = after.checked_sub(1).and_then(|index| FAMILIES.get(index));
    candidate.is_some_and(|family| folded.as_bytes().starts_with(family.as_bytes()))
}

/// Whether `name` is not the assertion's header but would be to a reader who folds separators.
pub fn is_assertion_twin(name: &HeaderName) -> bool {
    name != ASSERTION && Folded::of(name).as_bytes() == ASSERTION.as_str().as_bytes()
}

/// Removes from a request's head what no caller may send: every look-alike, whatever `Connection` nominates (RFC 9110 §7.6.1),
/// and the hop-by-hop fields. A WebSocket upgrade keeps `Connection: upgrade` and `Upgrade: websocket`, in exactly that form.
///
/// To be called on the copy that goes on, never on the head by which a server still reads the body's framing.
pub fn strip(headers: &mut HeaderMap) {
    let nominated = nominated(headers);
    let is_websocket = nominated.contains(&UPGRADE) && upgrades_to_websocket(headers);
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_look_alike(name)).cloned().collect();
    for name in doomed.iter().chain(&nominated).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if is_websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Removes from a trailer section what [`strip`] removes from a head, and what may not stand in trailers at all: framing, routing,
/// authentication and control (RFC 9110 §6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers);
    let doomed: Vec<HeaderName> = trailers.keys().filter(|name| !is_trailer(name)).cloned().collect();
    for name in &doomed {
        trailers.remove(name);
    }
}

fn is_trailer(name: &HeaderName) -> bool {
    const NEVER: [&str; 11] = [
        "age",
        "cache-control",
        "cookie",
        "date",
        "expect",
        "expires",
        "host",
        "location",
        "max-forwards",
        "range",
        "upgrade",
    ];
    const NEVER_BEGINNING: [&str; 7] = ["accept", "authorization", "content-", "if-", "origin", "sec-", "set-cookie"];
    let name = name.as_str();
    !NEVER.contains(&name) && !NEVER_BEGINNING.iter().any(|beginning| name.starts_with(beginning))
}

/// The fields that `Connection` says end here. Host and length are ours to judge, and nobody's to nominate.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok());
    names.filter(|name| name != HOST && name != CONTENT_LENGTH).collect()
}

fn upgrades_to_websocket(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(UPGRADE).iter();
    let is_websocket = lines.next().is_some_and(|line| line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
    is_websocket && lines.next().is_none()
}
