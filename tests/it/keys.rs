//! Promise: the signing key is replaced while requests and sockets flow, and no good request is refused for it.

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::crowd::{Crowd, Plan};
use crate::support::instance::{Instance, OWNERS};
use crate::support::namespace::Namespace;

#[test]
fn a_rotation_under_five_hundred_sessions_and_their_requests_refuses_nobody() {
    const ROTATIONS: usize = 8;
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, OWNERS);
    let here = Caller::plain("127.0.0.1:18789");
    let crowd = Crowd::gather(
        &machine,
        Plan {
            sessions: 500,
            here: here.clone(),
            token: instance.token(),
            requests_a_second: 200,
            web: here,
            said: &[],
        },
    );
    let first = kids(&instance.json(&["keys", "list"]));
    assert_eq!(first.len(), 1);
    for rotation in 1..=ROTATIONS {
        let keys = instance.json(&["keys", "rotate"]);
        assert_eq!(keys["keys"][0]["state"], "current");
        assert_eq!(keys["keys"][1]["state"], "overlap");
        assert_eq!(kids(&keys).len(), rotation + 1);
        crowd.ask_all();
        // With this key, too, something is signed, and somebody let in.
        crowd.is_served(10);
        crowd.is_visited();
    }
    assert!(crowd.disperse() > 10 * ROTATIONS);
    assert_eq!(kids(&instance.json(&["keys", "list"])), shown(&machine), "the JWK Set shows the same");

    let keys = kids(&instance.json(&["keys", "rotate", "--compromised"]));
    assert_eq!(keys.len(), 1);
    assert_eq!(keys, shown(&machine));
    let files = std::fs::read_dir(instance.folder().join("state/keys")).unwrap().count();
    assert_eq!(files, 1, "what was seen by others is gone from the disk");
    // It is the one that a restart finds, and it can be replaced where nobody runs.
    instance.stop();
    assert_eq!(kids(&instance.json(&["keys", "list"])), keys);
    let offline = kids(&instance.json(&["keys", "rotate"]));
    assert_eq!(offline[1..], keys);
    instance.restart();
    assert_eq!(kids(&instance.json(&["keys", "list"])), offline);
}

fn kids(keys: &Value) -> Vec<String> {
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The names of the keys in the JWK Set.
fn shown(machine: &Namespace) -> Vec<String> {
    let caller = Caller::plain("127.0.0.1:18789");
    let answer = machine.on(move || caller.get("/.well-known/doorward/jwks.json", &[])).unwrap();
    kids(&serde_json::from_str(&answer.body).unwrap())
}
