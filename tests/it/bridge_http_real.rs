//! Promise: the real gateway, 2026.9.6, serves through us what its page asks for over HTTP, to those who may have it; what a
//! stranger tries never reaches it, so that nobody is locked out there.

use serde_json::Value;

use crate::support::behind::{Behind, SECRET, UPSTREAM};
use crate::support::caller::{Answer, Caller};
use crate::support::lan::Household;
use crate::support::openclaw::Gateway;

const HOOK: &str = "hook-8Wd4rZk1VtJx6bMy9GcU";

const OPEN: &str = r#"
[[core.upstream.open]]
path = "/hooks/*"
methods = ["POST"]
"#;

#[test]
fn the_real_page_its_files_configuration_tools_completions_and_hooks() {
    let home = Household::new();
    let _gateway = Gateway::configured(&home.host, UPSTREAM, |settings| {
        settings["gateway"]["port"] = 28_790.into();
        settings["gateway"]["bind"] = "loopback".into();
        let endpoints = serde_json::json!({ "chatCompletions": { "enabled": true } });
        settings["gateway"]["http"] = serde_json::json!({ "endpoints": endpoints });
        settings["hooks"] = serde_json::json!({ "enabled": true, "token": HOOK });
    });
    let behind = Behind::start(&home, "http://127.0.0.1:28790", OPEN);
    let direct = |path: &'static str| -> Answer {
        home.host.on(move || Caller::plain("127.0.0.1:28790").get(path, &[("Accept", "text/html")]).unwrap())
    };

    let page = direct("/");
    for path in ["/", "/chat/main", "/settings/devices", "/sessions"] {
        let ours = behind.asked_from_lan(&format!("GET {path}"), &[("Accept", "text/html")], b"");
        assert_eq!((ours.status, ours.body == page.body), (200, true), "{path}: {}", ours.head);
        assert!(ours.head.to_ascii_lowercase().contains("content-security-policy: "), "{}", ours.head);
    }
    let asset =
        page.body.split("src=\"").filter_map(|rest| rest.split('"').next()).find(|src| src.contains("/assets/"));
    for path in [asset.unwrap(), "/sw.js", "/manifest.webmanifest", "/favicon.svg"] {
        let ours = behind.asked_from_lan(&format!("GET {path}"), &[], b"");
        let theirs = direct(path.to_owned().leak());
        assert_eq!((ours.status, ours.body == theirs.body), (200, true), "{path}: {}", ours.head);
    }

    let bearer = |token: &str| format!("Bearer {token}");
    let status = |what: &str, token: &str, body: &[u8]| {
        let kind = ("Content-Type", "application/json");
        behind.asked_from_lan(what, &[("Authorization", &bearer(token)), kind], body)
    };
    for path in ["/control-ui-config.json", "/avatar/main?meta=1"] {
        assert_eq!(behind.asked_from_lan(&format!("GET {path}"), &[], b"").status, 401, "{path}");
        for token in [SECRET, &behind.operator, &behind.reader] {
            let answer = status(&format!("GET {path}"), token, b"");
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert!(!answer.body.contains(UPSTREAM) && serde_json::from_str::<Value>(&answer.body).is_ok());
        }
    }
    let models = status("GET /v1/models", &behind.reader, b"");
    assert!(models.status == 200 && models.body.contains("openclaw/default"), "{}", models.body);

    let tool = br#"{"tool":"session_status","args":{}}"#;
    let turn = br#"{"model":"openclaw","messages":[{"role":"user","content":"hello"}]}"#;
    for (what, body) in [("POST /tools/invoke", &tool[..]), ("POST /v1/chat/completions", &turn[..])] {
        let denied = status(what, SECRET, body);
        assert_eq!(denied.status, 403, "{what}: {}", denied.body);
        assert!(denied.body.contains("device-required"), "{}", denied.body);
        assert_eq!(status(what, &behind.reader, body).status, 403, "{what}");
        assert_eq!(status(what, UPSTREAM, body).status, 401, "its own secret is none of ours");
    }
    let done = status("POST /tools/invoke", &behind.operator, tool);
    assert!(done.status == 200 && done.body.contains("\"ok\":true"), "{}", done.body);
    // Without a model's key it says what is missing, in its own words: so far it went.
    let said = status("POST /v1/chat/completions", &behind.operator, turn);
    assert!(said.body.contains("openai") && !said.body.contains("doorward"), "{}: {}", said.status, said.body);

    let wake = br#"{"text":"hello","mode":"next-heartbeat"}"#;
    assert_eq!(status("POST /hooks/wake", HOOK, wake).status, 200);
    assert_eq!(status("POST /hooks/wake", "wrong", wake).status, 401);
}

#[test]
fn strangers_with_wrong_tokens_lock_nobody_out_of_the_real_gateway() {
    let home = Household::new();
    let _gateway = Gateway::configured(&home.host, UPSTREAM, |settings| {
        settings["gateway"]["port"] = 28_790.into();
        settings["gateway"]["bind"] = "loopback".into();
        // As for a caller from elsewhere: by its default it locks nobody out at its own loopback.
        settings["gateway"]["auth"]["rateLimit"] = serde_json::json!({ "exemptLoopback": false });
    });
    let behind = Behind::start(&home, "http://127.0.0.1:28790", "");
    let mut refused = Vec::new();
    for guess in 0..25 {
        let path = if guess % 2 == 0 { "GET /control-ui-config.json" } else { "POST /tools/invoke" };
        let answer = behind.asked_from_lan(path, &[("Authorization", &format!("Bearer guess-{guess}"))], b"");
        refused.push(answer.status);
    }
    assert!(refused.iter().all(|status| [401, 429].contains(status)), "{refused:?}");
    let operator = format!("Bearer {}", behind.operator);
    let configuration = || behind.asked_from_lan("GET /control-ui-config.json", &[("Authorization", &operator)], b"");
    assert_eq!(configuration().status, 200, "{}", configuration().body);

    // Had it heard the guesses, nobody behind our address would be let in.
    let guess = |guess: u32| {
        home.host.on(move || {
            let authorization = format!("Bearer guess-{guess}");
            let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
            Caller::plain("127.0.0.1:28790").ask("POST /tools/invoke", &headers, b"{}").unwrap().status
        })
    };
    let heard: Vec<u16> = (0..25).map(guess).collect();
    assert!(heard.starts_with(&[401]) && heard.ends_with(&[429]), "{heard:?}");
    assert_eq!(configuration().status, 429, "{}", configuration().body);
}
