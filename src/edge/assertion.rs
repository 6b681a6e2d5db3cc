//! The head as the core gets it: stripped of everything somebody could take for our word, with one Host and one
//! assertion.

use http::header::{EXPECT, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use super::context::{Connection, SharedAssertion};
use super::respond::Refusal;
use crate::base::clock::{Clock, UnixMillis};
use crate::identity::claims::{IdentityClaim, OriginClaim, RequestClaim, TlsClaim, is_shareable};
use crate::identity::headers::{ASSERTION, strip};
use crate::identity::signer::{Signer, Subject};
use crate::listener;
use crate::listener::facts::TlsFacts;
use crate::net::host::Authority;
use crate::origin::{self, Class, ClientIpHeader, Origin, ProxyProtocol};
use crate::tailscale::Word;

/// Who is calling, as far as it was found out.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Where from.
    pub origin: &'a Origin,
    /// Whom somebody we trust named.
    pub identity: Option<&'a IdentityClaim>,
}

impl Caller<'_> {
    /// Whether the kernel and tailscaled named the caller, who then is the same on all of a connection.
    fn is_tailnet(self) -> bool {
        self.origin.class == Class::Tailnet
    }
}

/// Strips `head`, makes it name `authority` alone, and signs who calls: `caller`, found by the settings of `listener`.
///
/// # Errors
/// [`Refusal::Claim`] for a head of which no claim can be made, [`Refusal::Sign`] when signing fails,
/// [`Refusal::Unwritable`] when what we would write is no header value.
pub fn seal(
    head: Parts,
    authority: &Authority,
    caller: Caller<'_>,
    listener: &listener::Settings,
    connection: &Connection,
    signer: &Signer,
    clock: &Clock,
) -> Result<Parts, Refusal> {
    let facts = connection.facts();
    let mut head = clean(head, authority, &listener.origin)?;
    let subject = Subject {
        cid: facts.id.as_str().to_owned(),
        origin: OriginClaim::of(caller.origin, &listener.name),
        tls: facts.tls.as_ref().map(tls_claim),
        identity: caller.identity.cloned(),
    };
    let is_from_wire = subject.identity.is_some() && !caller.is_tailnet();
    let token = if reads_nothing(listener) && !is_from_wire && is_shareable(&head) {
        shared(subject, authority, connection, signer, clock.steady())?
    } else {
        sign(signer, &subject, Some(&RequestClaim::of(&head)?))?
    };
    head.headers.insert(ASSERTION, token);
    Ok(head)
}

/// Whom the tailnet's word names: it counts exactly where it made the class.
pub fn tailnet_identity(origin: &Origin, tailnet: &Word) -> Option<IdentityClaim> {
    tailnet.identity().filter(|_| origin.class == Class::Tailnet).cloned()
}

/// The head without anything that could be taken for our word, and with its authority in one place.
fn clean(mut head: Parts, authority: &Authority, origin: &origin::Settings) -> Result<Parts, Refusal> {
    strip(&mut head.headers, origin);
    // The body is here: whoever reads this head further on must not ask for it again (RFC 9110 §10.1.1).
    head.headers.remove(EXPECT);
    // Never fails: hosts and ports are read into visible ASCII.
    let host = HeaderValue::try_from(authority.to_string())?;
    head.headers.insert(HOST, host);
    // The absolute form and HTTP/2 put the authority into the target too.
    let path = head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    head.uri = Uri::from(path);
    Ok(head)
}

/// The connection's last assertion if it says the same and is young, else a new one.
fn shared(
    subject: Subject,
    authority: &Authority,
    connection: &Connection,
    signer: &Signer,
    now: UnixMillis,
) -> Result<HeaderValue, Refusal> {
    let mut last = connection.last_assertion();
    if let Some(token) = last.as_ref().and_then(|last| last.token_for(&subject, authority, signer, now)) {
        return Ok(token);
    }
    // Before it is signed: were the key replaced in between, it would only be signed once more.
    let kid = signer.kid();
    let token = sign(signer, &subject, None)?;
    *last = Some(SharedAssertion { subject, authority: authority.clone(), issued: now, kid, token: token.clone() });
    Ok(token)
}

