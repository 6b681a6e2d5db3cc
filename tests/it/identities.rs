//! Promise: who a product in front of us signed in counts by that signature, from a trusted proxy, for that one request; what
//! cannot be checked is refused.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::caller::{Answer, Caller};
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::Instance;
use crate::support::issuer::{HOME_PROVIDER, IssuerKey, KeyServer, jwk_set};
use crate::support::keep::Kept;
use crate::support::namespace::Namespace;
use crate::support::peer::nginx;

const CONFIGURATION: &str = r#"
[edge]
names = ["127.0.0.1"]

[[listener]]
name = "web"
bind = ["127.0.0.1:8443"]
protocol = "https"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["127.0.0.2"]

[[listener]]
name = "other"
bind = ["127.0.0.1:9443"]
protocol = "https"
trusted_proxies = ["127.0.0.2"]

[[identity]]
provider = "cloudflare-access"
issuer = "https://team.cloudflareaccess.com"
audience = "tag"
keys_url = "https://127.0.0.1:7443/cdn-cgi/access/certs"
root_file = "issuer-ca.pem"
listeners = ["web"]

[[identity]]
provider = "pomerium"
issuer = "claw.example.com"
audience = "claw.example.com"
keys_file = "keys.json"
listeners = ["web"]

[[identity]]
provider = "google-iap"
audience = "/projects/1/apps/claw"
keys_file = "keys.json"
listeners = ["web"]

[[identity]]
provider = "authentik"
issuer = "https://id.example/application/o/claw/"
audience = "client"
login = "preferred_username"
keys_file = "keys.json"
listeners = ["web"]
"#;

const ACCESS: &str = "Cf-Access-Jwt-Assertion";

#[test]
fn each_products_token_names_its_person_from_a_trusted_proxy_alone() {
    let machine = Namespace::new();
    let (rsa, ec, ed) = (IssuerKey::rs256("rsa"), IssuerKey::es256("ec"), IssuerKey::eddsa("ed"));
    let house = House::start(&machine, jwk_set(&[&rsa]), &jwk_set(&[&ec, &ed, &rsa]));
    for (header, provider, login, token) in [
        (ACCESS, "cloudflare-access", "ann@example.com", rsa.token(&access("ann@example.com"))),
        ("X-Pomerium-Jwt-Assertion", "pomerium", "ann@example.com", ec.token(&json!({
            "iss": "claw.example.com", "aud": "claw.example.com", "sub": "u1", "email": "ann@example.com"}))),
        ("x-goog-iap-jwt-assertion", "google-iap", "ann@example.com", ec.token(&json!({
            "iss": "https://cloud.google.com/iap", "aud": "/projects/1/apps/claw", "sub": "accounts.google.com:1", "email": "ann@example.com"}))),
        ("X-authentik-jwt", "authentik", "ann", rsa.token(&json!({
            "iss": "https://id.example/application/o/claw/", "aud": "client", "sub": "f00", "email": "ann@example.com",
            "email_verified": false, "preferred_username": "ann"}))),
        ("X-Id-Token", "home", "u1", ed.token(&json!({"iss": "home", "aud": ["claw"], "sub": "u1"}))),
    ] {
        let lines = [(header.to_owned(), token)];
        let answer = whoami(house.call("127.0.0.2", 8443, &lines));
        assert_eq!(answer["identity"], json!({"provider": provider, "login": login}), "{answer:#}");
        let told = house.doorward.words(&["explain", answer["connection"].as_str().unwrap()]);
        assert!(told.contains(&format!("{login}, as {provider} says")) && told.contains("1.3, "), "{told}");
        // The same token from somebody else, and where it is not read.
        for (from, port) in [("127.0.0.3", 8443), ("127.0.0.2", 9443)] {
            let answer = whoami(house.call(from, port, &lines));
            assert_eq!(answer["identity"], Value::Null, "{from} to {port}: {answer:#}");
        }
    }
    assert_eq!(whoami(house.call("127.0.0.2", 8443, &[]))["identity"], Value::Null, "no token is nobody");
    let only_names = [("Cf-Access-Authenticated-User-Email".to_owned(), "ann@example.com".to_owned())];
    assert_eq!(whoami(house.call("127.0.0.2", 8443, &only_names))["identity"], Value::Null);
}

