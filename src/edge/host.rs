//! Which Hosts are answered, on which connection. Pure.

use std::net::IpAddr;

use crate::listener;
use crate::listener::facts::TlsFacts;
use crate::net::host::{Authority, Host};
use crate::origin::LocalRule;

use super::Settings;
use super::respond::Refusal;

/// What a request may be answered with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offer {
    /// All that is behind the edge.
    Everything,
    /// A redirect or the CA's page: how to come by https, and nothing else.
    Guidance,
}

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
    offer: Offer,
) -> Result<(), Refusal> {
    let host = &authority.host;
    let loopback_here = host.is_loopback() && !matches!(listener.origin.local, LocalRule::Never);
    // Whoever answers multicast DNS chooses where `.local` leads, our loopback door too: only a certificate tells such a
    // page from ours.
    let is_proven = tls.is_some() || offer == Offer::Guidance;
    let own_here = || is_proven && settings.own.contains(host) && is_of_the_house(listener, &settings.own);
    if !loopback_here && !settings.names.contains(host) && !own_here() {
        return Err(Refusal::Misdirected);
    }
    let opened_for = match tls.map(|tls| tls.sni.as_ref()) {
        None => true,
        Some(Some(name)) => name == host,
        Some(None) => matches!(host, Host::Address(_)) || loopback_here,
    };
    if opened_for { Ok(()) } else { Err(Refusal::MisdirectedByTls) }
}

/// Whether `listener` is reached at one of our `own` addresses: they are the household's, never loopback.
fn is_of_the_house(listener: &listener::Settings, own: &[Host]) -> bool {
    let is_own = |bound: IpAddr| {
        own.iter().any(|host| match host {
            Host::Address(ip) => bound == *ip || (bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4()),
            Host::Name(_) => false,
        })
    };
    listener.bind.iter().any(|address| is_own(address.ip()))
}

