//! The machine's own names and addresses, which come and go.

use super::*;

#[test]
fn a_leaf_follows_the_machines_own_names_and_nothing_else_is_lost() {
    let mut house = House::new(&["claw.example.com"]);
    house.settings.own = hosts(&["pi.local", "192.168.7.7"]);
    let certificates = house.open(now()).unwrap();
    let (server, client) = (server(&certificates, &["http/1.1"]), client_of(certificates.ca_pem()));
    let shown = |name: &str| handshake(&client, &server, name).is_ok();
    assert!(shown("pi.local") && shown("192.168.7.7") && !shown("192.168.7.8"));
    assert_eq!(certificates.follow(hosts(&["pi.local", "192.168.7.8"]), now()).unwrap(), Renewal::Renewed);
    assert!(shown("pi.local") && shown("192.168.7.8") && shown("claw.example.com") && !shown("192.168.7.7"));
    assert_eq!(certificates.follow(hosts(&["pi.local", "192.168.7.8"]), now()).unwrap(), Renewal::NotDue);
    // What the CA may not sign is left out, and stops nothing.
    certificates.follow(hosts(&["pi.local", "203.0.113.9"]), now()).unwrap();
    assert!(shown("pi.local") && !shown("203.0.113.9"));
    assert_eq!(certificates.own_names(), hosts(&["pi.local"]));
    // A reload has other names, and the machine the same.
    house.settings.names = hosts(&["other.lan"]);
    certificates.replace(&house.settings, now()).unwrap();
    assert!(shown("pi.local") && shown("other.lan") && !shown("claw.example.com"));
    assert_eq!(certificates.renew(now()).unwrap(), Renewal::NotDue);
}

#[test]
fn the_same_leaf_is_shown_after_a_restart_and_another_on_demand() {
    let mut house = House::new(&[]);
    house.settings.own = hosts(&["10.1.1.1"]);
    let leaf = || fs::read_to_string(house.state().join("local-ca/leaf.pem")).unwrap();
    house.open(now()).unwrap();
    let first = leaf();
    let certificates = house.open(now()).unwrap();
    assert_eq!(leaf(), first);
    certificates.reissue_local(now()).unwrap();
    assert_ne!(leaf(), first);
    let chain = Certificates::find_chain(&house.settings, &hosts(&["10.1.1.1"])[0], now()).unwrap().unwrap();
    assert_eq!(chain.len(), 1);
    assert_eq!(Certificates::find_chain(&house.settings, &hosts(&["10.1.1.2"])[0], now()).unwrap(), None);
}

#[test]
fn the_local_ca_is_of_use_as_long_as_a_name_has_no_other_certificate() {
    let mut house = House::new(&["a.local"]);
    assert!(house.open(now()).unwrap().local_ca_names().is_some());
    let ca_pem = fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap();
    let (cert, key) = house.write_pair("a", &local_ca::tests_leaf(&ca_pem, &hosts(&["a.local"]), now()));
    house.settings.files = vec![FilePair { cert, key }];
    let certificates = house.open(now()).unwrap();
    assert!(certificates.local_ca_names().is_none());
    certificates.follow(hosts(&["192.168.7.7"]), now()).unwrap();
    assert!(certificates.local_ca_names().is_some());
    house.settings.names = hosts(&["a.local", "b.local"]);
    assert!(house.open(now()).unwrap().local_ca_names().is_some());
    house.settings.names.clear();
    assert!(house.open(now()).unwrap().local_ca_names().is_some(), "loopback is always there");
}

fn hosts(names: &[&str]) -> Vec<Host> {
    names.iter().map(|name| Host::parse(name).unwrap()).collect()
}