#[test]
fn a_token_that_cannot_be_believed_is_refused_with_its_reason() {
    let machine = Namespace::new();
    let (rsa, thief) = (IssuerKey::rs256("rsa"), IssuerKey::rs256("rsa"));
    let mut house = House::start(&machine, jwk_set(&[&rsa]), &jwk_set(&[&IssuerKey::es256("ec")]));
    let good = rsa.token(&access("ann@example.com"));
    let with = |name: &str, value: Value| {
        let mut claims = access("ann@example.com");
        claims[name] = value;
        rsa.token(&claims)
    };
    let line = |token: String| vec![(ACCESS.to_owned(), token)];
    for (lines, reason, cause) in [
        (line(thief.token(&access("ann@example.com"))), "identity-token-invalid", "bad signature"),
        (line(with("aud", json!(["tag", "other"]))), "identity-token-invalid", "for another audience"),
        (
            line(with("iss", json!("https://evil.cloudflareaccess.com"))),
            "identity-token-invalid",
            "from another issuer",
        ),
        (line(with("iat", json!("1"))), "identity-token-invalid", "times missing or not whole numbers"),
        (
            line(rsa.token(
                &json!({"iss": access("")["iss"], "aud": ["tag"], "email": "a@b.c", "iat": 1_000, "exp": 2_000}),
            )),
            "identity-token-expired",
            "expired",
        ),
        (line(good.replace('.', "..")), "identity-token-invalid", "not three segments"),
        (line(String::new()), "identity-token-invalid", "not three segments"),
        ([line(good.clone()), line(good.clone())].concat(), "identity-token-ambiguous", "more than one identity token"),
        (
            [line(good.clone()), vec![("X-Id-Token".to_owned(), "x".to_owned())]].concat(),
            "identity-token-ambiguous",
            "more than one",
        ),
    ] {
        let answer = house.call("127.0.0.2", 8443, &lines);
        assert!(answer.status == 403 && answer.body.starts_with(&format!("{reason}: ")), "{reason}: {answer:?}");
        let told = house.doorward.words(&["explain", "--last-denied"]);
        assert!(told.contains(reason) && told.contains(cause), "{told}");
        assert!(!told.contains(&good), "a token is a secret");
        let ignored = house.call("127.0.0.3", 8443, &lines);
        assert_eq!(ignored.status, 200, "a stranger's is not even looked at: {ignored:?}");
    }
    assert!(house.doorward.stop().success());
    assert!(!house.doorward.log().contains(&good), "a token is a secret");
}

