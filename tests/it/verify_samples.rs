//! The samples of `deploy/verify/` believe what a running edge's keys sign for them, and nothing else.

#[path = "../../deploy/verify/verify.rs"]
#[expect(dead_code, unreachable_pub, reason = "a sample for other people to copy")]
mod sample;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::base::clock::Clock;
use doorward::identity::claims::{OriginClaim, RequestClaim};
use doorward::identity::signer::{Signer, Subject};
use doorward::origin::trail::Trail;
use doorward::origin::{Class, Kind, Source};
use doorward::store::keys::signing::SigningKeys;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::program;

const CONFIGURATION: &str = "[[listener]]\nname = \"here\"\nbind = [\"127.0.0.1:18789\"]\nprotocol = \"auto\"\n\
    local = \"loopback\"\nlocal_uids = [0]\n";

/// What the samples are asked: a token and the request it came with.
struct Case {
    what: &'static str,
    token: String,
    request: Value,
    good: bool,
}

#[test]
fn the_samples_believe_exactly_what_is_signed_for_them() {
    let machine = Namespace::new();
    let doorward = Instance::start(&machine, CONFIGURATION);
    let served = machine.on(|| Caller::plain("127.0.0.1:18789").get("/.well-known/doorward/jwks.json", &[]).unwrap());
    let mut jwks: Value = serde_json::from_str(&served.body).unwrap();
    let key = SigningKeys::open(&doorward.folder().join("state"), Clock::system().now()).unwrap().current();
    let signer = |audience: &str, clock: Clock| Signer::new(Arc::clone(&key), "edge", audience, clock).unwrap();
    let now = Clock::system();
    let bound = signer("upstream", now.clone()).sign(&subject(), Some(&claim())).unwrap();
    let shared = signer("upstream", now.clone()).sign(&subject(), None).unwrap();
    let past = Clock::fixed(now.now().plus(-200_000));
    let future = Clock::fixed(now.now().plus(200_000));

    // A second key of the set, with which anything can be signed.
    let other = SigningKey::from_bytes(&[7; 32]);
    let x = URL_SAFE_NO_PAD.encode(other.verifying_key().as_bytes());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "other", "alg": "EdDSA", "use": "sig"});
    jwks["keys"].as_array_mut().unwrap().push(jwk);

    let mut cases = vec![
        case("bound", bound.clone(), request(), true),
        case("shared", shared.clone(), request_with("method", json!("HEAD")), true),
        case("shared, for a post", shared.clone(), request_with("method", json!("POST")), false),
        case("shared, for an upgrade", shared, request_with("upgrade", json!(true)), false),
        case("expired", signer("upstream", past).sign(&subject(), Some(&claim())).unwrap(), request(), false),
        case("not yet", signer("upstream", future).sign(&subject(), Some(&claim())).unwrap(), request(), false),
        case("other aud", signer("core", now).sign(&subject(), Some(&claim())).unwrap(), request(), false),
        case("empty signature", format!("{}.", bound.rsplit_once('.').unwrap().0), request(), false),
        case("two segments", bound.rsplit_once('.').unwrap().0.to_owned(), request(), false),
        case("nothing", String::new(), request(), false),
        case("two tokens in one line", format!("{bound}, {bound}"), request(), false),
    ];
    for (member, value) in [
        ("method", json!("POST")),
        ("authority", json!("evil.example")),
        ("path", json!("/a?b=d")),
        ("upgrade", json!(true)),
        ("ws_key", json!("dGhlIHNhbXBsZSBub25jZQ==")),
    ] {
        cases.push(case(member, bound.clone(), request_with(member, value), false));
    }
    cases.extend(forged(&other, &payload_of(&bound)));
    judge_all(&cases, &jwks);
}

