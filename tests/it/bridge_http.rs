//! Promise: over HTTP, whoever calls reaches of the gateway behind us what the design's rules give, and nothing else; and what
//! arrives there is told byte for byte, by a fake gateway that writes down what it gets.

use crate::support::behind::{Behind, SECRET, UPSTREAM, bearer};
use crate::support::caller::Caller;
use crate::support::fake_upstream::{FakeUpstream, body, write};
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::lan::Household;

const ADDRESS: &str = "127.0.0.1:28790";
const URL: &str = "http://127.0.0.1:28790";

const HOOKS: &str = r#"
[[core.upstream.open]]
path = "/hooks/*"
methods = ["POST"]
"#;

#[test]
fn what_arrives_is_one_host_our_token_for_whom_we_know_and_nothing_that_looks_like_our_word() {
    let home = Household::new();
    let fake = FakeUpstream::start(&home.host, ADDRESS, |head, stream| {
        let _body = body(head, stream);
        write(stream, "200 OK", "Content-Type: text/plain\r\n", "fine")
    });
    let behind = Behind::start(&home, URL, HOOKS);
    let forged = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X_Forwarded_For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Doorward-Assertion", "e30.e30.e30"),
        ("X-Doorward-User", "owner"),
        ("X-OpenClaw-Scopes", "operator.admin"),
        ("X-OpenClaw-Token", "stolen"),
        ("Tailscale-User-Login", "owner"),
        ("Remote-User", "owner"),
        ("Proxy-Authorization", "Basic b3duZXI6"),
        ("Keep-Alive", "timeout=9999"),
        ("TE", "trailers, chunked"),
    ];
    let with = |lines: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        forged.iter().chain(lines).map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let seen = |what: &str, lines: Vec<(&'static str, String)>, body: &[u8]| {
        let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = behind.asked_from_lan(what, &lines, body);
        assert_eq!((answer.status, answer.body.as_str()), (200, "fine"), "{what}: {}", answer.head);
        let [head] = <[String; 1]>::try_from(fake.take_heads()).unwrap();
        let (first, rest) = head.split_once("\r\n").unwrap();
        // Names have no case on the wire (RFC 9110 §5.1).
        let lowered =
            |line: &str| line.split_once(": ").map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()));
        let mut rest: Vec<_> = rest.split("\r\n").filter_map(lowered).collect();
        rest.sort();
        (first.to_owned(), rest)
    };
    let host = "host: 127.0.0.1:28790".to_owned();
    let agent = "user-agent: tester".to_owned();

    let (first, rest) = seen("GET /chat/main?token=SECRET", with(&[("Cookie", "a=b"), ("Accept", "text/html")]), b"");
    assert_eq!(first, "GET / HTTP/1.1");
    assert_eq!(rest, ["accept: text/html".to_owned(), host.clone(), agent.clone()]);

    let (first, rest) = seen("GET /assets/a.js?v=1", with(&[("Authorization", "Bearer guess")]), b"");
    assert_eq!((first.as_str(), rest), ("GET /assets/a.js?v=1 HTTP/1.1", vec![host.clone(), agent.clone()]));

    let mut lines = with(&[
        ("Origin", "https://10.77.0.1:8443"),
        ("Referer", "https://10.77.0.1:8443/chat?session=x"),
        ("Cookie", "a=b"),
        ("X-OpenClaw-Agent-Id", "main"),
        ("X-Custom", "kept"),
        ("Accept-Encoding", "gzip, br"),
    ]);
    lines.push(bearer(&behind.operator));
    let (first, rest) = seen("POST /v1/chat/completions?x=1", lines, b"hello");
    assert_eq!(first, "POST /v1/chat/completions?x=1 HTTP/1.1");
    assert_eq!(
        rest,
        [
            "accept-encoding: identity".to_owned(),
            format!("authorization: Bearer {UPSTREAM}"),
            "content-length: 5".to_owned(),
            "cookie: a=b".to_owned(),
            host.clone(),
            "origin: http://127.0.0.1:28790".to_owned(),
            "referer: http://127.0.0.1:28790/".to_owned(),
            agent.clone(),
            "x-custom: kept".to_owned(),
            "x-openclaw-agent-id: main".to_owned(),
        ]
    );

    let (first, rest) = seen("POST /hooks/wake", vec![bearer("hooks-own")], b"{}");
    assert_eq!(first, "POST /hooks/wake HTTP/1.1");
    assert_eq!(rest, ["authorization: Bearer hooks-own".to_owned(), "content-length: 2".to_owned(), host, agent]);
}