#[test]
fn an_issuers_keys_change_and_fail_and_nobody_slips_through() {
    let machine = Namespace::new();
    let (old, new, next) = (IssuerKey::rs256("old"), IssuerKey::rs256("new"), IssuerKey::rs256("next"));
    let house = House::start(&machine, jwk_set(&[&old]), "none yet");
    let call =
        |key: &IssuerKey| house.call("127.0.0.2", 8443, &[(ACCESS.to_owned(), key.token(&access("ann@example.com")))]);
    assert_eq!(whoami(call(&old))["identity"]["login"], "ann@example.com");
    assert_eq!(house.server.questions(), 1);

    // Its key is replaced, with overlap: the first token of the new one makes us look, and waits for it.
    house.server.show("200 OK", jwk_set(&[&new, &old]));
    assert_eq!(whoami(call(&new))["identity"]["login"], "ann@example.com");
    assert_eq!(whoami(call(&old))["identity"]["login"], "ann@example.com");
    assert_eq!(house.server.questions(), 2);

    // A flood of keys that nobody has asks nothing more within the minute.
    for _ in 0..20 {
        let answer = call(&next);
        assert!(answer.status == 403 && answer.body.starts_with("identity-keys-unavailable: "), "{answer:?}");
    }
    assert_eq!(house.server.questions(), 2);

    // Its other product's keys never came; that token is refused, and soon.
    let start = Instant::now();
    let answer = house.call("127.0.0.2", 8443, &[("X-Id-Token".to_owned(), old.token(&json!({"iss": "home"})))]);
    assert!(answer.status == 403 && answer.body.starts_with("identity-keys-unavailable: "), "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(house.doorward.log().contains("not a jwk set"), "{}", house.doorward.log());
}

#[test]
fn keys_are_taken_from_no_server_but_the_issuers_own() {
    let machine = Namespace::new();
    let key = IssuerKey::rs256("rsa");
    let mut house = House::start(&machine, jwk_set(&[&key]), "none yet");
    let refused = |house: &House<'_>, words: &str| {
        let lines = [(ACCESS.to_owned(), key.token(&access("ann@example.com")))];
        let answer = house.call("127.0.0.2", 8443, &lines);
        assert!(answer.status == 403 && answer.body.starts_with("identity-keys-unavailable: "), "{words}: {answer:?}");
        assert!(house.doorward.log().contains(words), "{words}: {}", house.doorward.log());
    };
    for (status, document, words) in [
        ("503 Service Unavailable", jwk_set(&[&key]), "refused: 503"),
        ("302 Found\r\nLocation: https://127.0.0.1:7443/", jwk_set(&[&key]), "refused: 302 Found"),
        ("200 OK", " ".repeat(300 * 1024), "answer unreadable"),
        ("200 OK", "{}".to_owned(), "not a jwk set"),
    ] {
        house.server.show(status, document);
        house.doorward.stop();
        house.doorward.restart();
        refused(&house, words);
    }
    house.server.show("200 OK", jwk_set(&[&key]));
    // A certificate of somebody else's authority.
    fs::write(house.doorward.folder().join("issuer-ca.pem"), house.doorward.authority()).unwrap();
    house.doorward.stop();
    house.doorward.restart();
    refused(&house, "name that CA's certificate in `root_file`");
    fs::write(house.doorward.folder().join("issuer-ca.pem"), house.server.authority()).unwrap();
    house.doorward.stop();
    house.doorward.restart();
    let lines = [(ACCESS.to_owned(), key.token(&access("ann@example.com")))];
    assert_eq!(whoami(house.call("127.0.0.2", 8443, &lines))["identity"]["login"], "ann@example.com");
}

#[test]
fn two_people_on_one_pooled_connection_are_never_each_other() {
    let machine = Namespace::new();
    let key = IssuerKey::rs256("rsa");
    let _house = House::start(&machine, jwk_set(&[&key]), "none yet");
    let _nginx = nginx(
        &machine,
        "upstream web { server 127.0.0.1:8443; keepalive 1; }
         server {
           listen 127.0.0.1:9003;
           location / {
             proxy_pass https://web; proxy_bind 127.0.0.2; proxy_http_version 1.1;
             proxy_set_header Connection ''; proxy_set_header Host $http_host;
             proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Cf-Access-Jwt-Assertion $http_session;
           }
         }",
        "127.0.0.1:9003",
    );
    let people = ["ann@example.com", "bob@example.com"];
    let tokens = people.map(|login| key.token(&access(login)));
    machine.block_on(move || async move {
        let source = "127.0.0.9".parse().unwrap();
        let mut callers =
            [Kept::open_from(source, "127.0.0.1:9003").await, Kept::open_from(source, "127.0.0.1:9003").await];
        let mut connections = HashSet::new();
        for round in 0..20 {
            for ((caller, token), login) in callers.iter_mut().zip(&tokens).zip(people) {
                let seen = caller.whoami(&[("Session", token)]).await.unwrap();
                assert_eq!(seen["identity"]["login"], login, "round {round}");
                connections.insert(seen["connection"].as_str().unwrap().to_owned());
            }
            let nobody = callers[0].whoami(&[]).await.unwrap();
            assert_eq!(nobody["identity"], Value::Null, "round {round}");
        }
        assert_eq!(connections.len(), 1, "nginx pooled nothing, so this showed nothing: {connections:?}");
    });
}

