//! Which Hosts are answered, on which connection. Pure.

use crate::listener;
use crate::listener::facts::TlsFacts;
use crate::net::host::{Authority, Host};
use crate::origin::LocalRule;

use super::Settings;
use super::respond::Refusal;

/// Judges the Host of a request, without its port, by the configured names, the listener and TLS.
///
/// # Errors
/// [`Refusal::Misdirected`] for a name that is not served here, [`Refusal::MisdirectedByTls`] for one that this
/// connection was not opened for: a browser may share a connection between names (RFC 9113 §9.1.1), a
/// certificate and a policy may not.
pub fn check(
    authority: &Authority,
    tls: Option<&TlsFacts>,
    listener: &listener::Settings,
    settings: &Settings,
) -> Result<(), Refusal> {
    let host = &authority.host;
    let loopback_here = host.is_loopback() && !matches!(listener.origin.local, LocalRule::Never);
    if !loopback_here && !settings.names.contains(host) {
        return Err(Refusal::Misdirected);
    }
    let opened_for = match tls.map(|tls| tls.sni.as_ref()) {
        None => true,
        Some(Some(name)) => name == host,
        Some(None) => matches!(host, Host::Address(_)) || loopback_here,
    };
    if opened_for { Ok(()) } else { Err(Refusal::MisdirectedByTls) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::claims::TlsVersion;
    use crate::origin;

    #[test]
    fn only_configured_names_are_answered() {
        for (host, served) in [
            ("claw.example.com", true),
            ("claw.example.com:8443", true),
            ("192.168.1.10", true),
            ("other.example.com", false),
            ("claw.example.com.evil.example", false),
            ("192.168.1.11", false),
            ("localhost", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(judge(host, None, LocalRule::Never).is_ok(), served, "{host}");
        }
    }

    #[test]
    fn loopback_names_are_answered_on_local_listeners() {
        for host in ["localhost", "127.0.0.1:18789", "[::1]"] {
            assert!(judge(host, None, LocalRule::Loopback { uids: Vec::new() }).is_ok(), "{host}");
        }
        let evil = judge("localhost.evil.example", None, LocalRule::Loopback { uids: Vec::new() });
        assert!(matches!(evil, Err(Refusal::Misdirected)));
    }

    #[test]
    fn the_host_is_the_name_tls_was_asked_for() {
        let local = LocalRule::Loopback { uids: Vec::new() };
        for (host, sni, opened_for) in [
            ("claw.example.com", Some("claw.example.com"), true),
            ("claw.example.com", Some("second.example.com"), false),
            ("second.example.com", Some("claw.example.com"), false),
            ("192.168.1.10", Some("claw.example.com"), false),
            ("claw.example.com", None, false),
            ("192.168.1.10", None, true),
            ("127.0.0.1", None, true),
            ("localhost", None, true),
            ("localhost", Some("localhost"), true),
            ("127.0.0.1", Some("localhost"), false),
        ] {
            let sni = sni.map(|name| Host::parse(name).unwrap());
            let tls = TlsFacts { version: TlsVersion::V1_3, sni, alpn: None };
            let judged = judge(host, Some(&tls), local.clone());
            assert_eq!(judged.is_ok(), opened_for, "{host} {tls:?}");
            assert!(matches!(judged, Ok(()) | Err(Refusal::MisdirectedByTls)), "{host} {tls:?}");
        }
    }

    fn judge(host: &str, tls: Option<&TlsFacts>, local: LocalRule) -> Result<(), Refusal> {
        let names = ["claw.example.com", "second.example.com", "192.168.1.10"].map(|name| Host::parse(name).unwrap());
        let settings = Settings {
            id: "edge".to_owned(),
            names: names.into(),
            origins: Vec::new(),
            https_port: 443,
            drain_seconds: 1,
        };
        let listener = listener::Settings {
            name: "main".to_owned(),
            bind: Vec::new(),
            protocol: listener::Protocol::Auto,
            serve: listener::Serve::All,
            origin: origin::Settings { local, ..Default::default() },
        };
        check(&Authority::parse(host).unwrap(), tls, &listener, &settings)
    }
}
