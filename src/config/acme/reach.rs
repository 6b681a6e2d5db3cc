//! Which challenges a listener of ours can answer, and whether a CA comes there: it asks at port 80 or 443 alone
//! (RFC 8555 §8.3, RFC 8737 §3).

use std::net::{IpAddr, SocketAddr};

use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::{ChallengeKind, Settings};
use crate::listener;
use crate::listener::Protocol;

/// What is answered at a port.
const AT_PORTS: [ChallengeKind; 2] = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];

/// Leaves each order the challenges that some listener can answer, so that no attempt is lost on the others; says where
/// that leaves none, and where no listener is bound to the port that a CA asks at.
pub(in crate::config) fn fit(wanted: &mut [Settings], listeners: &[listener::Settings]) -> Vec<String> {
    let answered = |kind: &ChallengeKind| *kind == ChallengeKind::Dns01 || doors(*kind, listeners).next().is_some();
    let mut alone = None;
    for settings in &mut *wanted {
        let kinds = &mut settings.challenges;
        let shown = |name: &Subject| kinds.iter().any(|kind| answered(kind) && kind.suits(name));
        if settings.names.iter().all(shown) {
            kinds.retain(answered);
        } else {
            alone = alone.or(kinds.iter().find(|kind| !answered(kind)).copied());
        }
    }
    let alone = alone.and_then(|kind| {
        let (port, protocol) = asked_at(kind)?;
        let (word, protocol) = (kind.word(), protocol.as_str());
        Some(format!(
            "certificates.acme: no listener answers {word}; add one with `protocol = \"{protocol}\"`, reachable on port {port}"
        ))
    });
    alone.into_iter().chain(AT_PORTS.into_iter().filter_map(|kind| elsewhere(kind, wanted, listeners))).collect()
}

/// That `kind` is answered at other ports or on this machine alone, if an order may use it. It may be meant so: whatever
/// stands in front leads the CA there.
fn elsewhere(kind: ChallengeKind, wanted: &[Settings], listeners: &[listener::Settings]) -> Option<String> {
    let (port, _) = asked_at(kind)?;
    let is_used = |settings: &&Settings| {
        settings.challenges.contains(&kind) && settings.names.iter().any(|name| kind.suits(name))
    };
    let orders: Vec<&Settings> = wanted.iter().filter(is_used).collect();
    let doors: Vec<SocketAddr> = doors(kind, listeners).collect();
    let first = orders.first()?.names.iter().find(|name| kind.suits(name))?;
    if doors.is_empty() || doors.iter().any(|door| door.port() == port && is_reached(door.ip())) {
        return None;
    }
    let word = kind.word();
    // Where every order can do without.
    let has_other = |settings: &&Settings| {
        settings.names.iter().all(|name| settings.challenges.iter().any(|other| *other != kind && other.suits(name)))
    };
    let or_without = match orders.iter().all(has_other) {
        true => format!(", or leave \"{word}\" out of `challenges`"),
        false => String::new(),
    };
    let doors: Vec<_> = doors.iter().map(ToString::to_string).collect();
    Some(format!(
        "certificates.acme: a ca asks for {word} at port {port} of {first}, and no listener for it is bound there at an \
         address that others reach; bind one there, see that a published port, a router or a proxy leads port {port} to {}{or_without}",
        doors.join(" or ")
    ))
}

/// The port at which a CA asks, and what is spoken there.
fn asked_at(kind: ChallengeKind) -> Option<(u16, Protocol)> {
    match kind {
        ChallengeKind::Dns01 => None,
        ChallengeKind::Http01 => Some((80, Protocol::Http)),
        ChallengeKind::TlsAlpn01 => Some((443, Protocol::Https)),
    }
}

/// Where `kind` is answered.
fn doors(kind: ChallengeKind, listeners: &[listener::Settings]) -> impl Iterator<Item = SocketAddr> {
    let spoken = asked_at(kind).map(|(_, protocol)| protocol);
    let speaks = move |listener: &&listener::Settings| {
        spoken.is_some_and(|protocol| [protocol, Protocol::Auto].contains(&listener.protocol))
    };
    listeners.iter().filter(speaks).flat_map(|listener| listener.bind.iter().copied())
}

