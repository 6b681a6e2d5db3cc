//! Who is shown `/doorward/ca`: devices of the house, while it has a use for the local CA. To all others there is nothing.

mod onlooker;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};

use super::{Edge, Settings, respond};
use crate::listener::facts::ConnectionFacts;
use crate::listener::{self, Protocol};
use crate::net::host::{Authority, Host, Scheme};
use crate::onboarding::{self, Item};
use crate::origin::{Class, Origin};

use onlooker::Onlooker;

impl Edge {
    /// The answer to `head`, to a caller of this origin who came by this listener.
    pub(super) fn ca(
        &self,
        head: &Parts,
        origin: &Origin,
        asked: &Authority,
        (facts, listener): (&ConnectionFacts, &listener::Settings),
        settings: &Settings,
    ) -> Option<Response<Bytes>> {
        let item = Item::at(head.uri.path())?;
        let certificates = self.0.certificates.get()?;
        let shown = certificates.local_ca_names()?;
        if !is_of_the_house(origin.class, &asked.host, Way::of(&head.headers, facts, listener)) {
            return None;
        }
        let onlooker = match item {
            Item::Seal => Onlooker::of(&head.headers, |host| is_a_house_page(host, &asked.host, settings)),
            _ => Onlooker::Nobody,
        };
        if onlooker == Onlooker::Stranger {
            return None;
        }
        // A port that speaks both is the one for https too.
        let port = match (facts.scheme(), listener.protocol) {
            (Scheme::Https, _) => asked.port.unwrap_or(Scheme::Https.default_port()),
            (Scheme::Http, Protocol::Auto) => asked.port.unwrap_or(Scheme::Http.default_port()),
            (Scheme::Http, _) => settings.https_port,
        };
        let asked = Some(&asked.host).filter(|host| shown.contains(host) || host.is_loopback());
        let doors = onboarding::doors(asked, shown.iter(), port);
        let answer = item.answer(certificates.authority(), &doors);
        let mut response = respond::typed(StatusCode::OK, answer.kind, answer.body);
        let headers = response.headers_mut();
        // Never absent: it is made of our own words and hosts.
        if let Ok(policy) = HeaderValue::try_from(answer.policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        if let Onlooker::House(page) = onlooker {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page);
            headers.insert(VARY, HeaderValue::from_static("origin"));
        }
        Some(response)
    }
}

/// Whether a page at `host` is the house's own. What is on a visitor's own loopback is his, unless he sits at this machine.
fn is_a_house_page(host: &Host, asked: &Host, settings: &Settings) -> bool {
    settings.names.contains(host) || settings.own.contains(host) || (host.is_loopback() && asked.is_loopback())
}

/// How a request came to our socket, as far as it tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// With a trace of somebody who passed it on.
    PassedOn,
    /// Without any.
    Plain,
}

impl Way {
    fn of(headers: &HeaderMap, facts: &ConnectionFacts, listener: &listener::Settings) -> Self {
        let traced = headers.keys().any(|name| listener.origin.is_forwarding(name));
        if traced || facts.proxy_header.is_some() { Self::PassedOn } else { Self::Plain }
    }
}

/// A stranger has no use for the CA, and a container no business with it. Behind an address that hides its callers is a device
/// of the house only if nobody has passed it on, and it asked by what leads nowhere on the Internet: a tunnel to us looks the
/// same, and has all strangers behind it.
fn is_of_the_house(class: Class, asked: &Host, way: Way) -> bool {
    match class {
        Class::Local | Class::Private | Class::Tailnet => true,
        Class::Nat => way == Way::Plain && asked.is_local_only(),
        Class::Container | Class::Public | Class::Unattributed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin;

    #[test]
    fn what_hides_strangers_is_shown_the_page_only_where_nobody_passed_it_on() {
        let shown = |class, host: &str, lines: &'static [&'static str]| {
            let settings = origin::Settings::default();
            let facts = ConnectionFacts::plain(settings, "127.0.0.1:5000".parse().unwrap());
            let value = http::HeaderValue::from_static("203.0.113.9");
            let names = lines.iter().map(|name| (http::HeaderName::from_static(name), value.clone()));
            let way = Way::of(&names.collect(), &facts, &facts.listener.load());
            is_of_the_house(class, &Host::parse(host).unwrap(), way)
        };
        for host in ["claw.lan", "pi.local", "localhost", "claw.home.arpa", "192.168.7.7", "[fd00::7]", "127.0.0.1"] {
            assert!(shown(Class::Nat, host, &[]), "{host}");
            for name in ["x-forwarded-for", "cf-connecting-ip", "forwarded", "x-real-ip", "x_forwarded_for"] {
                let name: &'static [&'static str] = Box::leak(Box::new([name]));
                assert!(!shown(Class::Nat, host, name), "{host} {name:?}");
                assert!(shown(Class::Private, host, name), "{host} {name:?}");
            }
        }
        for host in ["claw.example.com", "lan", "203.0.113.7", "xlocal", "pi.local.example.com", "[2001:db8::1]"] {
            assert!(!shown(Class::Nat, host, &[]), "{host}");
            assert!(shown(Class::Private, host, &[]), "{host}");
        }
        for class in [Class::Container, Class::Public, Class::Unattributed] {
            assert!(!shown(class, "claw.lan", &[]), "{class:?}");
        }
        assert!(!is_of_the_house(Class::Nat, &Host::parse("claw.lan").unwrap(), Way::PassedOn), "a proxy header");
    }
}
