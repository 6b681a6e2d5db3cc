//! Who is shown `/doorward/ca`: devices of the house, while it has a use for the local CA. To all others there is nothing.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{Response, StatusCode};

use super::{Edge, Settings, respond};
use crate::listener::facts::ConnectionFacts;
use crate::listener::{self, Protocol};
use crate::net::host::{Authority, Scheme};
use crate::onboarding::{self, Item};
use crate::origin::{Class, Origin};

impl Edge {
    /// The answer at `path`, to a caller of this origin who came by this listener.
    pub(super) fn ca(
        &self,
        path: &str,
        origin: &Origin,
        asked: &Authority,
        (facts, listener): (&ConnectionFacts, &listener::Settings),
        settings: &Settings,
    ) -> Option<Response<Bytes>> {
        let item = Item::at(path)?;
        let certificates = self.0.certificates.get()?;
        let shown = certificates.local_ca_names()?;
        if !is_of_the_house(origin.class) {
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
        Some(response)
    }
}

/// A stranger has no use for the CA, and a container no business with it.
fn is_of_the_house(class: Class) -> bool {
    match class {
        Class::Local | Class::Nat | Class::Private | Class::Tailnet => true,
        Class::Container | Class::Public | Class::Unattributed => false,
    }
}