#[test]
fn each_caller_reaches_what_the_rules_give_and_the_gateway_hears_of_nothing_else() {
    let home = Household::new();
    let fake = FakeUpstream::start(&home.host, ADDRESS, |head, stream| {
        let _body = body(head, stream);
        write(stream, "200 OK", "", "fine")
    });
    let behind = Behind::start(&home, URL, HOOKS);
    let (secret, operator, reader) = (bearer(SECRET), bearer(&behind.operator), bearer(&behind.reader));
    let nobody: Option<&(&str, String)> = None;
    for (what, credential, lan, here) in [
        ("GET /", nobody, 200, 200),
        ("HEAD /settings/devices", nobody, 200, 200),
        ("GET /favicon.ico", nobody, 200, 200),
        ("GET /assets/a.js", Some(&secret), 200, 200),
        ("GET /control-ui-config.json", nobody, 401, 401),
        ("GET /control-ui-config.json", Some(&secret), 200, 200),
        ("GET /control-ui-config.json", Some(&reader), 200, 200),
        ("GET /avatar/main", nobody, 401, 401),
        ("GET /avatar/main", Some(&operator), 200, 200),
        ("GET /v1/models", Some(&secret), 403, 200),
        ("GET /v1/models", Some(&reader), 200, 200),
        ("POST /v1/chat/completions", nobody, 401, 401),
        ("POST /v1/chat/completions", Some(&secret), 403, 200),
        ("POST /v1/chat/completions", Some(&reader), 403, 403),
        ("POST /v1/chat/completions", Some(&operator), 200, 200),
        ("POST /tools/invoke", Some(&secret), 403, 200),
        ("POST /tools/invoke", Some(&operator), 200, 200),
        ("POST /hooks/../tools/invoke", Some(&secret), 403, 200),
        ("POST /hooks/%2e%2e/tools/invoke", nobody, 401, 401),
        ("POST /hooks/wake", nobody, 200, 200),
        ("GET /hooks/wake", nobody, 401, 401),
        ("DELETE /anything", nobody, 401, 401),
        ("POST /", nobody, 401, 401),
        ("GET /metrics", Some(&operator), 404, 404),
        ("GET /.well-known/x", Some(&operator), 404, 404),
        ("GET /doorward/nothing", Some(&operator), 404, 404),
    ] {
        let headers: Vec<(&str, &str)> = credential.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = if what.starts_with("POST") { &b"{}"[..] } else { b"" };
        for (place, expected) in [("lan", lan), ("here", here)] {
            let answer = match place {
                "lan" => behind.asked_from_lan(what, &headers, body),
                _ => behind.asked_from_here(what, &headers, body),
            };
            assert_eq!(answer.status, expected, "{what} {credential:?} from {place}: {}", answer.body);
            let heard = fake.take_heads().len();
            assert_eq!(heard, usize::from(expected == 200), "{what} {credential:?}");
            if expected == 401 || expected == 403 {
                assert!(answer.head.to_ascii_lowercase().contains("cache-control: no-store"), "{}", answer.head);
                assert!(answer.body.contains("\"doorward\":"), "no code: {}", answer.body);
            }
        }
    }
    let denied = behind.asked_from_lan("POST /tools/invoke", &[("Authorization", &format!("Bearer {SECRET}"))], b"{}");
    for words in ["device-required", "paired device", "[[core.upstream.open]]"] {
        assert!(denied.body.contains(words), "{words}: {}", denied.body);
    }
    let code = denied.body.split("\"doorward\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let why = behind.asked_from_lan(&format!("GET /doorward/why/{code}"), &[], b"");
    assert!(why.body.contains("device-required"), "{}", why.body);
    let told = behind.instance.words(&["explain", code]);
    assert!(told.contains("device-required"), "{told}");
}

#[test]
fn a_page_of_another_site_uses_nothing_of_the_gateway() {
    let home = Household::new();
    let fake = FakeUpstream::start(&home.host, ADDRESS, |head, stream| {
        let _body = body(head, stream);
        write(stream, "200 OK", "", "fine")
    });
    let behind = Behind::start(&home, URL, HOOKS);
    let operator = format!("Bearer {}", behind.operator);
    for what in ["GET /control-ui-config.json", "GET /v1/models", "POST /tools/invoke", "POST /hooks/wake"] {
        for origin in ["https://evil.example", "null", "https://10.77.0.1:8444"] {
            let answer = behind.asked_from_lan(what, &[("Authorization", &operator), ("Origin", origin)], b"");
            assert_eq!(answer.status, 403, "{what} {origin}: {}", answer.body);
            assert!(answer.body.contains("foreign-web-origin"), "{}", answer.body);
        }
    }
    assert_eq!(fake.take_heads(), [""; 0]);
    let page = behind.asked_from_lan("GET /", &[("Origin", "https://evil.example")], b"");
    assert_eq!(page.status, 200);
    assert!(!fake.take_heads()[0].contains("origin:"), "its name went up");
}

#[test]
fn wrong_tokens_count_as_in_a_connect_and_no_gateway_hears_of_them() {
    let home = Household::new();
    let fake = FakeUpstream::start(&home.host, ADDRESS, |_, stream| write(stream, "200 OK", "", "fine"));
    let behind = Behind::start(&home, URL, "");
    let get = |token: &str| {
        behind.asked_from_lan("GET /control-ui-config.json", &[("Authorization", &format!("Bearer {token}"))], b"")
    };
    for guess in 0..10 {
        let answer = get(&format!("guess-{guess}"));
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(answer.body.contains("credential-wrong"), "{}", answer.body);
    }
    let locked = get("guess-10");
    assert_eq!(locked.status, 429, "{}", locked.body);
    let head = locked.head.to_ascii_lowercase();
    let wait = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((200..=300).contains(&wait.parse::<u32>().unwrap()), "{head}");
    assert_eq!(get(SECRET).status, 429, "right or wrong, the secret is not looked at");
    assert_eq!(fake.take_heads(), [""; 0]);

    let caller = Caller::trusting("10.77.0.1:8443", &behind.instance.authority());
    let refused = call(&home.lan, &caller, &Device::new(), Ask::operator(SECRET)).refused();
    assert_eq!(refused.error["details"]["code"], "AUTH_RATE_LIMITED", "{:#}", refused.error);

    assert_eq!(get(&behind.operator).status, 200, "a neighbour's guesses do not keep a paired device out");
    assert_eq!(
        behind
            .asked_from_here("GET /control-ui-config.json", &[("Authorization", &format!("Bearer {SECRET}"))], b"")
            .status,
        200
    );
    assert_eq!(fake.take_heads().len(), 2);
}

#[test]
fn an_answer_comes_down_without_the_gateways_own_hop_secret_and_name() {
    let home = Household::new();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, |_, stream| {
        let lines = format!(
            "Content-Type: application/json\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Kept: yes\r\n\
             Strict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\":443\"\r\nX-Leak: {UPSTREAM}\r\n\
             Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nLocation: http://127.0.0.1:28790/next?x=1\r\n"
        );
        write(stream, "302 Found", &lines, &format!("{{\"token\":\"{UPSTREAM}\"}}"))
    });
    let behind = Behind::start(&home, URL, "");
    let answer =
        behind.asked_from_lan("GET /v1/models", &[("Authorization", &format!("Bearer {}", behind.operator))], b"");
    let head = answer.head.to_ascii_lowercase();
    assert_eq!(answer.status, 302, "{head}");
    for kept in ["x-kept: yes", "set-cookie: a=1", "set-cookie: b=2", "location: /next?x=1"] {
        assert!(head.contains(kept), "{kept}: {head}");
    }
    assert!(head.contains("cross-origin-resource-policy: same-origin"), "{head}");
    for gone in ["keep-alive", "strict-transport", "alt-svc", "x-leak", "28790", "x-hop"] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    let masked = "*".repeat(UPSTREAM.len());
    assert_eq!(answer.body, format!("{{\"token\":\"{masked}\"}}"));
}
