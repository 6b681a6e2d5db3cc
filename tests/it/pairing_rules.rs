//! Promise: an operator's rule approves exactly whom it names, for what it names, once; what it does not settle waits for a
//! person; and which rule it was is told to whoever asks.

use std::fs;

use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, Outcome, call};
use crate::support::instance::{Instance, owners_and};
use crate::support::issuer::{HOME_PROVIDER, IssuerKey, jwk_set};
use crate::support::lan::Household;
use crate::support::namespace::Namespace;
use crate::support::tailscaled::{FakeTailscaled, Says, node};

const HOUSE: &str = r#"
[edge]
names = ["100.64.0.1", "10.77.0.1"]

[tailscale]
socket = "tailscaled.sock"
whois = true

[[listener]]
name = "web"
bind = ["100.64.0.1:8443", "10.77.0.1:8443"]
protocol = "https"

[[listener]]
name = "forwarded"
bind = ["10.77.0.1:8080"]
protocol = "http"
serve = "all"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.77.0.2"]
"#;

/// A rule for who signs in at the proxy.
const SIGNED_IN: &str = r#"
[[core.pairing.rule]]
when = { identity = { provider = "home", login = "u1" } }
then = { approve = ["operator.read"], credential = "identity" }
"#;

const ANN: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";
const NEIGHBOUR: &str = "10.77.0.2";

#[test]
fn the_readmes_rules_approve_ask_and_refuse_whom_they_say() {
    let home = Household::new();
    let house = House::start(&home, &readmes_rules());
    let (ann, neighbour) = (Device::new(), Device::new());

    // Ann, by the tailnet's word and nothing else.
    let reads = house.without_token().with_scopes(&["operator.read", "operator.write"]);
    let session = house.tailnet(ANN, &ann, reads.clone()).hello();
    assert_eq!(session.hello["auth"]["method"], "trusted-proxy", "{session:?}");
    let token = session.hello["auth"]["deviceToken"].as_str().unwrap().to_owned();
    assert_eq!(house.approved_via(&ann), "rule:family");
    assert!(house.doorward.log().contains("via=\"rule:family\""), "{}", house.doorward.log());
    let told = house.explained(session.hello["server"]["connId"].as_str().unwrap());
    assert_eq!((&told["rules"]["rule"], &told["connect"]["approvedVia"]), (&json!("family"), &json!("rule:family")));
    let words = house.doorward.words(&["explain", session.hello["server"]["connId"].as_str().unwrap()]);
    let line =
        "core.pairing.rule 1 \"family\" (ann@example.com of tailscale): approve up to operator.read, operator.write";
    assert!(words.contains(line) && words.contains("it approved this device"), "{words}");
    let audit = house.doorward.json(&["audit"]).to_string();
    assert!(audit.contains("rule:family") && audit.contains("as ann@example.com of tailscale"), "{audit}");
    let again = Ask { device_token: Some(token), ..reads.clone() };
    house.tailnet(ANN, &ann, again).hello();
    let more = house.tailnet(ANN, &ann, house.with_token().with_scopes(&["operator.admin"])).refused();
    assert_eq!(more.error["details"]["code"], "PAIRING_REQUIRED", "a known device asks a person: {more:?}");
    let told = house.explained(more.error["details"]["requestId"].as_str().unwrap());
    assert!(told["rules"]["effect"].as_str().unwrap().contains("this one is known"), "{told:#}");

    // Bob is nobody's family; a device that asks for more than the cap is narrowed by nobody.
    let stranger = house.tailnet(BOB, &Device::new(), reads.clone()).refused();
    assert_eq!(stranger.error["details"]["code"], "AUTH_TOKEN_MISSING", "{stranger:?}");
    let told = house.explained(stranger.error["details"]["doorward"].as_str().unwrap());
    assert_eq!(told["rules"]["lookedAt"][0]["because"], "it is bob@example.com of tailscale", "{told:#}");
    let greedy = house.tailnet(ANN, &Device::new(), house.without_token()).refused();
    let told = house.explained(greedy.error["details"]["requestId"].as_str().unwrap());
    assert!(told["rules"]["effect"].as_str().unwrap().contains("less than was asked for"), "{told:#}");

    // A neighbour, by his address and the gateway token.
    let read = house.with_token().with_scopes(&["operator.read"]);
    house.lan("10.77.0.1:8443", &neighbour, read.clone()).hello();
    assert_eq!(house.approved_via(&neighbour), "rule:lan");
    let writes = house.lan("10.77.0.1:8443", &Device::new(), house.with_token().with_scopes(&["operator.write"]));
    assert_eq!(writes.refused().error["details"]["code"], "PAIRING_REQUIRED");
    let bare = house.lan("10.77.0.1:8443", &Device::new(), house.without_token().with_scopes(&["operator.read"]));
    assert_eq!(bare.refused().error["details"]["code"], "AUTH_TOKEN_MISSING", "an address is no secret");

    // Whoever comes from the Internet, also with the token.
    let outside = read.clone().with_header("X-Forwarded-For", "203.0.113.9");
    let refused = house.lan("10.77.0.1:8080", &Device::new(), outside).refused();
    assert_eq!((&refused.error["details"]["code"], refused.code), (&json!("PAIRING_REFUSED"), 1008), "{refused:?}");
    let told = house.explained(refused.error["details"]["doorward"].as_str().unwrap());
    assert_eq!((&told["reason"], &told["rules"]["rule"]), (&json!("pairing_refused"), &json!("3")), "{told:#}");
    assert!(refused.error.to_string().contains("rule") && !refused.error.to_string().contains("family"), "{refused:?}");

    // A key that was removed comes back by a person's word alone.
    let said = house.doorward.words(&["devices", "remove", &neighbour.id()]);
    assert!(said.starts_with(&format!("Removed {}\n", neighbour.id())), "{said}");
    // With another key it would come back by the rule, so that one is named.
    assert!(said.contains("rule lan let it in"), "{said}");
    let back = house.lan("10.77.0.1:8443", &neighbour, read).refused();
    let told = house.explained(back.error["details"]["requestId"].as_str().unwrap());
    assert!(told["rules"]["effect"].as_str().unwrap().contains("removed once"), "{told:#}");
}

