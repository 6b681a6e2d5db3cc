//! What no caller may send: every header the core, or anything behind it, could take for our word.
//!
//! Identity headers are lost or doubled more often than forged, so the rule is: strip by look-alike family first, set last.
//! A family is a name with every separator folded to `-`, because servers behind us read `X_Forwarded.For` as `X-Forwarded-For`
//! (CGI, WSGI, PHP). The forwarding names stand once, in `origin`.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};

use crate::origin::Settings;
use crate::origin::forwarded::names::is_forwarding;

/// The assertion's header.
pub const ASSERTION: HeaderName = HeaderName::from_static("x-doorward-assertion");

/// Fields that end at the next hop (RFC 9110 §7.6.1), `Proxy-Connection`, `Keep-Alive` and `HTTP2-Settings` of old with them.
pub const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("te"),
    HeaderName::from_static("trailer"),
    HeaderName::from_static("transfer-encoding"),
    UPGRADE,
];

/// The caller's own words by which edge and core judge: `Connection` cannot take them away between the two, and no other
/// spelling can stand beside them.
pub const JUDGED: [HeaderName; 9] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    COOKIE,
    HOST,
    ORIGIN,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
];

/// Families of headers by which products pass an identity, a permission or another target on, beside the forwarding ones. Each
/// stands for every name that begins with it. Sorted, and none begins another: one search finds the only candidate.
const FAMILIES: [&str; 32] = [
    "eppn",
    "mellon-",
    "oidc-",
    "proxy",
    "shib-",
    "ssl-",
    "teleport-",
    "x-accel-",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-name",
    "x-auth-roles",
    "x-auth-user",
    "x-authelia-",
    "x-consumer-",
    "x-credential-",
    "x-doorward-",
    "x-email",
    "x-groups",
    "x-http-method",
    "x-jwt-",
    "x-method-override",
    "x-openclaw-",
    "x-proto",
    "x-roles",
    "x-sendfile-",
    "x-spiffe-",
    "x-tailscale-",
    "x-teleport-",
    "x-user",
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

    fn as_str(&self) -> &str {
        // Never: the bytes are ASCII, and the length is theirs.
        self.bytes.get(..self.length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Whether no caller may send a header of this name, because somebody could take it for our word.
pub fn is_look_alike(name: &HeaderName) -> bool {
    let folded = Folded::of(name);
    is_forwarding(folded.as_str()) || is_of_a_family(&folded)
}

fn is_of_a_family(folded: &Folded) -> bool {
    let after = FAMILIES.partition_point(|family| *family <= folded.as_str());
    let candidate = after.checked_sub(1).and_then(|index| FAMILIES.get(index));
    candidate.is_some_and(|family| folded.as_str().starts_with(family))
}

/// Whether `name` is not the assertion's header but would be to a reader who folds separators.
pub fn is_assertion_twin(name: &HeaderName) -> bool {
    name != ASSERTION && Folded::of(name).as_str() == ASSERTION.as_str()
}

/// Whether `name` is another spelling of a field that we read: it could frame or judge the request for a reader who folds.
fn is_twin(name: &HeaderName) -> bool {
    let folded = Folded::of(name);
    let of = |read: &HeaderName| read == folded.as_str();
    name != folded.as_str() && (HOP_BY_HOP.iter().any(of) || JUDGED.iter().any(of))
}

/// Removes from a request's head what no caller may send: every look-alike, and what `origin` says any listener reads is one
/// too; other spellings of what we read; the hop-by-hop fields; and whatever else `Connection` nominates (RFC 9110 §7.6.1) but
/// cannot mean to end here. A WebSocket upgrade keeps `Connection: upgrade` and `Upgrade: websocket`, in exactly that form.
///
/// To be called on the copy that goes on, never on the head by which a server still reads the body's framing.
pub fn strip(headers: &mut HeaderMap, origin: &Settings) {
    let nominated = nominated(headers);
    let is_websocket = nominated.contains(&UPGRADE) && upgrades_to_websocket(headers);
    let is_doomed = |name: &&HeaderName| is_look_alike(name) || origin.is_forwarding(name) || is_twin(name);
    let doomed: Vec<HeaderName> = headers.keys().filter(is_doomed).cloned().collect();
    for name in doomed.iter().chain(&nominated).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if is_websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// The fields that `Connection` says end here. What is meant for all recipients is nobody's to nominate (RFC 9110 §7.6.1).
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok());
    names.filter(|name| !JUDGED.contains(name)).collect()
}

fn upgrades_to_websocket(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(UPGRADE).iter();
    let is_websocket = lines.next().is_some_and(|line| line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
    is_websocket && lines.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_are_sorted_and_none_hides_another() {
        assert!(FAMILIES.is_sorted());
        for pair in FAMILIES.windows(2) {
            assert!(!pair[1].starts_with(pair[0]), "{pair:?}");
        }
        for family in FAMILIES {
            assert!(family.len() <= FOLDED_BYTES_MAX && family.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric()));
            assert!(!is_forwarding(family), "{family} stands in `origin` already");
        }
    }

    const LOOK_ALIKES: &str = "\
        x-doorward-assertion X_Doorward_Assertion x.doorward.assertion x_doorward-anything \
        x~doorward~assertion x-forwarded-for x_forwarded_for x.forwarded.for x-forwarded forwarded \
        x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-uri \
        x-forwarded-user x-forwarded-client-cert x-real-ip x_real_ip via cf-connecting-ip \
        cf-access-jwt-assertion cf_access_authenticated_user_email cdn-loop true-client-ip x-client-ip \
        fastly-client-ip tailscale-user-login tailscale_user_login x-openclaw-scopes x_openclaw_scopes \
        x-openclaw-edge-identity x-pomerium-jwt-assertion x-pomerium-claim-email remote-user remote_groups \
        x-remote-user x-auth-request-user x-auth-request-access-token x-original-url x-rewrite-url \
        x-http-method-override x-http-method x-method-override x-envoy-external-address \
        x-goog-authenticated-user-email x-amzn-oidc-data x-ms-client-principal-name x-authentik-username \
        x-webauth-user x-vouch-user x-consumer-username ssl-client-verify x-ssl-client-dn client-cert \
        client-cert-chain teleport-jwt-assertion oidc-claim-sub shib-session-id x-user x-user-email x-email \
        proxy proxy-authorization x-accel-redirect x-sendfile-type";

    #[test]
    fn every_spelling_of_what_is_ours_to_say_is_a_look_alike() {
        for name in LOOK_ALIKES.split_ascii_whitespace() {
            assert!(is_look_alike(&name_of(name)), "{name}");
        }
    }

    #[test]
    fn what_browsers_and_the_gateway_need_passes() {
        for name in [
            "host",
            "origin",
            "referer",
            "user-agent",
            "accept",
            "accept-language",
            "cookie",
            "authorization",
            "content-type",
            "content-length",
            "range",
            "if-none-match",
            "sec-websocket-key",
            "sec-websocket-protocol",
            "sec-fetch-site",
            "x-requested-with",
            "x-request-id",
            "x-api-key",
            "x-csrf-token",
            "traceparent",
            "dnt",
            "x",
            "x-correlation-id",
            "idempotency-key",
            "last-event-id",
            "cache-control",
            "viable",
            "a-x-forwarded-for",
        ] {
            assert!(!is_look_alike(&name_of(name)), "{name}");
        }
    }

    #[test]
    fn only_the_assertions_own_twins_are_twins() {
        for yes in ["x_doorward_assertion", "x.doorward-assertion", "x!doorward-assertion"] {
            assert!(is_assertion_twin(&name_of(yes)), "{yes}");
        }
        for no in ["x-doorward-assertion", "x-doorward-assertions", "x-doorward", "host"] {
            assert!(!is_assertion_twin(&name_of(no)), "{no}");
        }
    }

    #[test]
    fn strip_leaves_only_the_callers_own_words() {
        let mut headers = map(&[
            ("host", "claw.example"),
            ("cookie", "a=b"),
            ("content-length", "3"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-for", "::1"),
            ("x_doorward_assertion", "a.b.c"),
            ("x-doorward-assertion", "a.b.c"),
            ("x-doorward-assertion", "d.e.f"),
            ("x-openclaw-scopes", "operator.admin"),
            ("connection", "close, x-secret , Host"),
            ("connection", "content-length"),
            ("x-secret", "nominated"),
            ("keep-alive", "timeout=9999"),
            ("te", "trailers, chunked"),
            ("trailer", "x-doorward-assertion"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "keep-alive"),
            ("http2-settings", "AAMAAABk"),
            ("transfer_encoding", "chunked"),
            ("content_length", "4"),
            ("Keep.Alive", "timeout=9999"),
            ("sec_websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        strip(&mut headers, &Settings::default());
        assert_eq!(shown(&headers), ["content-length: 3", "cookie: a=b", "host: claw.example"]);
    }

    #[test]
    fn connection_cannot_nominate_what_is_set_after_it() {
        let mut headers = map(&[("host", "a"), ("connection", "close, X-Doorward-Assertion")]);
        strip(&mut headers, &Settings::default());
        headers.insert(ASSERTION, HeaderValue::from_static("ours"));
        assert_eq!(shown(&headers), ["host: a", "x-doorward-assertion: ours"]);
    }

    #[test]
    fn connection_cannot_take_away_what_is_judged() {
        for judged in JUDGED {
            let mut headers = map(&[(judged.as_str(), "kept"), ("connection", judged.as_str())]);
            strip(&mut headers, &Settings::default());
            assert_eq!(shown(&headers), [format!("{judged}: kept")]);
        }
    }

    #[test]
    fn only_a_websocket_keeps_its_upgrade() {
        let upgrade = |connection: &str, upgrades: &[&str]| {
            let mut headers = map(&[("connection", connection)]);
            for upgrade in upgrades {
                headers.append(UPGRADE, HeaderValue::from_str(upgrade).unwrap());
            }
            strip(&mut headers, &Settings::default());
            shown(&headers)
        };
        let kept = ["connection: upgrade", "upgrade: websocket"];
        assert_eq!(upgrade("keep-alive, Upgrade", &["WebSocket"]), kept);
        assert_eq!(upgrade("keep-alive", &["websocket"]), [""; 0]);
        assert_eq!(upgrade("upgrade", &["h2c"]), [""; 0]);
        assert_eq!(upgrade("upgrade", &["websocket, h2c"]), [""; 0]);
        assert_eq!(upgrade("upgrade", &["websocket", "h2c"]), [""; 0]);
        assert_eq!(upgrade("upgrade", &[]), [""; 0]);
    }

    fn name_of(name: &str) -> HeaderName {
        HeaderName::from_bytes(name.as_bytes()).unwrap()
    }

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name_of(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }
}