/// Whether a browser that asked for `authority` is told to come by https alone from now on (RFC 6797): where the name is
/// configured, has a certificate that `is_public`, and its https is on the port that such a browser goes to. An address, a
/// name of a household and a private CA's name are left alone: who could mend it when that certificate is gone?
pub fn holds_to_https(
    authority: &Authority,
    tls: Option<&TlsFacts>,
    settings: &Settings,
    is_public: impl FnOnce(&Host) -> bool,
) -> bool {
    let host = &authority.host;
    let is_named = matches!(host, Host::Name(_)) && settings.names.contains(host);
    let by_tls = tls.is_some_and(|tls| tls.sni.as_ref() == Some(host));
    let on_port = settings.https_port == 443 && matches!(authority.port, None | Some(443));
    is_named && by_tls && on_port && is_public(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::claims::TlsVersion;
    use crate::origin;

    #[test]
    fn only_a_public_name_with_a_public_certificate_is_held_to_https() {
        let names = ["claw.example.com", "edge.local", "192.168.1.10", "localhost"];
        let mut settings = settings(names.map(|name| Host::parse(name).unwrap()).into());
        let is_public = |host: &Host| host.to_string() == "claw.example.com";
        let held = |settings: &Settings, host: &str, sni: Option<&str>| {
            let sni = sni.map(|name| Host::parse(name).unwrap());
            let tls = TlsFacts { version: TlsVersion::V1_3, sni, alpn: None, client: None };
            holds_to_https(&Authority::parse(host).unwrap(), Some(&tls), settings, is_public)
        };
        assert!(held(&settings, "claw.example.com", Some("claw.example.com")));
        assert!(held(&settings, "claw.example.com:443", Some("claw.example.com")));
        for (host, sni) in [
            ("claw.example.com:8443", Some("claw.example.com")),
            ("claw.example.com", None),
            ("claw.example.com", Some("edge.local")),
            ("edge.local", Some("edge.local")),
            ("192.168.1.10", None),
            ("localhost", Some("localhost")),
            ("other.example.com", Some("other.example.com")),
        ] {
            assert!(!held(&settings, host, sni), "{host} {sni:?}");
        }
        // In the clear, and where https is on a port that no browser goes to by itself.
        let authority = Authority::parse("claw.example.com").unwrap();
        assert!(!holds_to_https(&authority, None, &settings, |_| true));
        settings.https_port = 8443;
        assert!(!held(&settings, "claw.example.com", Some("claw.example.com")));
    }

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
            let tls = TlsFacts { version: TlsVersion::V1_3, sni, alpn: None, client: None };
            let judged = judge(host, Some(&tls), local.clone());
            assert_eq!(judged.is_ok(), opened_for, "{host} {tls:?}");
            assert!(matches!(judged, Ok(()) | Err(Refusal::MisdirectedByTls)), "{host} {tls:?}");
        }
    }

    #[test]
    fn an_own_name_is_answered_by_tls_and_never_at_loopback() {
        let parsed = |hosts: &[&str]| hosts.iter().map(|host| Host::parse(host).unwrap()).collect();
        let mut settings = settings(parsed(&["claw.example.com"]));
        settings.own = parsed(&["vm.local", "192.168.7.7"]);
        let served = |host: &str, bind: &str, by_tls: bool, offer| {
            let authority = Authority::parse(host).unwrap();
            let sni = Some(authority.host.clone()).filter(|host| matches!(host, Host::Name(_)));
            let tls = by_tls.then_some(TlsFacts { version: TlsVersion::V1_3, sni, alpn: None, client: None });
            let mut listener = listener(LocalRule::Loopback { uids: Vec::new() });
            listener.bind = vec![bind.parse().unwrap()];
            check(&authority, tls.as_ref(), &listener, &settings, offer).is_ok()
        };
        for host in ["vm.local", "vm.local:8443", "192.168.7.7"] {
            for bind in ["192.168.7.7:8443", "0.0.0.0:8443"] {
                assert!(served(host, bind, true, Offer::Everything), "{host} {bind}");
                assert!(!served(host, bind, false, Offer::Everything), "{host} {bind}: a page of anybody's");
                assert!(served(host, bind, false, Offer::Guidance), "{host} {bind}");
            }
            for bind in ["127.0.0.1:8443", "[::1]:8443", "203.0.113.7:8443", "[::]:8443"] {
                for (by_tls, offer) in [(true, Offer::Everything), (false, Offer::Everything), (false, Offer::Guidance)]
                {
                    assert!(!served(host, bind, by_tls, offer), "{host} {bind} {by_tls} {offer:?}");
                }
            }
        }
        // What is configured is answered on every listener, and loopback's names where they always were.
        for host in ["claw.example.com", "127.0.0.1"] {
            assert!(served(host, "127.0.0.1:8443", false, Offer::Everything), "{host}");
        }
        assert!(!served("other.local", "0.0.0.0:8443", true, Offer::Guidance));
    }

    fn judge(host: &str, tls: Option<&TlsFacts>, local: LocalRule) -> Result<(), Refusal> {
        let names = ["claw.example.com", "second.example.com", "192.168.1.10"].map(|name| Host::parse(name).unwrap());
        let (settings, listener) = (settings(names.into()), listener(local));
        check(&Authority::parse(host).unwrap(), tls, &listener, &settings, Offer::Everything)
    }

    fn settings(names: Vec<Host>) -> Settings {
        Settings {
            id: "edge".to_owned(),
            names,
            own: Vec::new(),
            origins: Vec::new(),
            https_port: 443,
            drain_seconds: 1,
        }
    }

    fn listener(local: LocalRule) -> listener::Settings {
        listener::Settings {
            name: "main".to_owned(),
            bind: Vec::new(),
            protocol: listener::Protocol::Auto,
            serve: listener::Serve::All,
            origin: origin::Settings { local, ..Default::default() },
        }
    }
}