#[test]
fn a_signed_in_person_is_approved_by_the_token_of_that_request() {
    let home = Household::new();
    let house = House::start(&home, SIGNED_IN);
    let signed = |login: &str| house.key.token(&json!({"iss": "home", "aud": "claw", "sub": login}));
    let reads = |token: &str| {
        house
            .without_token()
            .with_scopes(&["operator.read"])
            .with_header("X-Forwarded-For", "203.0.113.9")
            .with_header("X-Id-Token", token)
    };
    let device = Device::new();
    house.lan("10.77.0.1:8080", &device, reads(&signed("u1"))).hello();
    assert_eq!(house.approved_via(&device), "rule:1");
    let other = house.lan("10.77.0.1:8080", &Device::new(), reads(&signed("u2"))).refused();
    assert_eq!(other.error["details"]["code"], "AUTH_TOKEN_MISSING", "{other:?}");
    // The token of somebody else's key ends the request before anybody asks a rule.
    let forged = IssuerKey::eddsa("ed").token(&json!({"iss": "home", "aud": "claw", "sub": "u1"}));
    assert_eq!(house.lan("10.77.0.1:8080", &Device::new(), reads(&forged)).status(), 403);
    assert_eq!(house.doorward.paired().len(), 1);
}

#[test]
fn who_is_in_a_group_is_approved_by_the_token_that_says_so() {
    let grouped = SIGNED_IN.replace("login = \"u1\"", "group = [\"staff\", \"admins\"]");
    let refused =
        "[[core.pairing.rule]]\nwhen = { identity = { provider = \"home\", group = \"guests\" } }\nthen = \"refuse\"\n";
    let home = Household::new();
    let house = House::start(&home, &format!("groups_claim = \"roles\"\n{grouped}{refused}"));
    let ask = |roles: Value| {
        let token = house.key.token(&json!({"iss": "home", "aud": "claw", "sub": "u1", "roles": roles}));
        let ask = house.with_token().with_scopes(&["operator.read"]);
        let ask = ask.with_header("X-Forwarded-For", "203.0.113.9").with_header("X-Id-Token", &token);
        let device = Device::new();
        (house.lan("10.77.0.1:8080", &device, ask), device)
    };
    for roles in [json!(["all", "staff"]), json!("admins")] {
        let (outcome, device) = ask(roles);
        outcome.hello();
        assert_eq!(house.approved_via(&device), "rule:1");
    }
    for (roles, code, words) in [
        (json!(["Staff", "all"]), "PAIRING_REQUIRED", "in Staff, all"),
        (json!([]), "PAIRING_REQUIRED", "in no group"),
        (json!(["guests"]), "PAIRING_REFUSED", "in guests"),
        // Whose groups nobody knows may be a guest, and is not staff.
        (json!(["staff", 7]), "PAIRING_REFUSED", "whose groups were not told"),
        (json!(vec!["staff"; 101]), "PAIRING_REFUSED", "whose groups were not told"),
    ] {
        let refused = ask(roles.clone()).0.refused();
        assert_eq!(refused.error["details"]["code"], code, "{roles}: {refused:?}");
        let details = &refused.error["details"];
        let id = details["requestId"].as_str().or(details["doorward"].as_str()).unwrap();
        let told = house.explained(id);
        assert!(told["rules"].to_string().contains(words), "{roles}: {told:#}");
    }
    assert_eq!(house.doorward.paired().len(), 2);
}

