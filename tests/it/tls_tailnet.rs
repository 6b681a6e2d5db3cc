//! A tailnet's own certificate is shown as soon as tailscaled gives it; without tailscaled nothing that was shown goes away.

use std::fs;

use crate::support::authority::{Authority, Purpose};
use crate::support::handshake::Client;
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::tailscaled::FakeTailscaled;
use crate::support::wait::until;

const NAME: &str = "claw.tail1234.ts.net";
const CONFIGURATION: &str = r#"
[edge]
names = ["claw.tail1234.ts.net"]

[tailscale]
socket = "tailscaled.sock"
certificates = true

[[listener]]
name = "door"
bind = ["10.77.0.1:8443"]
"#;

#[test]
fn the_tailnets_certificate_comes_by_itself_and_stays_when_tailscaled_is_gone() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let shakes = |authority: &str| {
        let client = Client::trusting(authority);
        home.lan.on(move || client.shake("10.77.0.1:8443", NAME))
    };
    // No tailscaled yet: the door is open all the same, and the log says why.
    assert_eq!(shakes(&doorward.authority()).unwrap().status(), 200);
    until(|| doorward.log().contains("no tailnet certificate"), || "the warning".to_owned());
    assert!(doorward.log().contains("mount its socket"), "{}", doorward.log());

    // It refuses first, then it has a pair for somebody else, then ours.
    let authority = Authority::new("let's pretend");
    let socket = doorward.folder().join("tailscaled.sock");
    let fake = FakeTailscaled::start(&socket, &[]);
    fake.gives(NAME, 500, "your tailnet is rate limited\u{1b}[2J\n");
    until(|| doorward.log().contains("your tailnet is rate limited"), || "the refusal".to_owned());
    assert!(!doorward.log().contains('\u{1b}'), "what tailscaled says is shown printable");
    let both = |names: &[&str]| {
        let pair = authority.issue(Purpose::Server, names);
        (format!("{}{}", pair.key, pair.cert), pair)
    };
    fake.gives(NAME, 200, &both(&["other.tail1234.ts.net"]).0);
    until(|| doorward.log().contains("for another name"), || "the wrong name".to_owned());
    assert_eq!(shakes(&doorward.authority()).unwrap().status(), 200);
    let (text, pair) = both(&[NAME]);
    fake.gives(NAME, 200, &text);
    until(|| shakes(authority.pem()).is_ok_and(|shaken| shaken.shows(&pair)), || "the certificate".to_owned());

    // tailscaled goes away: what is shown is shown on, a reload included. Its key is nowhere on our disk.
    fs::remove_file(&socket).unwrap();
    doorward.words(&["reload"]);
    assert!(shakes(authority.pem()).unwrap().shows(&pair));
    let secret = pair.key.lines().nth(1).unwrap();
    let found =
        std::process::Command::new("grep").args(["-rlF", "--", secret]).arg(doorward.folder()).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}
