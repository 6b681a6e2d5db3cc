//! Who answers which path, and where a plain request is sent. Pure.

use http::{HeaderValue, Method, Uri};

use super::Settings;
use super::respond::Refusal;
use crate::base::code::WHY_PATH;
use crate::certificates::acme::challenge;
use crate::net::host::{Authority, Host};
use crate::onboarding::Item;

/// Who answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// We: the answer to a CA that asks whether a name is ours.
    Acme,
    /// We, to devices of the house: how they come to trust the local CA. To others it is the core's.
    Ca,
    /// The core, with an assertion.
    Core,
    /// We, always: this process lives.
    Health,
    /// We: the keys that verify our assertions.
    Keys,
    /// We: whether new work is taken.
    Readiness,
    /// We: what a refusal means.
    Why,
}

/// The methods of the routes that we answer ourselves.
const READ: &str = "GET, HEAD";

impl Route {
    /// The route of `uri`'s path, byte for byte: no decoding, no folding, so nobody can disagree about it.
    ///
    /// # Errors
    /// [`Refusal::Target`] when it is no path, [`Refusal::Method`] when the route has no such method.
    pub fn of(method: &Method, uri: &Uri) -> Result<Self, Refusal> {
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::Method { allow: "GET, HEAD, POST" });
        }
        let path = uri.path();
        if !path.starts_with('/') {
            return Err(Refusal::Target);
        }
        let route = match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/.well-known/doorward/jwks.json" => Self::Keys,
            // Whatever method: there is an answer, or there is nothing.
            path if path.starts_with(challenge::PATH) => return Ok(Self::Acme),
            path if path.starts_with(WHY_PATH) => Self::Why,
            // Any other method is the core's to refuse, as where there is no such page.
            path if is_read(method) && Item::at(path).is_some() => Self::Ca,
            _ => return Ok(Self::Core),
        };
        if is_read(method) { Ok(route) } else { Err(Refusal::Method { allow: READ }) }
    }

    /// Whether any Host will do: a health check knows no names.
    pub fn takes_any_host(self) -> bool {
        matches!(self, Self::Health | Self::Readiness)
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Where a plain request for `authority` is sent: the same path on https, without secrets in the query, and only to
/// a name of ours.
///
/// # Errors
/// [`Refusal::Misdirected`] for any other name: we never lead anybody to a place we do not own.
pub fn https_location(authority: &Authority, uri: &Uri, settings: &Settings) -> Result<HeaderValue, Refusal> {
    if !settings.names.contains(&authority.host) && !settings.own.contains(&authority.host) {
        return Err(Refusal::Misdirected);
    }
    if !uri.path().starts_with('/') {
        return Err(Refusal::Target);
    }
    let port = settings.https_port;
    let host: &Host = &authority.host;
    let mut location = if port == 443 { format!("https://{host}") } else { format!("https://{host}:{port}") };
    location.push_str(uri.path());
    let kept: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !is_secret(pair)).collect();
    if kept.iter().any(|pair| !pair.is_empty()) {
        location.push('?');
        location.push_str(&kept.join("&"));
    }
    HeaderValue::try_from(location).map_err(|_| Refusal::Target)
}

/// Whether a query's `name=value` may be a secret: it came in the clear already, but need not stay in a history.
fn is_secret(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    // An escape may spell any name.
    name.contains('%')
        || ["auth", "code", "pass", "secret", "token"].iter().any(|word| name.contains(word))
        || name.ends_with("key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_byte_for_byte() {
        for (method, target, expected) in [
            (Method::GET, "/healthz", Some(Route::Health)),
            (Method::HEAD, "/readyz?x", Some(Route::Readiness)),
            (Method::GET, "/.well-known/doorward/jwks.json", Some(Route::Keys)),
            (Method::GET, "/doorward/why/", Some(Route::Why)),
            (Method::HEAD, "/doorward/why/7Q2K9M4XW1PT?x", Some(Route::Why)),
            (Method::POST, "/doorward/why/7Q2K9M4XW1PT", None),
            (Method::GET, "/doorward/ca", Some(Route::Ca)),
            (Method::HEAD, "/doorward/ca/doorward-ca.der?x", Some(Route::Ca)),
            (Method::POST, "/doorward/ca", Some(Route::Core)),
            (Method::GET, "/doorward/ca/ca.pem", Some(Route::Core)),
            (Method::GET, "/doorward/why", Some(Route::Core)),
            (Method::GET, "/.well-known/acme-challenge/", Some(Route::Acme)),
            (Method::POST, "/.well-known/acme-challenge/../x", Some(Route::Acme)),
            (Method::GET, "/.well-known/acme-challenge", Some(Route::Core)),
            (Method::GET, "//.well-known/acme-challenge/x", Some(Route::Core)),
            (Method::GET, "/.well-known/%61cme-challenge/x", Some(Route::Core)),
            (Method::GET, "/", Some(Route::Core)),
            (Method::GET, "/healthz/", Some(Route::Core)),
            (Method::GET, "/HEALTHZ", Some(Route::Core)),
            (Method::GET, "/%68ealthz", Some(Route::Core)),
            (Method::POST, "/anything", Some(Route::Core)),
            (Method::POST, "/healthz", None),
            (Method::TRACE, "/", None),
            (Method::CONNECT, "a:443", None),
            (Method::OPTIONS, "*", None),
        ] {
            assert_eq!(Route::of(&method, &target.parse().unwrap()).ok(), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_redirect_stays_on_our_own_names_and_drops_secrets() {
        for (host, target, port, expected) in [
            ("claw.example.com:80", "/a%2fb?x=1", 443, Some("https://claw.example.com/a%2fb?x=1")),
            ("claw.example.com", "/", 8443, Some("https://claw.example.com:8443/")),
            ("claw.example.com", "//evil.example/%2e%2e", 443, Some("https://claw.example.com//evil.example/%2e%2e")),
            ("claw.example.com", "/?token=SECRET", 443, Some("https://claw.example.com/")),
            (
                "claw.example.com",
                "/?auth=S&apikey=S&keyword=b&pass=S",
                443,
                Some("https://claw.example.com/?keyword=b"),
            ),
            ("claw.example.com", "/?a=1&TOKEN=S&b=2&%74oken=S", 443, Some("https://claw.example.com/?a=1&b=2")),
            ("[2001:db8::1]", "/", 443, Some("https://[2001:db8::1]/")),
            ("evil.example", "/", 443, None),
            ("localhost", "/", 443, None),
        ] {
            let names = ["claw.example.com", "2001:db8::1"].map(|name| Host::parse(name).unwrap());
            let settings = Settings {
                id: "edge".to_owned(),
                names: names.into(),
                own: Vec::new(),
                origins: Vec::new(),
                https_port: port,
                drain_seconds: 1,
            };
            let location = https_location(&Authority::parse(host).unwrap(), &target.parse().unwrap(), &settings);
            assert_eq!(location.ok().as_ref().map(|value| value.to_str().unwrap()), expected, "{host} {target}");
        }
    }
}
