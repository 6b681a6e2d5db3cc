//! The tables that say who may vouch for a caller.

use super::*;

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let all: Vec<(&str, Expected)> = vec![
        ("[tailscale]\nwhois = «\"yes\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("[tailscale]\nsocket = «\"\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("[tailscale]\n«who» = true", |f| matches!(f, Fault::UnknownKey { .. })),
        ("[tailscale]\n«certificates» = true", |f| matches!(f, Fault::Later { .. })),
    ];
    all.into_iter().map(|(text, expected)| (text.to_owned(), expected)).collect()
}

#[test]
fn tailscaled_is_asked_only_when_told() {
    assert_eq!(parse("[tailscale]\nsocket = \"s\"").unwrap().tailscale, None);
    let asked = |text: &str| parse(text).unwrap().tailscale.unwrap().socket;
    assert_eq!(asked("[tailscale]\nwhois = true"), Path::new("/var/run/tailscale/tailscaled.sock"));
    assert_eq!(asked("[tailscale]\nwhois = true\nsocket = \"s\""), Path::new("/etc/doorward/s"));
}
