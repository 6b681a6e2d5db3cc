//! `doorward invite`: the first browser of a fresh machine is paired by one command on one terminal, and nobody by anything
//! else that begins like an invite.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use doorward::pairing::invite::{secret, usual_scopes};
use doorward::store::Filter;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::caller::Caller;
use super::support::core_rig::{LAN, Rig, with_device_token};
use super::support::gateway_client::{Ask, Device, call};
use super::support::instance::Instance;
use super::support::lan::Household;
use super::support::namespace::Namespace;
use super::support::screen::{scanned, shown};

/// The household with a name of its own, as its owner has it on the first day.
const HOUSE: &str = r#"
[edge]
names = ["claw.lan", "10.77.0.1"]
https_port = 8443

[[listener]]
name = "lan"
bind = ["10.77.0.1:8443"]
"#;
const LIFE: Duration = Duration::from_secs(600);

#[test]
fn the_link_on_the_owners_terminal_pairs_the_first_device_and_no_other() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSE);
    let screen = shown(&home.host, &doorward, &["invite"]);
    let link = screen.lines().find(|line| line.starts_with("https://")).expect("no link on the screen");
    assert_eq!(scanned(&screen, doorward.folder()), link);
    let secret = link.strip_prefix("https://claw.lan:8443/#bootstrapToken=").unwrap();
    for words in ["10 minutes", "operator.approvals, operator.read, operator.write", "invite --cancel", "/doorward/ca"]
    {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    let listed = doorward.words(&["devices", "list"]);
    assert!(listed.contains("An invite is open for 10 minutes"), "{listed}");
    assert!(doorward.words(&["status"]).contains("invite   open for 10 minutes"), "{listed}");
    assert!(!listed.contains(secret) && !doorward.log().contains(secret), "the secret is told");

    let (phone, caller) = (Device::new(), Caller::trusting("10.77.0.1:8443", &doorward.authority()));
    let hello = call(&home.lan, &caller, &phone, with(secret)).hello().hello;
    assert_eq!(hello["auth"]["method"], "bootstrap-token");
    assert_eq!(hello["auth"]["scopes"], json!(["operator.approvals", "operator.read", "operator.write"]));
    let paired = doorward.paired();
    assert_eq!((paired.len(), &paired[0]["approvedVia"]), (1, &json!("bootstrap")), "{paired:#?}");
    let token = hello["auth"]["deviceToken"].as_str().unwrap();
    call(&home.lan, &caller, &phone, with_device_token(token)).hello();
    let refusal = call(&home.lan, &caller, &Device::new(), with(secret)).refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
    assert!(refusal.reason.contains("`doorward invite` makes a new one"), "{}", refusal.reason);
    assert!(!doorward.words(&["status"]).contains("invite"));
    nowhere_in(&doorward.folder().join("state"), secret);
    let told = entries(&doorward);
    assert_eq!(told, ["invite.put", "device.put", "invite.redeemed"]);
    let all = doorward.json(&["audit"]);
    let redeemed = all["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&redeemed["device"], &redeemed["actor"]), (&json!(phone.id()), &json!("client:10.77.0.2")));
    assert!(!all.to_string().contains(secret));
}

#[test]
fn an_invite_is_shown_on_a_terminal_or_to_a_script_that_asks_for_it() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, "");
    let output = doorward.command(&["invite"]);
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{says}");
    assert!(says.contains("docker exec -it") && says.contains("--json"), "{says}");
    assert!(doorward.json(&["status"])["invite"].is_null(), "one was made that nobody saw");
    let made = doorward.json(&["invite", "--ttl", "5m", "--scopes", "operator.read,operator.admin"]);
    assert_eq!(made["scopes"], json!(["operator.admin", "operator.read"]));
    assert!(made["warnings"].to_string().contains("first has operator.admin"), "{made:#}");
    assert_eq!(made["url"].as_str().unwrap().split('#').next(), Some("http://127.0.0.1:18789/"));
    assert_eq!(made["thisMachineOnly"], true);
    // For a phone that would be itself: nothing to scan, and what is new is what stays on the screen.
    let screen = shown(&host, &doorward, &["invite"]);
    assert!(!screen.contains("\x1b[30;107m") && screen.contains("http://127.0.0.1:18789/#"), "{screen}");
    let last: Vec<_> = screen.trim_end().lines().rev().take(2).collect();
    assert!(last[0].starts_with("warning: only a browser on this very machine"), "{screen}");
    assert!(last[0].contains("doorward run --lan") && last[1].contains("is void now"), "{screen}");
    for (wrong, code) in [
        (vec!["invite", "--ttl", "11m", "--json"], 1),
        (vec!["invite", "--ttl", "soon", "--json"], 2),
        (vec!["invite", "--scopes", "node.exec", "--json"], 1),
        (vec!["invite", "--scopes", "a b", "--json"], 2),
        (vec!["invite", "--url", "http://claw.example", "--json"], 1),
        (vec!["invite", "--cancel", "--ttl", "5m"], 2),
    ] {
        let output = doorward.command(&wrong);
        assert!(output.status.code() == Some(code) && output.stdout.is_empty(), "{wrong:?}: {output:?}");
    }
}

