//! The tables that say who may vouch for a caller.

use super::*;
use crate::certificates::client_auth::{Authorities, ClientCertificates};

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let all: Vec<(&str, Expected)> = vec![
        ("[tailscale]\nwhois = «\"yes\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("[tailscale]\nsocket = «\"\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("[tailscale]\n«who» = true", |f| matches!(f, Fault::UnknownKey { .. })),
        ("[tailscale]\ncertificates = «1»", |f| matches!(f, Fault::WrongType { .. })),
        ("[[listener]]\nbind = [\"10.0.0.5:443\"]\nclient_certificates = «\"required\"»", |f| {
            matches!(f, Fault::Missing { key: "client_ca" })
        }),
        ("[[listener]]\nbind = [\"10.0.0.5:443\"]\nclient_certificates = «\"require\"»", |f| {
            matches!(f, Fault::UnknownValue { closest: Some("required"), .. })
        }),
        ("[[listener]]\nbind = [\"10.0.0.5:443\"]\nclient_ca = «\"ca.pem\"»", |f| {
            matches!(f, Fault::Useless { key: "client_ca", .. })
        }),
        ("[[listener]]\nbind = [\"10.0.0.5:443\"]\nclient_certificates = \"off\"\nclient_crl = «\"x\"»", |f| {
            matches!(f, Fault::Useless { key: "client_crl", .. })
        }),
        (
            "[[listener]]\nbind = [\"10.0.0.5:80\"]\nprotocol = \"http\"\nclient_certificates = «\"optional\"»\nclient_ca = \"c\"",
            |f| matches!(f, Fault::Useless { key: "client_certificates", .. }),
        ),
        (
            // By plain http, which `auto` takes too, everybody would come in.
            "[[listener]]\nbind = [\"127.0.0.1:80\"]\nprotocol = \"auto\"\nclient_certificates = «\"required\"»\nclient_ca = \"c\"",
            |f| matches!(f, Fault::Useless { key: "client_certificates", .. }),
        ),
    ];
    all.into_iter().map(|(text, expected)| (text.to_owned(), expected)).collect()
}

#[test]
fn tailscaled_is_asked_only_when_told() {
    assert_eq!(parse("[tailscale]\nsocket = \"s\"").unwrap().tailscale, None);
    let config = parse("[tailscale]\ncertificates = true\nsocket = \"s\"").unwrap();
    assert_eq!(config.tailscale, None);
    assert_eq!(config.certificates.tailnet.unwrap().socket, Path::new("/etc/doorward/s"));
    let asked = |text: &str| parse(text).unwrap().tailscale.unwrap().socket;
    assert_eq!(asked("[tailscale]\nwhois = true"), Path::new("/var/run/tailscale/tailscaled.sock"));
    assert_eq!(asked("[tailscale]\nwhois = true\nsocket = \"s\""), Path::new("/etc/doorward/s"));
}

#[test]
fn callers_certificates_are_asked_for_where_a_listener_says_so() {
    let listener = "[[listener]]\nname = \"door\"\nbind = [\"10.0.0.5:443\"]\n";
    assert!(parse(listener).unwrap().certificates.clients.is_empty());
    let clients = |rest: &str| parse(&format!("{listener}{rest}")).unwrap().certificates.clients["door"].clone();
    let ca = std::path::PathBuf::from("/etc/doorward/ca.pem");
    let optional = clients("client_certificates = \"optional\"\nclient_ca = \"ca.pem\"");
    assert_eq!(optional, ClientCertificates::Optional(Authorities { ca: ca.clone(), crl: None }));
    let required = clients("client_certificates = \"required\"\nclient_ca = \"ca.pem\"\nclient_crl = \"/crl\"");
    assert_eq!(required, ClientCertificates::Required(Authorities { ca, crl: Some("/crl".into()) }));
}
