//! Whatever a caller sends, and whichever way it goes: what goes up is what the promise says.

use http::Request;
use http::Version;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::COOKIE;
use http::header::TRANSFER_ENCODING;
use proptest::prelude::*;

use super::*;
use crate::core::upstream::access::Credential;
use crate::core::upstream::access::Facts;
use crate::core::upstream::access::Opened;
use crate::core::upstream::access::Page;
use crate::core::upstream::access::Place;
use crate::core::upstream::access::judge;
use crate::identity::headers::HOP_BY_HOP;
use crate::identity::headers::is_look_alike;
use crate::identity::headers::strip;
use crate::origin;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

const TOKEN: &str = "upstream-token";

/// Names that matter, in spellings that a reader may fold, among names that nobody minds.
const NAMES: &[&str] = &[
    "host",
    "origin",
    "referer",
    "authorization",
    "cookie",
    "connection",
    "te",
    "transfer-encoding",
    "keep-alive",
    "upgrade",
    "expect",
    "proxy-authorization",
    "forwarded",
    "x-forwarded-for",
    "x_forwarded_for",
    "x-forwarded-host",
    "x-real-ip",
    "x-doorward-assertion",
    "x_doorward.assertion",
    "x-doorward-user",
    "x-openclaw-scopes",
    "x_openclaw_scopes",
    "x-openclaw-token",
    "x-openclaw-model",
    "x-openclaw-session-key",
    "x-openclaw-password",
    "x-openclaw-cli-capture-key",
    "tailscale-user-login",
    "cf-access-jwt-assertion",
    "remote-user",
    "x-auth-request-user",
    "accept",
    "accept-encoding",
    "content-type",
    "range",
    "x-custom",
    "user-agent",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_look_alike_no_unchecked_credential_and_one_host_go_up(
        lines in proptest::collection::vec((0..NAMES.len(), "[ -~]{0,20}"), 0..24),
        way in 0..5usize,
        trusted in any::<bool>(),
    ) {
        let mut came = HeaderMap::new();
        for (name, value) in &lines {
            let name = HeaderName::from_bytes(NAMES[*name].as_bytes()).unwrap();
            came.append(name, HeaderValue::from_str(value).unwrap());
        }
        let passage = passages()[way].clone();
        let mode = if trusted { Mode::TrustedProxy } else { Mode::Device };
        let up = go_up("GET", "/x?y", &came, &passage, mode).headers;

        prop_assert_eq!(up.get_all(HOST).iter().collect::<Vec<_>>(), ["172.18.0.2:18789"]);
        for name in HOP_BY_HOP {
            prop_assert!(!up.contains_key(&name), "{}", name);
        }
        prop_assert!(!up.contains_key(EXPECT) && !up.contains_key(ASSERTION));
        let ours = |name: &HeaderName| match passage.way() {
            Way::Admitted(_) => CHOICES.contains(name) || (trusted && *name == SCOPES),
            Way::Open(_) => OF_HOOKS.contains(name),
            Way::Public(_) => false,
        };
        for name in up.keys() {
            prop_assert!(!is_look_alike(name) || ours(name), "{}", name);
            prop_assert!(up.get_all(name).iter().count() == 1 || !ours(name), "{}", name);
        }
        let sent: Vec<_> = came.get_all(AUTHORIZATION).iter().cloned().collect();
        let went: Vec<_> = up.get_all(AUTHORIZATION).iter().cloned().collect();
        match passage.way() {
            Way::Admitted(_) if trusted => prop_assert!(went.is_empty()),
            Way::Admitted(_) => prop_assert_eq!(went, ["Bearer upstream-token"]),
            Way::Open(Bearer::Kept) if sent.len() == 1 => prop_assert_eq!(went, sent),
            Way::Open(_) => prop_assert!(went.is_empty()),
            Way::Public(_) => prop_assert!(went.is_empty() && !up.contains_key(COOKIE)),
        }
        for name in [ORIGIN, REFERER] {
            prop_assert!(up.get(&name).is_none_or(|value| value.to_str().unwrap().starts_with("http://172.18.0.2:18789")));
        }
        if matches!(passage.way(), Way::Admitted(_)) {
            prop_assert_eq!(up.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(), ["identity"]);
        }
        if trusted && matches!(passage.way(), Way::Admitted(_)) {
            prop_assert_eq!(up.get(&SCOPES).unwrap(), "operator.admin");
        }
    }
}