#[test]
fn a_token_counts_the_same_over_http2_and_for_a_websocket() {
    let machine = Namespace::new();
    let (key, thief) = (IssuerKey::rs256("rsa"), IssuerKey::rs256("rsa"));
    let house = House::start(&machine, jwk_set(&[&key]), "none yet");
    let [good, forged] = [&key, &thief].map(|key| key.token(&access("ann@example.com")));
    let caller = Caller::trusting("127.0.0.1:8443", &house.doorward.authority()).from("127.0.0.2".parse().unwrap());
    let (asking, tokens) = (caller.clone(), [good.clone(), forged.clone()]);
    machine.block_on(move || async move {
        let mut kept = Kept::open_h2(&asking).await;
        let seen = kept.whoami(&[(ACCESS, &tokens[0])]).await.unwrap();
        assert_eq!(seen["identity"]["login"], "ann@example.com", "{seen:#}");
        assert_eq!(kept.whoami(&[]).await.unwrap()["identity"], Value::Null, "it counts for one request");
        assert_eq!(kept.get("/doorward/whoami", &[(ACCESS, &tokens[1])]).await.unwrap().0, 403);
    });
    let ask = |token: &str| Ask::operator(&house.doorward.token()).with_header(ACCESS, token);
    let refusal = call(&machine, &caller, &Device::new(), ask(&good)).refused();
    let told = house.doorward.words(&["explain", refusal.error["details"]["doorward"].as_str().unwrap()]);
    assert!(told.contains("ann@example.com, as cloudflare-access says"), "{told}");
    assert_eq!(call(&machine, &caller, &Device::new(), ask(&forged)).status(), 403);
}

#[test]
fn check_names_the_file_of_keys_that_cannot_be_read_and_what_to_do() {
    let machine = Namespace::new();
    let key = IssuerKey::rs256("rsa");
    let house = House::start(&machine, jwk_set(&[&key]), &jwk_set(&[&key]));
    let folder = house.doorward.folder();
    assert!(!house.doorward.words(&["check"]).contains("identity "), "all is well");
    let (keys, root) = (folder.join("keys.json"), folder.join("issuer-ca.pem"));
    fs::write(&keys, "none yet").unwrap();
    fs::write(&root, "no certificate").unwrap();
    let told = house.doorward.words(&["check"]);
    for (provider, cause, file, hint) in [
        ("pomerium", "not a jwk set", &keys, "the issuer must show an RS256, ES256 or Ed25519 key"),
        ("cloudflare-access", "file has other content than the certificates of", &root, "anew"),
    ] {
        let of = |line: &&str| line.contains(&format!("identity {provider}: its tokens will be refused"));
        let line = told.lines().find(of).unwrap_or_else(|| panic!("{provider} is not in\n{told}"));
        let file = file.display().to_string();
        assert!(line.contains(cause) && line.contains(&file) && line.contains(hint), "{line}");
    }
    fs::remove_file(&keys).unwrap();
    assert!(house.doorward.words(&["check"]).contains("file cannot be used (No such file"), "a file that is not there");
}

fn access(login: &str) -> Value {
    json!({"iss": "https://team.cloudflareaccess.com", "aud": ["tag"], "email": login, "sub": "u1", "type": "app"})
}

fn whoami(answer: Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// doorward with every product in front, Cloudflare Access's keys by https and the others' in a file.
struct House<'a> {
    machine: &'a Namespace,
    doorward: Instance<'a>,
    server: KeyServer,
}

impl<'a> House<'a> {
    fn start(machine: &'a Namespace, by_https: String, in_file: &str) -> Self {
        let server = KeyServer::start(machine, "127.0.0.1:7443", by_https);
        let mut doorward =
            Instance::stopped(machine, &format!("{CONFIGURATION}{HOME_PROVIDER}listeners = [\"web\"]\n"));
        fs::write(doorward.folder().join("issuer-ca.pem"), server.authority()).unwrap();
        fs::write(doorward.folder().join("keys.json"), in_file).unwrap();
        doorward.restart();
        Self { machine, doorward, server }
    }

    fn call(&self, from: &str, port: u16, lines: &[(String, String)]) -> Answer {
        let caller =
            Caller::trusting(&format!("127.0.0.1:{port}"), &self.doorward.authority()).from(from.parse().unwrap());
        let lines = lines.to_vec();
        self.machine.on(move || {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            caller.get("/doorward/whoami", &lines).unwrap()
        })
    }
}
