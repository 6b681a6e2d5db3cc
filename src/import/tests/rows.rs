//! Rows that are not what the gateway writes, and what of a sound one does not move.

use serde_json::Value;
use serde_json::json;

use super::super::*;
use super::JANUARY;
use super::january;
use super::room;
use crate::base::limits::IMPORT_WORDS_MAX;
use crate::protocol::scope::Role;

/// What is done to a row, by JSON pointer: a value in place of what is there, or nothing at all.
type Edit = (&'static str, Option<Value>);

#[tokio::test]
async fn a_row_that_is_not_sound_is_told_and_left_out_and_the_others_come() {
    let small_order = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let many: Vec<String> = (0..=IMPORT_WORDS_MAX).map(|number| format!("operator.x{number}")).collect();
    let set = |path: &'static str, value: Value| (path, Some(value));
    let rows: Vec<(Edit, &str)> = vec![
        (set("/publicKey", json!(small_order)), "no ed25519 key"),
        (set("/publicKey", json!("not a key")), "no ed25519 key"),
        (set("/publicKey", json!("tk1wv4zgLdiao43QMYIOw1GKFbLJlyGBdTY4zAjjeWg")), "not that of its key"),
        (set("/deviceId", json!("00")), "its id is none"),
        (set("/deviceId", json!("5D3B74C9F098DD14458A5C6EAB8A84C73845E20282757772934D40E4C20F5649")), "its id is none"),
        (("/deviceId", None), "not as the gateway writes it"),
        (set("/tokens", json!("a secret in the wrong place")), "not as the gateway writes it"),
        (set("/tokens/operator/scopes", json!(["operator.read", 7])), "not as the gateway writes it"),
        (set("/createdAtMs", json!("yesterday")), "not as the gateway writes it"),
        (set("/createdAtMs", json!(1.5e300)), "not as the gateway writes it"),
        (set("/roles", json!(["operator", "worker"])), "a role that we do not know"),
        (set("/role", json!("OPERATOR")), "a role that we do not know"),
        (set("/scopes", json!(["operator.read,operator.admin"])), "a scope that is none"),
        (set("/scopes", json!(many)), "more scopes than there are"),
        (set("/tokens/operator/scopes", json!(["a|b"])), "a scope that is none"),
        (set("/tokens/operator/token", json!("short")), "a token that is none"),
        (set("/tokens/operator/token", json!("x".repeat(10_000))), "a token that is none"),
        (set("/tokens/operator/token", json!("with blanks and that is long enough to be one")), "a token that is none"),
        (set("/tokens/operator/role", json!("node")), "a token that is none"),
        (set("/clientId", json!("clawdbot")), "none that we know"),
        (set("/clientMode", json!("")), "none that we know"),
        (("/platform", None), "names no platform"),
        (("/tokens", None), "may not do anything"),
        (set("/tokens/operator/revokedAtMs", json!(1)), "may not do anything"),
    ];
    for ((path, value), reason) in rows {
        let (text, id) = edited(&[(path, value)]);
        let state = january(&text);
        let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
        let [unfit] = &found.unfit[..] else { panic!("{path}: {found:#?}") };
        assert!(unfit.id == id && unfit.reason.contains(reason), "{path}: {unfit:?}");
        assert!(!unfit.reason.contains("secret"), "{unfit:?}");
        assert_eq!(found.arrivals.len(), 1, "{path}: the other device");
    }
}

#[tokio::test]
async fn nothing_grows_on_the_way() {
    let token = |scopes: Value| ("/tokens/operator/scopes", Some(scopes));
    for (edit, scopes, loss) in [
        (token(json!(["operator.pairing"])), &["operator.pairing"][..], None),
        (token(json!([])), &[], None),
        // Covered, though not named: an administrator holds it.
        (token(json!(["operator.read"])), &["operator.read"], None),
        // More than it was approved for: what lies within stays, the token does not.
        (token(json!(["operator.read", "node.exec"])), &["operator.read"], Some(Why::TokenBeyond)),
        (("/scopes", Some(json!(["operator.pairing"]))), &["operator.pairing"], Some(Why::TokenBeyond)),
        (("/approvedScopes", Some(json!([]))), &[], Some(Why::TokenBeyond)),
        (
            ("/roles", Some(json!(["operator", "node"]))),
            &["operator.admin", "operator.approvals", "operator.pairing"],
            Some(Why::TokenMissing),
        ),
    ] {
        let (text, id) = edited(std::slice::from_ref(&edit));
        let state = january(&text);
        let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
        let arrival = found.arrivals.iter().find(|arrival| arrival.device.id().to_string() == id).unwrap();
        let [grant] = &arrival.device.grants[..] else { panic!("{arrival:#?}") };
        assert_eq!(grant.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), scopes, "{edit:?}");
        assert_eq!(arrival.losses.first().map(|loss| loss.why), loss, "{edit:?}");
        assert_eq!(grant.token.is_some(), !matches!(loss, Some(Why::TokenBeyond)), "{edit:?}");
    }
}

#[tokio::test]
async fn what_an_operator_may_do_is_no_nodes_and_the_other_way_round() {
    let written: Value = serde_json::from_str(JANUARY).unwrap();
    let operator = written.as_object().unwrap().values().next().unwrap()["tokens"]["operator"].clone();
    let mut node = operator.clone();
    node["role"] = json!("node");
    node["scopes"] = json!(["operator.admin", "node.exec"]);
    let (text, id) = edited(&[
        ("/roles", Some(json!(["operator", "node"]))),
        ("/scopes", Some(json!(["operator.admin", "node.exec"]))),
        ("/tokens", Some(json!({ "operator": operator, "node": node }))),
    ]);
    let state = january(&text);
    let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
    let arrival = found.arrivals.iter().find(|arrival| arrival.device.id().to_string() == id).unwrap();
    let of = |role| arrival.device.grants.iter().find(|grant| grant.role == role).unwrap();
    assert_eq!(json!(of(Role::Node).scopes), json!(["node.exec"]));
    assert!(of(Role::Operator).scopes.iter().all(|scope| scope.as_str().starts_with("operator.")));
}

#[tokio::test]
async fn names_of_strangers_are_escaped() {
    let (text, id) =
        edited(&[("/displayName", Some(json!("\u{1b}[2Jevil"))), ("/operatorLabel", Some(json!(" \u{202e}x ")))]);
    let state = january(&text);
    let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
    let arrival = found.arrivals.iter().find(|arrival| arrival.device.id().to_string() == id).unwrap();
    assert_eq!(arrival.device.profile.display_name.as_deref(), Some("\\u{1b}[2Jevil"));
    assert_eq!(arrival.device.label.as_deref(), Some("\\u{202e}x"));
}

/// The real file, in which these edits were made to one device; and that device's id.
fn edited(edits: &[Edit]) -> (String, String) {
    let mut written: Value = serde_json::from_str(JANUARY).unwrap();
    let id = written.as_object().unwrap().keys().next().unwrap().clone();
    for (path, value) in edits {
        let (above, name) = path.rsplit_once('/').unwrap();
        let row = written.get_mut(&id).unwrap();
        let fields = row.pointer_mut(above).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(fields.insert(name.to_owned(), value.clone())),
            None => drop(fields.remove(name)),
        }
    }
    (written.to_string(), id)
}