#[test]
fn what_an_admitted_caller_sends_goes_up_whole() {
    let came = map(&[
        ("host", "claw.example.com"),
        ("origin", "https://claw.example.com"),
        ("referer", "https://claw.example.com/chat?session=secret"),
        ("authorization", "Bearer device-token"),
        ("accept-encoding", "gzip, br"),
        ("cookie", "a=b"),
        ("content-type", "application/json"),
        ("content-length", "17"),
        ("x-custom", "kept"),
        ("x-openclaw-agent-id", "main"),
        ("x-openclaw-model", "one"),
        ("x-openclaw-model", "two"),
        ("connection", "x-custom-hop"),
        ("x-custom-hop", "1"),
    ]);
    let up = go_up("POST", "/v1/chat/completions?a=b", &came, &passages()[0], Mode::Device);
    assert_eq!(up.uri, Uri::from_static("/v1/chat/completions?a=b"));
    assert_eq!(
        shown(&up.headers),
        [
            "accept-encoding: identity",
            "authorization: Bearer upstream-token",
            "content-length: 17",
            "content-type: application/json",
            "cookie: a=b",
            "host: 172.18.0.2:18789",
            "origin: http://172.18.0.2:18789",
            "referer: http://172.18.0.2:18789/",
            "x-custom: kept",
            "x-openclaw-agent-id: main",
        ]
    );
    assert!(up.headers[AUTHORIZATION].is_sensitive());
}

#[test]
fn of_what_anybody_asks_only_the_form_of_the_answer_goes_up() {
    let came = map(&[
        ("host", "claw.example.com"),
        ("origin", "https://evil.example"),
        ("authorization", "Bearer guess"),
        ("cookie", "a=b"),
        ("accept", "text/html"),
        ("accept-encoding", "br"),
        ("if-none-match", "\"x\""),
        ("x-custom", "stays"),
        ("x-telegram-bot-api-secret-token", "stays"),
    ]);
    let up = go_up("GET", "/chat/main?token=SECRET", &came, &passages()[2], Mode::Device);
    assert_eq!(up.uri, Uri::from_static("/"));
    let expected = ["accept-encoding: br", "accept: text/html", "host: 172.18.0.2:18789", "if-none-match: \"x\""];
    assert_eq!(shown(&up.headers), expected);
}

#[test]
fn a_files_query_goes_up_only_as_its_version() {
    for (asked, expected) in [
        ("/assets/x.js?v=2026.9.6-a%2Bb", "/assets/x.js?v=2026.9.6-a%2Bb"),
        ("/assets/x.js?token=SECRET", "/assets/x.js"),
        ("/assets/x.js?v=1&token=SECRET", "/assets/x.js"),
        ("/assets/x.js", "/assets/x.js"),
    ] {
        let up = go_up("GET", asked, &HeaderMap::new(), &passages()[3], Mode::Device);
        assert_eq!(up.uri.to_string(), expected);
    }
}

#[test]
fn where_the_owner_opened_a_path_the_callers_own_credential_goes_up_as_it_is() {
    let came = map(&[
        ("host", "claw.example.com"),
        ("authorization", "Bearer hook"),
        ("x-openclaw-token", "hook"),
        ("x-openclaw-model", "not its to choose"),
        ("x-forwarded-for", "127.0.0.1"),
    ]);
    let up = go_up("POST", "/hooks/wake", &came, &passages()[1], Mode::Device);
    let expected = ["authorization: Bearer hook", "host: 172.18.0.2:18789", "x-openclaw-token: hook"];
    assert_eq!(shown(&up.headers), expected);
}

#[test]
fn on_an_open_path_nothing_goes_up_by_which_our_address_could_be_locked_out() {
    let came = map(&[("host", "claw.example.com"), ("authorization", "Bearer ours"), ("x-custom", "kept")]);
    let up = go_up("POST", "/hooks/wake", &came, &passages()[4], Mode::Device);
    assert_eq!(shown(&up.headers), ["host: 172.18.0.2:18789", "x-custom: kept"]);
    for (asked, expected) in [
        ("/hooks/x?token=guess", "/hooks/x"),
        ("/hooks/x?a=b&pass%77ord=guess&c", "/hooks/x?a=b&c"),
        ("/hooks/x?a=b", "/hooks/x?a=b"),
        ("/hooks/x?", "/hooks/x?"),
    ] {
        for way in [1, 4] {
            assert_eq!(go_up("POST", asked, &came, &passages()[way], Mode::Device).uri.to_string(), expected);
        }
    }
}