#[test]
fn the_next_one_a_word_of_the_owner_and_a_new_token_end_an_invite() {
    let home = Household::new();
    let mut doorward = Instance::start(&home.host, HOUSE);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let void = |secret: &Value| {
        let secret = secret.as_str().unwrap();
        call(&home.lan, &caller, &Device::new(), with(secret)).refused().error["details"]["authReason"]
            == "invite_invalid"
    };
    let make = |doorward: &Instance<'_>| doorward.json(&["invite"]);
    let first = make(&doorward);
    let second = make(&doorward);
    assert_eq!((&first["replaced"], &second["replaced"]), (&json!(false), &json!(true)));
    assert!(void(&first["secret"]));
    assert_eq!(doorward.words(&["invite", "--cancel"]), "The invite is void.\n");
    assert_eq!(doorward.words(&["invite", "--cancel"]), "No invite was open.\n");
    assert!(void(&second["secret"]));
    let third = make(&doorward);
    doorward.words(&["token", "rotate"]);
    assert!(void(&third["secret"]));
    let fourth = make(&doorward);
    doorward.stop();
    doorward.words(&["token", "rotate"]);
    doorward.restart();
    assert!(void(&fourth["secret"]));
    let changes = entries(&doorward);
    let told: Vec<_> = changes.iter().map(String::as_str).filter(|change| change.starts_with("invite")).collect();
    let (put, cancelled) = ("invite.put", "invite.cancelled");
    assert_eq!(told, [put, "invite.replaced", put, cancelled, put, cancelled, put, cancelled]);
}

#[test]
fn neither_a_restart_nor_a_death_after_the_redemption_loses_it() {
    let home = Household::new();
    let mut doorward = Instance::start(&home.host, HOUSE);
    let made = doorward.json(&["invite"]);
    let secret = made["secret"].as_str().unwrap();
    doorward.stop();
    doorward.restart();
    assert_eq!(doorward.json(&["status"])["invite"]["expiresAtMs"], made["expiresAtMs"]);
    let (phone, caller) = (Device::new(), Caller::trusting("10.77.0.1:8443", &doorward.authority()));
    // Its answer may not have come: what is durable is both, or neither.
    call(&home.lan, &caller, &phone, with(secret)).hello();
    doorward.kill_nine();
    doorward.restart();
    let refusal = call(&home.lan, &caller, &Device::new(), with(secret)).refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
    let again = call(&home.lan, &caller, &phone, with(secret)).hello().hello;
    let token = again["auth"]["deviceToken"].as_str().unwrap();
    call(&home.lan, &caller, &phone, with_device_token(token)).hello();
    assert_eq!(doorward.paired().len(), 1);
}