#[test]
fn rules_hold_at_this_machine_from_the_next_connect_on() {
    let machine = Namespace::new();
    let doorward = Instance::start(&machine, &owners_and("[[core.pairing.rule]]\nthen = \"ask\"\n"));
    let here = Caller::plain("127.0.0.1:18789");
    let (ask, waits) = (Ask::operator(&doorward.token()), Device::new());
    let refused = call(&machine, &here, &waits, ask.clone()).refused();
    assert_eq!(refused.error["details"]["code"], "PAIRING_REQUIRED", "{refused:?}");

    doorward.configure(&owners_and(""));
    assert!(doorward.words(&["reload"]).contains("core.pairing.rule"));
    assert_eq!(doorward.pending().len(), 1, "what waits waits on");
    let silent = Device::new();
    call(&machine, &here, &silent, ask.clone()).hello();
    let paired = doorward.paired();
    assert_eq!((paired.len(), &paired[0]["approvedVia"]), (1, &json!("silent")));

    doorward.configure(&owners_and("[[core.pairing.rule]]\nname = \"nobody\"\nthen = \"refuse\"\n"));
    doorward.words(&["reload"]);
    let check = doorward.words(&["check"]);
    let warning = "core.pairing.rule 1 \"nobody\": it refuses new devices at this machine too";
    assert!(check.contains(warning), "{check}");
    let refused = call(&machine, &here, &Device::new(), ask.clone()).refused();
    assert_eq!(refused.error["details"]["code"], "PAIRING_REFUSED", "{refused:?}");
    assert_eq!(doorward.pending().len(), 1, "nobody is asked");
    call(&machine, &here, &silent, ask).hello();

    doorward.configure(&owners_and("[[core.pairing.rule]]\nthen = \"deny\"\n"));
    let output = doorward.command(&["check"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("then cannot be: deny") && told.contains("hint: write \"ask\", \"refuse\""), "{told}");
}

/// The rules that the README shows.
fn readmes_rules() -> String {
    let readme = include_str!("../../README.md");
    let (_, from) = readme.split_once("## Rules").unwrap();
    let (_, block) = from.split_once("```toml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// doorward on a LAN that carries a tailnet too, with a proxy on it.
struct House<'h> {
    doorward: Instance<'h>,
    home: &'h Household,
    key: IssuerKey,
    _tailscaled: FakeTailscaled,
}

impl<'h> House<'h> {
    fn start(home: &'h Household, rules: &str) -> Self {
        home.host.address("lan0", "100.64.0.1/10");
        for address in [ANN, BOB] {
            home.lan.address("eth0", &format!("{address}/10"));
        }
        let mut doorward = Instance::stopped(&home.host, &format!("{HOUSE}{HOME_PROVIDER}{rules}"));
        let key = IssuerKey::eddsa("ed");
        fs::write(doorward.folder().join("keys.json"), jwk_set(&[&key])).unwrap();
        let known = [(ANN, "ann@example.com"), (BOB, "bob@example.com")]
            .map(|(ip, login)| (ip, Says::Answer(node(login, &[&format!("{ip}/32")]))));
        let tailscaled = FakeTailscaled::start(&doorward.folder().join("tailscaled.sock"), &known);
        doorward.restart();
        Self { doorward, home, key, _tailscaled: tailscaled }
    }

    fn with_token(&self) -> Ask {
        Ask::operator(&self.doorward.token())
    }

    fn without_token(&self) -> Ask {
        Ask { token: None, ..self.with_token() }
    }

    /// A connect over the tailnet, from this node's address.
    fn tailnet(&self, from: &str, device: &Device, ask: Ask) -> Outcome {
        let caller = Caller::trusting("100.64.0.1:8443", &self.doorward.authority()).from(from.parse().unwrap());
        call(&self.home.lan, &caller, device, ask)
    }

    /// A connect from the other machine of the LAN, which is the proxy too.
    fn lan(&self, to: &str, device: &Device, ask: Ask) -> Outcome {
        let caller = match to.ends_with(":8080") {
            true => Caller::plain(to),
            false => Caller::trusting(to, &self.doorward.authority()),
        };
        call(&self.home.lan, &caller.from(NEIGHBOUR.parse().unwrap()), device, ask)
    }

    fn approved_via(&self, device: &Device) -> String {
        let paired = self.doorward.paired();
        let found = paired.iter().find(|paired| paired["deviceId"] == device.id().as_str());
        found.unwrap_or_else(|| panic!("not paired: {paired:#?}"))["approvedVia"].as_str().unwrap().to_owned()
    }

    fn explained(&self, id: &str) -> Value {
        self.doorward.json(&["explain", id])
    }
}