#[test]
fn without_a_token_none_goes_up() {
    let came = map(&[("authorization", "Bearer device-token")]);
    let sealed = sealed("GET", "/x", &came);
    let authority = HeaderValue::from_static("127.0.0.1:1");
    let (scheme, mode, word) = (Scheme::Http, Mode::Device, HeaderMap::new());
    let to = Destination { authority: &authority, scheme, token: None, mode, word: &word };
    let up = head(&sealed, &came, &passages()[0], to).unwrap();
    assert_eq!(shown(&up.headers), ["accept-encoding: identity", "host: 127.0.0.1:1"]);
}

#[test]
fn a_token_that_is_no_header_is_an_error_and_never_a_second_line() {
    let sealed = sealed("GET", "/x", &HeaderMap::new());
    let authority = HeaderValue::from_static("127.0.0.1:1");
    let token = Secret::new("a\r\nx-openclaw-scopes: operator.admin".to_owned());
    let (scheme, mode, word) = (Scheme::Http, Mode::Device, HeaderMap::new());
    let to = Destination { authority: &authority, scheme, token: Some(&token), mode, word: &word };
    let went = head(&sealed, &HeaderMap::new(), &passages()[0], to);
    assert!(matches!(went, Err(RequestError::Value(_))), "{went:?}");
}

#[test]
fn what_we_say_to_one_that_trusts_us_stands_once() {
    let came = map(&[("x-forwarded-for", "127.0.0.1"), ("x-doorward-user", "owner")]);
    let authority = HeaderValue::from_static("172.18.0.2:18789");
    let word = map(&[("x-forwarded-for", "203.0.113.9"), ("x-doorward-user", "alice")]);
    let (scheme, mode) = (Scheme::Https, Mode::TrustedProxy);
    let to = Destination { authority: &authority, scheme, token: None, mode, word: &word };
    for passage in passages() {
        let up = head(&sealed("GET", "/x", &came), &came, &passage, to).unwrap();
        let lines = shown(&up.headers);
        let of = |name: &str| lines.iter().filter(|line| line.starts_with(name)).cloned().collect::<Vec<_>>();
        assert_eq!(of("x-forwarded-for"), ["x-forwarded-for: 203.0.113.9"]);
        assert_eq!(of("x-doorward-user"), ["x-doorward-user: alice"]);
    }
}

/// Admitted, open, a place of the page, a file of it, open with a credential of ours.
fn passages() -> [Passage; 5] {
    let of = |resource, opened, credential| {
        let (page, place, mode) = (Page::Absent, Place::Elsewhere, Mode::Device);
        judge(Facts { resource, opened, page, place, credential, mode }).unwrap()
    };
    let device = Credential::Device { role: Role::Operator, scopes: Scopes::from_iter([Scope::ADMIN]) };
    [
        of(Resource::Rest, Opened::No, device),
        of(Resource::Rest, Opened::Yes, Credential::Absent),
        of(Resource::Place, Opened::No, Credential::Absent),
        of(Resource::Asset, Opened::No, Credential::Absent),
        of(Resource::Rest, Opened::Yes, Credential::Secret),
    ]
}

fn go_up(method: &str, target: &str, came: &HeaderMap, passage: &Passage, mode: Mode) -> Parts {
    let authority = HeaderValue::from_static("172.18.0.2:18789");
    let (token, word) = (Secret::new(TOKEN.to_owned()), HeaderMap::new());
    let to = Destination { authority: &authority, scheme: Scheme::Http, token: Some(&token), mode, word: &word };
    head(&sealed(method, target, came), came, passage, to).unwrap()
}

/// As the edge hands it on, but for a WebSocket's upgrade, which does not come this way.
fn sealed(method: &str, target: &str, came: &HeaderMap) -> Parts {
    let request = Request::builder().method(method).uri(target).version(Version::HTTP_11);
    let mut head = request.body(()).unwrap().into_parts().0;
    head.headers = came.clone();
    strip(&mut head.headers, &origin::Settings::default());
    for name in [CONNECTION, http::header::UPGRADE] {
        head.headers.remove(name);
    }
    let left = &head.headers;
    assert!(!left.contains_key(TRANSFER_ENCODING));
    assert_eq!(left.get(CONTENT_LENGTH), came.get(CONTENT_LENGTH));
    head.headers.insert(ASSERTION, HeaderValue::from_static("a.b.c"));
    head
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}