#[tokio::test]
async fn of_two_hundred_devices_at_once_one_is_paired() {
    let rig = std::sync::Arc::new(Rig::new().await);
    let made = rig.core.invites().make(usual_scopes(), LIFE).await.unwrap();
    let mut all = JoinSet::new();
    for number in 0..200 {
        let (rig, ask) = (std::sync::Arc::clone(&rig), with(made.secret.expose()));
        all.spawn(async move {
            let from = format!("10.9.{}.7", number);
            rig.connect(&from, Some(&Device::new()), &ask).await
        });
    }
    let (mut admitted, mut refused) = (0, HashSet::new());
    for outcome in all.join_all().await {
        match outcome {
            super::support::gateway_client::Outcome::Hello(_) => admitted += 1,
            other => drop(refused.insert(other.refused().error["details"]["authReason"].to_string())),
        }
    }
    assert_eq!((admitted, refused), (1, HashSet::from(["\"invite_invalid\"".to_owned()])));
    assert_eq!(rig.listing().await["paired"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_invite_is_over_in_time_and_is_forgotten_with_a_word_in_the_audit() {
    let rig = Rig::with(super::support::core_rig::brisk()).await;
    let invites = rig.core.invites();
    let made = invites.make(usual_scopes(), LIFE).await.unwrap();
    rig.clock.advance(599_999);
    assert!(invites.open().await.unwrap().is_some());
    rig.clock.advance(1);
    assert!(invites.open().await.unwrap().is_none());
    let refusal = rig.connect(LAN, Some(&Device::new()), &with(made.secret.expose())).await.refused();
    assert_eq!((refusal.code, &refusal.error["details"]["authReason"]), (1008, &json!("invite_invalid")));
    assert!(rig.listing().await["pending"].as_array().unwrap().is_empty());
    // It is swept out in the clockwork's own time.
    let asked = Filter { action: Some("invite.expired".to_owned()), most: 1, ..Filter::default() };
    let told = async {
        while rig.core.store().audit(&asked).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(150), told).await.expect("no invite.expired in the audit log");
}

#[tokio::test]
async fn wrong_invites_count_once_each_and_make_no_good_one_worthless() {
    let rig = Rig::new().await;
    let made = rig.core.invites().make(usual_scopes(), LIFE).await.unwrap();
    for number in 0..10 {
        let mut ask = with(secret().unwrap().expose());
        if number % 2 == 1 {
            // Also where a page knows one field for all secrets.
            (ask.token, ask.setup_code) = (ask.setup_code, None);
        }
        let refusal = rig.connect(LAN, Some(&Device::new()), &ask).await.refused();
        assert_eq!(refusal.error["details"]["authReason"], "invite_invalid", "attempt {number}");
    }
    for ask in [with(secret().unwrap().expose()), rig.ask()] {
        let refusal = rig.connect(LAN, Some(&Device::new()), &ask).await.refused();
        assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED", "what can be guessed is not judged");
    }
    // The owner's new phone may be behind the same router as who guesses: 32 random bytes need no lock.
    rig.connect(LAN, Some(&Device::new()), &with(made.secret.expose())).await.hello();
}

#[tokio::test]
async fn an_invite_is_no_gateway_token_and_opens_nothing_without_a_device() {
    let rig = Rig::new().await;
    let made = rig.core.invites().make(usual_scopes(), LIFE).await.unwrap();
    let secret = made.secret.expose();
    for from in [LAN, super::support::core_rig::HERE] {
        for ask in [with(secret), Ask::operator(secret)] {
            let refusal = rig.connect(from, None, &ask).await.refused();
            assert_ne!(refusal.error["details"]["code"], Value::Null, "{from}: {refusal:?}");
        }
    }
    assert!(rig.core.invites().open().await.unwrap().is_some());
    // In the token's field, as a person pastes it, it does what it does in its own.
    let device = Device::new();
    let session = rig.connect(LAN, Some(&device), &Ask::operator(secret)).await.hello();
    assert_eq!(session.hello["auth"]["method"], "bootstrap-token");
    assert!(rig.core.invites().open().await.unwrap().is_none());
}

/// A new device's `connect` with this invite, which asks for more than it gives.
fn with(secret: &str) -> Ask {
    Ask { token: None, setup_code: Some(secret.to_owned()), ..Ask::operator("") }
}

/// What was changed, as `doorward audit` tells it.
fn entries(doorward: &Instance<'_>) -> Vec<String> {
    let entries = doorward.json(&["audit"])["entries"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["change"].as_str().unwrap().to_owned()).collect()
}

/// That no file of this folder has `secret` in it.
fn nowhere_in(folder: &Path, secret: &str) {
    let mut looked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "the secret stands in {}", path.display());
            looked += 1;
        }
    }
    assert!(looked > 2, "nothing was looked at");
}
