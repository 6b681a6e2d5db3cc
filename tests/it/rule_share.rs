//! Promise: one rule lets in so many devices and no more; then a person is asked, and is told why.

use doorward::base::limits::RULE_DEVICES_MAX;
use serde_json::json;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::instance::{Instance, owners_and};
use crate::support::namespace::Namespace;

const HERE: &str = "127.0.0.1:18789";
const READERS: &str = r#"
[[core.pairing.rule]]
name = "readers"
danger_approve_by_address = true
when = { class = "local" }
then = { approve = ["operator.read"] }
"#;

#[test]
fn a_rule_approves_its_share_of_devices_and_leaves_the_next_to_a_person() {
    let machine = Namespace::new();
    let doorward = Instance::start(&machine, &owners_and(READERS));
    let ask = Ask::operator(&doorward.token()).with_scopes(&["operator.read"]);
    let (asks, last) = (ask.clone(), Device::new());
    let one = machine.block_on(move || async move {
        let here = Caller::plain(HERE);
        for _ in 1..RULE_DEVICES_MAX {
            connect(&here, Some(&Device::new()), &asks).await.hello();
        }
        let one = Device::new();
        connect(&here, Some(&one), &asks).await.hello();
        one.id()
    });
    assert_eq!(doorward.paired().len(), RULE_DEVICES_MAX);

    let (asks, id) = (ask.clone(), last.id());
    let (last, code) = machine.block_on(move || async move {
        let refusal = connect(&Caller::plain(HERE), Some(&last), &asks).await.refused();
        assert_eq!(refusal.error["details"]["code"], "PAIRING_REQUIRED", "{refusal:?}");
        (last, refusal.error["details"]["doorward"].as_str().unwrap().to_owned())
    });
    doorward.pending_of(&id);
    let told = doorward.json(&["explain", &code]);
    assert_eq!(told["rules"]["rule"], json!("readers"));
    let effect = told["rules"]["effect"].as_str().unwrap();
    assert!(effect.contains("256 paired devices stand on its word"), "{told}");
    let log = doorward.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("has approved as many devices as one may")).collect();
    assert!(lines.len() == 1 && lines[0].contains("rule=readers") && lines[0].contains("devices list"), "{lines:?}");

    // One that is removed makes room for another.
    doorward.words(&["devices", "remove", &one]);
    machine.block_on(move || async move {
        connect(&Caller::plain(HERE), Some(&last), &ask).await.hello();
    });
    assert_eq!(doorward.paired().len(), RULE_DEVICES_MAX);
}
