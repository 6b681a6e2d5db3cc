//! What is shown to whoever sends no name, or one that is none of ours.

use std::net::IpAddr;

use rustls::server::Acceptor;

use super::*;
use crate::certificates::root::Root;

#[test]
fn a_name_that_is_not_ours_is_not_answered() {
    let mut house = House::new(&["claw.local", "claw.example.com"]);
    let ca_pem = {
        house.open(now()).unwrap();
        fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap()
    };
    let wild = rcgen::CertificateParams::new(vec!["*.wild.local".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let (cert, key_pem) = (wild.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let (cert, key) = house.write_pair("wild", &format!("{key_pem}{cert}"));
    house.settings.files.push(FilePair { cert, key });
    assert!(!ca_pem.is_empty());
    let resolver = house.open(now()).unwrap().resolver();
    for name in ["claw.local", "CLAW.local", "claw.example.com", "a.wild.local"] {
        assert!(answers(&resolver, Some(name), &[]), "{name}");
    }
    for name in ["other.local", "wild.local", "a.b.wild.local", "claw.local.evil.example", "example.com"] {
        assert!(!answers(&resolver, Some(name), &[]), "{name}");
        assert!(answers(&resolver, Some(name), &[b"acme-tls/1"]), "a ca's question is judged by its order: {name}");
    }
    // Every leaf is for it; it is a name of ours only where it leads to us.
    for (address, known) in
        [(Some("127.0.0.1"), true), (Some("::1"), true), (Some("203.0.113.7"), false), (None, false)]
    {
        let address = address.map(|address| address.parse().unwrap());
        assert_eq!(answers_at(&resolver, Some("localhost"), &[], address), known, "{address:?}");
    }
    house.settings.names.push(Host::parse("localhost").unwrap());
    assert!(
        answers(&house.open(now()).unwrap().resolver(), Some("localhost"), &[]),
        "configured, a proxy may lead there"
    );
    assert!(answers(&resolver, None, &[]), "whoever dials an address sends none");
}

#[test]
fn whoever_dials_what_is_not_served_learns_no_name() {
    let names_shown = |house: &House, address: Option<&str>| {
        let certificates = house.open(now()).unwrap();
        let tls = ServerTls::new(certificates.resolver(), &[]).unwrap();
        let config = match address {
            Some(address) => tls.dialled(address.parse().unwrap()),
            None => tls.forwarded(),
        };
        client::names_shown(&config)
    };
    let house = House::new(&["claw.example.com"]);
    for address in [Some("203.0.113.7"), Some("10.0.0.1"), Some("2001:db8::1"), None] {
        assert_eq!(names_shown(&house, address), "", "{address:?}");
    }
    assert!(names_shown(&house, Some("127.0.0.1")).contains("127.0.0.1"));
    // One that is configured is served, loopback or not: a proxy may lead there.
    assert!(names_shown(&House::new(&["127.0.0.1"]), None).contains("127.0.0.1"));
    // Where an address is served, a caller behind NAT may mean it.
    let house = House::new(&["claw.example.com", "203.0.113.7"]);
    for address in [Some("203.0.113.7"), Some("172.18.0.2"), None] {
        assert!(names_shown(&house, address).contains("203.0.113.7"), "{address:?}");
    }
    assert_eq!(names_shown(&house, Some("198.51.100.9")), "", "no NAT leads to a public address of ours");
    let mut house = House::new(&["claw.example.com"]);
    house.settings.own = vec![Host::parse("192.168.7.7").unwrap()];
    assert!(names_shown(&house, Some("192.168.7.7")).contains("192.168.7.7"));
    assert_eq!(names_shown(&house, Some("203.0.113.7")), "", "what it calls its own is private");
}

#[test]
fn who_knows_one_name_learns_no_other_from_its_certificate() {
    let mut house = House::new(&["claw.example.com", "pi.local", "203.0.113.7"]);
    house.settings.own = ["box.local", "192.168.7.7"].map(|name| Host::parse(name).unwrap()).to_vec();
    let certificates = house.open(now()).unwrap();
    let tls = ServerTls::new(certificates.resolver(), &[]).unwrap();
    let at = |address: &str| tls.dialled(address.parse().unwrap());
    for name in ["claw.example.com", "pi.local", "box.local", "localhost"] {
        for server in [tls.forwarded(), at("192.168.7.7"), at("203.0.113.7"), at("127.0.0.1")] {
            assert_eq!(client::names_shown_for(&server, name), name);
        }
    }
    // An address tells no name.
    let addresses = "127.0.0.1, 192.168.7.7, 203.0.113.7, [::1]";
    for server in [tls.forwarded(), at("192.168.7.7"), at("203.0.113.7"), at("172.18.0.2"), at("::1")] {
        assert_eq!(client::names_shown(&server), addresses);
    }
    // Where a file is for a name that the local ca may not sign, its stand-in tells nothing either.
    assert_eq!(client::names_shown_for(&tls.forwarded(), "other.example.com"), "localhost");
    // All are listed, and each is exported by itself.
    let listed = certificates.list(now()).pop().unwrap();
    assert_eq!(listed.names.len(), 8, "{listed:?}");
    let chain = Certificates::find_chain(&house.settings, &Host::parse("pi.local").unwrap(), now()).unwrap().unwrap();
    assert_eq!(x509::Names::of(&x509::parse(&chain[0]).unwrap()).to_string(), "pi.local");
}

#[test]
fn a_name_is_public_when_everything_that_is_shown_for_it_is() {
    let house = House::new(&["claw.local", "both.local", "own.local"]);
    house.open(now()).unwrap();
    let ca_pem = fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap();
    let loaded = |name: &str, root| {
        let text = local_ca::tests_leaf(&ca_pem, &[Host::parse(name).unwrap()], now());
        let (cert, key) = house.write_pair(name, &text);
        let loaded = files::load(&FilePair { cert, key }, now()).unwrap();
        assert_eq!(loaded.root, Root::Private, "what our own ca signs is nobody's root but ours");
        Arc::new(files::Loaded { root, ..loaded })
    };
    let pairs = [
        loaded("claw.local", Root::Public),
        loaded("both.local", Root::Public),
        loaded("both.local", Root::Private),
        loaded("192.0.2.7", Root::Public),
    ];
    let local = Leaves::single(Arc::clone(&pairs[2].certified));
    let resolver = Resolver::new(Served::new(&house.settings.names, &pairs, local), Challenges::default());
    let is_public = |name: &str| resolver.is_public(&Host::parse(name).unwrap());
    assert!(is_public("claw.local"));
    for name in ["both.local", "own.local", "192.0.2.7", "localhost", "127.0.0.1", "other.example"] {
        assert!(!is_public(name), "{name}");
    }
}

/// What the resolver says to a real ClientHello.
fn answers(resolver: &Resolver, name: Option<&str>, alpn: &[&[u8]]) -> bool {
    answers_at(resolver, name, alpn, None)
}

/// The same to a caller who dialled `address`.
fn answers_at(resolver: &Resolver, name: Option<&str>, alpn: &[&[u8]], address: Option<IpAddr>) -> bool {
    let mut config = Arc::unwrap_or_clone(client::trusting_nobody());
    config.enable_sni = name.is_some();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let server = rustls::pki_types::ServerName::try_from(name.unwrap_or("x.example").to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), server).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut hello.as_slice()).unwrap();
    let accepted = acceptor.accept().map_err(|(error, _)| error).unwrap().unwrap();
    resolver.answers(&accepted.client_hello(), address)
}