/// Whether anybody off this machine and its links dials `ip`.
fn is_reached(ip: IpAddr) -> bool {
    let is_of_link = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !is_of_link
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEAD, parse, parse_all};
    use crate::certificates::acme::ChallengeKind;

    const TABLE: &str = "[[certificates.acme]]\nnames = [\"a.example\"]\n";

    #[test]
    fn only_what_a_listener_answers_is_offered_to_a_ca() {
        let https = "[[listener]]\nbind = [\"192.0.2.7:443\"]\n";
        let config = parse(&format!("{https}{TABLE}")).unwrap();
        assert_eq!(config.certificates.acme[0].challenges, [ChallengeKind::TlsAlpn01]);
        let config = parse(&format!("{https}{TABLE}challenges = [\"http-01\"]")).unwrap();
        assert_eq!(config.certificates.acme[0].challenges, [ChallengeKind::Http01]);
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert!(warning.contains("no listener answers http-01"), "{warning}");
    }

    #[test]
    fn a_ca_that_comes_to_no_listener_is_told_for_each_challenge_with_what_to_do() {
        let http = "challenges = [\"http-01\"]";
        let alpn = "challenges = [\"tls-alpn-01\"]";
        for (https, plain, challenges, told) in [
            ("192.0.2.7:443", "192.0.2.7:80", "", vec![]),
            ("0.0.0.0:443", "[::]:80", "", vec![]),
            ("192.0.2.7:443", "192.0.2.7:8080", "", vec!["http-01"]),
            ("192.0.2.7:8443", "192.0.2.7:80", "", vec!["tls-alpn-01"]),
            ("192.0.2.7:8443", "192.0.2.7:8080", "", vec!["http-01", "tls-alpn-01"]),
            ("192.0.2.7:443", "192.0.2.7:8080", alpn, vec![]),
            ("192.0.2.7:8443", "192.0.2.7:80", http, vec![]),
            ("192.0.2.7:8443", "192.0.2.7:80", alpn, vec!["tls-alpn-01"]),
            // Who speaks the other thing there answers nothing.
            ("192.0.2.7:80", "192.0.2.7:443", "", vec!["http-01", "tls-alpn-01"]),
            // No CA comes there.
            ("192.0.2.7:443", "127.0.0.1:80", "", vec!["http-01"]),
            ("[::1]:443", "[fe80::1]:80", "", vec!["http-01", "tls-alpn-01"]),
        ] {
            let doors = format!(
                "[[listener]]\nbind = [\"{https}\"]\n[[listener]]\nbind = [\"{plain}\"]\nprotocol = \"http\"\n"
            );
            let config = parse(&format!("{doors}{TABLE}{challenges}")).unwrap();
            let words: Vec<_> =
                config.warnings.iter().filter(|warning| warning.starts_with("certificates.acme: ")).collect();
            assert_eq!(words.len(), told.len(), "{https} {plain} {challenges}: {words:#?}");
            for (warning, kind) in words.iter().zip(&told) {
                let (port, door) = if *kind == "http-01" { ("80", plain) } else { ("443", https) };
                assert!(warning.contains(&format!("asks for {kind} at port {port} of a.example,")), "{warning}");
                assert!(warning.contains(&format!("leads port {port} to {door}")), "{warning}");
                let may_be_left = format!("leave \"{kind}\" out of `challenges`");
                assert_eq!(warning.contains(&may_be_left), challenges.is_empty(), "{warning}");
            }
        }
    }

    #[test]
    fn an_order_that_shows_all_its_names_in_the_dns_needs_no_port() {
        let door = "[[listener]]\nbind = [\"127.0.0.1:8443\"]\n";
        let dns = "challenges = [\"dns-01\"]\n[certificates.acme.dns]\nexec = [\"/hook\"]\n";
        let config = parse(&format!("{door}{TABLE}{dns}")).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        // Nor one whose names the other challenge does not suit.
        let dns = dns.replace("[\"dns-01\"]", "[\"dns-01\", \"tls-alpn-01\"]");
        let wildcard = TABLE.replace("a.example", "*.a.example");
        let named = format!("{door}{wildcard}{dns}");
        let head = HEAD.replace("\"b.example\"", "\"b.a.example\"");
        let config = parse_all(&format!("{head}{named}")).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}