fn sign(signer: &Signer, subject: &Subject, request: Option<&RequestClaim>) -> Result<HeaderValue, Refusal> {
    // The second never fails: a compact assertion is base64url and dots.
    let mut token = HeaderValue::try_from(signer.sign(subject, request)?)?;
    token.set_sensitive(true);
    Ok(token)
}

/// Whether nothing on this listener's wire says who is calling, so that two requests of one connection differ only by themselves.
fn reads_nothing(listener: &listener::Settings) -> bool {
    let origin = &listener.origin;
    origin.client_ip_header == ClientIpHeader::None
        && origin.proxy_protocol == ProxyProtocol::Off
        && origin.trusted_proxies.is_empty()
}

fn tls_claim(tls: &TlsFacts) -> TlsClaim {
    TlsClaim {
        version: tls.version,
        sni: tls.sni.as_ref().map(ToString::to_string),
        alpn: tls.alpn.map(|alpn| alpn.as_str().to_owned()),
        client_cert: tls.client.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use http::header::CONNECTION;
    use http::{HeaderMap, HeaderName, Request};

    use super::*;
    use crate::identity::headers::is_look_alike;
    use crate::identity::jose;
    use crate::identity::signer::SigningKey;
    use crate::listener::facts::ConnectionFacts;
    use crate::net::addr::PeerAddr;
    use crate::net::host::Scheme;
    use crate::net::range::{Ranges, Width};
    use crate::origin::{self, Facts, Network, Owner, Whois, resolve};

    #[test]
    fn a_persons_name_counts_only_where_it_made_the_class() {
        let alice =
            IdentityClaim { provider: "tailscale".into(), login: "alice@example.com".into(), name: None, groups: None };
        let word = Word::Person(alice.clone());
        let headers = HeaderMap::new();
        for (peer, identity) in [("100.64.0.7", Some(alice)), ("10.0.0.7", None), ("203.0.113.9", None)] {
            let facts = Facts {
                peer: PeerAddr::from_accept((peer.parse::<IpAddr>().unwrap(), 4_000).into()),
                proxy_header: None,
                owner: Owner::Unknown,
                tailnet: word.whois(),
                headers: &headers,
                authority: None,
                scheme: Scheme::Https,
            };
            let origin = resolve(&facts, &origin::Settings::default(), &Network::new([] as [IpAddr; 0], 0));
            assert_eq!(tailnet_identity(&origin, &word), identity, "{peer}");
        }
    }

    #[test]
    fn nothing_that_looks_like_our_word_reaches_the_core() {
        let named_headers = vec![HeaderName::from_static("my-client")];
        let bench = Bench::new(origin::Settings { named_headers, ..Default::default() });
        let mut head = get("/path?query");
        for (name, value) in [
            ("x-doorward-assertion", "e30.e30.e30"),
            ("x-doorward-assertion", "second"),
            ("x_doorward_assertion", "twin"),
            ("x.doorward-assertion", "twin"),
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
            ("remote-user", "owner"),
            ("tailscale-user-login", "owner"),
            ("x-openclaw-scopes", "operator.admin"),
            ("connection", "x-doorward-assertion, host"),
            ("my-client", "127.0.0.1"),
            ("my_client", "127.0.0.1"),
            ("accept", "kept"),
        ] {
            head.headers.append(name, HeaderValue::from_static(value));
        }
        head.uri = Uri::from_static("https://evil.example/path?query");
        let sealed = bench.seal(head, "claw.example.com");
        assert_eq!(sealed.uri, Uri::from_static("/path?query"));
        assert_eq!(sealed.headers.get_all(HOST).iter().collect::<Vec<_>>(), ["claw.example.com"]);
        let tokens: Vec<_> = sealed.headers.get_all(ASSERTION).iter().collect();
        assert_eq!(tokens.len(), 1);
        assert_eq!(tokens[0].to_str().unwrap().split('.').count(), 3);
        assert_ne!(tokens[0], "e30.e30.e30");
        assert_eq!(sealed.headers["accept"], "kept");
        assert!(!sealed.headers.contains_key(CONNECTION));
        let left: Vec<_> = sealed.headers.keys().filter(|name| is_look_alike(name) && **name != ASSERTION).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!sealed.headers.contains_key("my-client") && !sealed.headers.contains_key("my_client"));
    }

    #[test]
    fn reads_of_one_connection_share_an_assertion_for_ten_seconds() {
        let bench = Bench::new(origin::Settings::default());
        let token = |path: &str, authority: &str| bench.seal(get(path), authority).headers.remove(ASSERTION).unwrap();
        let first = token("/", "a.example");
        assert_eq!(token("/other", "a.example"), first);
        bench.clock.advance(9_999);
        assert_eq!(token("/", "a.example"), first);
        bench.clock.advance(1);
        let second = token("/", "a.example");
        assert_ne!(second, first, "ten seconds old");
        assert_ne!(token("/", "b.example"), second, "another authority");
        let third = token("/", "a.example");
        bench.clock.advance(-7_200_000);
        assert_eq!(token("/", "a.example"), third, "the wall clock was set back");
        let trace = HeaderMap::from_iter([(http::header::ORIGIN, HeaderValue::from_static("https://b.example"))]);
        assert_eq!(
            token("/", "a.example"),
            bench.seal_with(get("/"), trace, "a.example"),
            "the claim is still the same"
        );
    }

    #[test]
    fn what_another_key_signed_is_shared_no_more() {
        let bench = Bench::new(origin::Settings::default());
        let token = || bench.seal(get("/"), "a.example").headers.remove(ASSERTION).unwrap();
        let first = token();
        bench.signer.replace_key(Arc::new(SigningKey::generate().unwrap().0));
        let second = token();
        assert_ne!(second, first);
        assert_eq!(token(), second);
    }

    #[test]
    fn whatever_may_change_something_has_an_assertion_of_its_own() {
        let bench = Bench::new(origin::Settings::default());
        for (method, name) in
            [("POST", "accept"), ("DELETE", "accept"), ("GET", "upgrade"), ("GET", "sec-websocket-key")]
        {
            let head = || {
                let request = Request::builder().method(method).uri("/").header(name, "websocket");
                request.header("connection", "upgrade").body(()).unwrap().into_parts().0
            };
            let token = || bench.seal(head(), "a.example").headers.remove(ASSERTION).unwrap();
            assert_ne!(token(), token(), "{method} {name}");
        }
    }

    #[test]
    fn an_identity_is_signed_and_never_anothers() {
        // Even where a token comes by a connection whose listener reads nothing else.
        let mut bench = Bench::new(origin::Settings::default());
        let mut token = |login: Option<&str>| {
            let named =
                |login: &str| IdentityClaim { provider: "jwt".into(), login: login.into(), name: None, groups: None };
            bench.identity = login.map(named);
            let token = bench.seal(get("/"), "a.example").headers.remove(ASSERTION).unwrap();
            let payload = token.to_str().unwrap().split('.').nth(1).and_then(jose::decode).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(claims["idn"]["login"].as_str(), login);
            assert_eq!(claims["sub"], login.unwrap_or("anonymous"));
            token
        };
        let (alice, bob, nobody) = (token(Some("alice")), token(Some("bob")), token(None));
        assert!(alice != bob && bob != nobody);
        let again = (token(Some("alice")), token(Some("alice")));
        assert_ne!(again.0, again.1, "what a token says is said once");
    }

    #[test]
    fn a_callers_certificate_stands_in_the_assertion_and_no_header_makes_one() {
        let mut bench = Bench::new(origin::Settings::default());
        let claims = |bench: &Bench| -> serde_json::Value {
            let mut head = get("/");
            for name in ["x-client-cert", "x-ssl-client-cert", "x-forwarded-client-cert", "x-doorward-assertion"] {
                head.headers.append(name, HeaderValue::from_static("CN=owner"));
            }
            let sealed = bench.seal(head, "a.example");
            let left = sealed.headers.values().filter(|value| value.as_bytes() == b"CN=owner").count();
            assert_eq!(left, 0, "{:?}", sealed.headers);
            let token = sealed.headers[ASSERTION].to_str().unwrap().to_owned();
            serde_json::from_slice(&token.split('.').nth(1).and_then(jose::decode).unwrap()).unwrap()
        };
        assert!(claims(&bench)["tls"]["client_cert"].is_null());
        let client = crate::identity::claims::ClientCertClaim {
            sha256: "digest".to_owned(),
            subject: "CN=alice".to_owned(),
            san: vec!["dns:alice.lan".to_owned()],
        };
        let mut facts = ConnectionFacts::plain(origin::Settings::default(), "192.0.2.1:1".parse().unwrap());
        let version = crate::identity::claims::TlsVersion::V1_3;
        facts.tls = Some(TlsFacts { version, sni: None, alpn: None, client: Some(client) });
        bench.connection = Connection::new(Arc::new(facts));
        let claims = claims(&bench);
        let expected = serde_json::json!({"sha256": "digest", "subject": "CN=alice", "san": ["dns:alice.lan"]});
        assert_eq!(claims["tls"]["client_cert"], expected);
        assert_eq!((&claims["sub"], &claims["origin"]["local"]), (&"anonymous".into(), &false.into()));
    }

    #[test]
    fn where_a_header_is_read_nothing_is_shared() {
        let trusted_proxies = Ranges::parse(&["10.0.0.1"], Width::Narrow).unwrap();
        for settings in [
            origin::Settings { client_ip_header: ClientIpHeader::XForwardedFor, ..Default::default() },
            origin::Settings {
                proxy_protocol: ProxyProtocol::Required { from: trusted_proxies.clone() },
                ..Default::default()
            },
            origin::Settings { trusted_proxies, ..Default::default() },
        ] {
            let bench = Bench::new(settings);
            let token = || bench.seal(get("/"), "a.example").headers.remove(ASSERTION).unwrap();
            assert_ne!(token(), token());
        }
    }

    struct Bench {
        connection: Connection,
        signer: Signer,
        clock: Clock,
        identity: Option<IdentityClaim>,
    }

    impl Bench {
        fn new(origin: origin::Settings) -> Self {
            let clock = Clock::fixed(UnixMillis(1_000_000));
            let (key, _) = SigningKey::generate().unwrap();
            let signer = Signer::new(Arc::new(key), "edge", "core", clock.clone()).unwrap();
            let facts = ConnectionFacts::plain(origin, "192.0.2.1:1".parse().unwrap());
            Self { connection: Connection::new(Arc::new(facts)), signer, clock, identity: None }
        }

        fn seal(&self, head: Parts, authority: &str) -> Parts {
            let facts = self.connection.facts();
            let authority = Authority::parse(authority).unwrap();
            let said = Facts {
                peer: facts.peer,
                proxy_header: None,
                owner: Owner::Unknown,
                tailnet: Whois::NotAsked,
                headers: &head.headers.clone(),
                authority: Some(&authority),
                scheme: Scheme::Http,
            };
            let listener = facts.listener.load();
            let origin = resolve(&said, &listener.origin, &Network::new([] as [IpAddr; 0], 0));
            let caller = Caller { origin: &origin, identity: self.identity.as_ref() };
            seal(head, &authority, caller, &listener, &self.connection, &self.signer, &self.clock).unwrap()
        }

        fn seal_with(&self, mut head: Parts, headers: HeaderMap, authority: &str) -> HeaderValue {
            head.headers.extend(headers);
            self.seal(head, authority).headers.remove(ASSERTION).unwrap()
        }
    }

    fn get(path: &str) -> Parts {
        Request::builder().uri(path).body(()).unwrap().into_parts().0
    }
}