/// Tokens that the second key signed over changed headers and claims; the first one is good.
fn forged(key: &SigningKey, claims: &Value) -> Vec<Case> {
    let header = json!({"alg": "EdDSA", "typ": "doorward-origin+jwt", "kid": "other"});
    let with = |of: &Value, name: &str, value: Value| {
        let mut of = of.clone();
        if value.is_null() {
            of.as_object_mut().unwrap().remove(name)
        } else {
            of.as_object_mut().unwrap().insert(name.to_owned(), value)
        };
        of
    };
    let iat = claims["iat"].as_u64().unwrap();
    let mut cases = vec![case("signed by a key of the set", sign(key, &header, claims), request(), true)];
    for (what, name, value) in [
        ("alg none", "alg", json!("none")),
        ("alg hs256", "alg", json!("HS256")),
        ("other typ", "typ", json!("JWT")),
        ("no typ", "typ", Value::Null),
        ("unknown kid", "kid", json!("../../../dev/null")),
        ("no kid", "kid", Value::Null),
        ("crit", "crit", json!(["x"])),
        ("jwk", "jwk", json!({})),
    ] {
        cases.push(case(what, sign(key, &with(&header, name, value), claims), request(), false));
    }
    for (what, name, value) in [
        ("other iss", "iss", json!("edge-evil")),
        ("aud prefix", "aud", json!("upstream-evil")),
        ("aud list", "aud", json!(["upstream", "core"])),
        ("no aud", "aud", Value::Null),
        ("exp as text", "exp", json!((iat + 10).to_string())),
        ("no exp", "exp", Value::Null),
        ("ten years", "exp", json!(iat + 315_360_000)),
        ("exp before iat", "exp", json!(iat - 1)),
        ("nbf as list", "nbf", json!([iat])),
        ("no nbf", "nbf", Value::Null),
        ("no jti", "jti", Value::Null),
        ("req is text", "req", json!("x")),
    ] {
        cases.push(case(what, sign(key, &header, &with(claims, name, value)), request(), false));
    }
    let good = sign(key, &header, claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let swapped = URL_SAFE_NO_PAD.encode(with(claims, "sub", json!("owner@example.com")).to_string());
    cases.push(case("tampered", format!("{head}.{swapped}.{signature}"), request(), false));
    cases
}

fn sign(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

fn judge_all(cases: &[Case], jwks: &Value) {
    let list: Vec<Value> = cases.iter().map(|case| json!({"token": case.token, "request": case.request})).collect();
    let question = json!({"jwks": jwks, "cases": list}).to_string();
    let expected: Vec<_> = cases.iter().map(|case| (case.what, case.good)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/verify");
    let python = "import json, sys, verify\n\
        asked = json.load(sys.stdin)\n\
        def good(case):\n\
        \x20   try:\n\
        \x20       return verify.verify(case['token'], asked['jwks'], 'upstream', 'edge', case['request'])['sub'] == 'anonymous'\n\
        \x20   except verify.Refused:\n\
        \x20       return False\n\
        print(json.dumps([good(case) for case in asked['cases']]))";
    let javascript = "import { readFileSync } from 'node:fs';\n\
        import { Refused, verify } from './verify.mjs';\n\
        const asked = JSON.parse(readFileSync(0, 'utf8'));\n\
        const good = ({ token, request }) => {\n\
          try { return verify(token, asked.jwks, 'upstream', 'edge', request).sub === 'anonymous'; }\n\
          catch (error) { if (error instanceof Refused) return false; throw error; }\n\
        };\n\
        console.log(JSON.stringify(asked.cases.map(good)));";
    // Debian's own Python, for its packages python3-jwt and python3-cryptography.
    let mut debian = Command::new("/usr/bin/python3");
    debian.args(["-B", "-c", python]);
    let mut node = Command::new(program::installed("node", "nodejs"));
    node.args(["--input-type=module", "-e", javascript]);
    for (language, mut command) in [("Python", debian), ("JavaScript", node)] {
        command.current_dir(&folder);
        assert_eq!(named(cases, &answers(&mut command, &question)), expected, "{language}");
    }
    let keys = serde_json::from_value(jwks.clone()).unwrap();
    let rust: Vec<bool> = cases.iter().map(|case| believed(case, &keys)).collect();
    assert_eq!(named(cases, &rust), expected, "Rust");
}

fn named(cases: &[Case], answers: &[bool]) -> Vec<(&'static str, bool)> {
    cases.iter().map(|case| case.what).zip(answers.iter().copied()).collect()
}

fn answers(command: &mut Command, question: &str) -> Vec<bool> {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(question.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}\n(Python needs python3-jwt and python3-cryptography)");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn believed(case: &Case, keys: &jsonwebtoken::jwk::JwkSet) -> bool {
    let text = |name: &str| case.request[name].as_str();
    let request = sample::Request {
        method: text("method").unwrap(),
        authority: text("authority").unwrap(),
        path: text("path").unwrap(),
        upgrade: case.request["upgrade"].as_bool().unwrap(),
        ws_key: text("ws_key"),
    };
    let now = Clock::system().now().seconds();
    sample::verify(&case.token, keys, "upstream", "edge", &request, now).is_ok_and(|claims| claims.sub == "anonymous")
}

fn case(what: &'static str, token: String, request: Value, good: bool) -> Case {
    Case { what, token, request, good }
}

fn request() -> Value {
    json!({"method": "GET", "authority": "Claw.example:8443", "path": "/a?b=c", "upgrade": false, "ws_key": null})
}

fn request_with(member: &str, value: Value) -> Value {
    let mut request = request();
    request[member] = value;
    request
}

fn claim() -> RequestClaim {
    let request = http::Request::get("/a?b=c").header("host", "Claw.example:8443").body(()).unwrap();
    RequestClaim::of(&request.into_parts().0).unwrap()
}

fn payload_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn subject() -> Subject {
    let ip = "203.0.113.9".parse().unwrap();
    let origin = OriginClaim {
        kind: Kind::Ip,
        ip: Some(ip),
        port: None,
        class: Class::Public,
        local: false,
        peer: ip,
        listener: "here".to_owned(),
        source: Source::Peer,
        via: Vec::new(),
        steps: Trail::default(),
    };
    Subject { cid: "c-1".to_owned(), origin, tls: None, identity: None }
}
