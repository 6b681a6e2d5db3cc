//! Behind a real HAProxy, nginx or Caddy the true client is seen; whoever imitates them gets nothing by it.

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::peer::{caddy, haproxy, nginx};

/// doorward behind a proxy machine that a client reaches; and a stranger with a cable of his own to doorward.
struct Chain {
    edge: Namespace,
    proxy: Namespace,
    client: Namespace,
    stranger: Namespace,
}

impl Chain {
    fn new() -> Self {
        let [edge, proxy, client, stranger] = std::array::from_fn(|_| Namespace::new());
        edge.cable("proxy0", &proxy, "edge0");
        edge.address("proxy0", "10.78.1.1/24");
        proxy.address("edge0", "10.78.1.2/24");
        proxy.cable("lan0", &client, "eth0");
        for address in ["10.78.0.1/24", "fd78::1/64"] {
            proxy.address("lan0", address);
        }
        for address in ["10.78.0.2/24", "fd78::2/64"] {
            client.address("eth0", address);
        }
        edge.cable("other0", &stranger, "eth0");
        edge.address("other0", "10.78.2.1/24");
        stranger.address("eth0", "10.78.2.2/24");
        Self { edge, proxy, client, stranger }
    }
}

const EDGE: &str = r#"
[edge]
names = ["10.78.0.1", "fd78::1", "10.78.1.1", "10.78.2.1"]

[[listener]]
name = "proxied"
bind = ["10.78.1.1:8443", "10.78.2.1:8443"]
protocol = "https"
proxy_protocol = "required"
proxy_protocol_from = ["10.78.1.2/32"]

[[listener]]
name = "forwarded"
bind = ["10.78.1.1:8080", "10.78.2.1:8080"]
protocol = "http"
serve = "all"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.78.1.2/32"]

[[listener]]
name = "reencrypted"
bind = ["10.78.2.1:9443"]
protocol = "https"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.78.1.2/32"]
"#;

const HAPROXY: &str = "
frontend version2
  mode tcp
  bind 10.78.0.1:9002
  bind [fd78::1]:9002
  default_backend version2
backend version2
  mode tcp
  server doorward 10.78.1.1:8443 send-proxy-v2
frontend version1
  mode tcp
  bind 10.78.0.1:9001
  bind [fd78::1]:9001
  default_backend version1
backend version1
  mode tcp
  server doorward 10.78.1.1:8443 send-proxy
";

const NGINX: &str = "
  server {
    listen 10.78.0.1:9003;
    listen [fd78::1]:9003;
    location / {
      proxy_pass http://10.78.1.1:8080;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }
  }
";

const CADDY: &str = "
http://10.78.0.1:9004, http://[fd78::1]:9004 {
  reverse_proxy 10.78.1.1:8080
}
";

/// Where people read how to set their proxy up.
const README: &str = include_str!("../../README.md");

#[test]
fn what_the_readme_says_of_proxies_is_what_is_tested() {
    let lines = |configuration: &'static str, from: &'static str| {
        configuration.lines().map(str::trim).skip_while(move |line| !line.starts_with(from))
    };
    let haproxy = lines(HAPROXY, "server").take(1);
    let nginx = lines(NGINX, "location").take_while(|line| *line != "}");
    let caddy = lines(CADDY, "reverse_proxy").take(1);
    let tested: Vec<_> = haproxy.chain(nginx).chain(caddy).collect();
    assert_eq!(tested.len(), 10, "{tested:?}");
    for line in tested {
        let line = line.replace("10.78.1.1", "10.0.0.5");
        assert!(README.contains(&line), "the README does not have: {line}");
    }
}

#[test]
fn true_client_is_seen_behind_caddy() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let _caddy = caddy(&chain.proxy, CADDY, "10.78.0.1:9004");
    for (target, client) in [("10.78.0.1:9004", "10.78.0.2"), ("[fd78::1]:9004", "fd78::2")] {
        let caller = Caller::plain(target);
        client_is_seen(&chain, &doorward, &caller, client, "forwarded");
        // Caddy puts the true client in place of what he forges.
        for forged in ["203.0.113.9", "127.0.0.1", "10.78.1.2", "unknown"] {
            let caller = caller.clone();
            let seen = chain.client.on(move || caller.whoami(&[("X-Forwarded-For", forged)]));
            assert_eq!((&seen["client_ip"], &seen["local"]), (&client.into(), &false.into()), "{forged}: {seen:#}");
        }
    }
}

#[test]
fn true_client_is_seen_behind_haproxy() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let _haproxy = haproxy(&chain.proxy, HAPROXY, "10.78.0.1:9001");
    for (target, client) in [
        ("10.78.0.1:9002", "10.78.0.2"),
        ("10.78.0.1:9001", "10.78.0.2"),
        ("[fd78::1]:9002", "fd78::2"),
        ("[fd78::1]:9001", "fd78::2"),
    ] {
        let caller = Caller::trusting(target, &doorward.authority());
        client_is_seen(&chain, &doorward, &caller, client, "proxied");
        // His own header says nothing to this listener.
        let seen = chain.client.on(move || caller.whoami(&[("X-Forwarded-For", "203.0.113.9")]));
        assert_eq!(seen["client_ip"], client, "{seen:#}");
    }
}

#[test]
fn true_client_is_seen_behind_nginx() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let _nginx = nginx(&chain.proxy, NGINX, "10.78.0.1:9003");
    for (target, client) in [("10.78.0.1:9003", "10.78.0.2"), ("[fd78::1]:9003", "fd78::2")] {
        let caller = Caller::plain(target);
        client_is_seen(&chain, &doorward, &caller, client, "forwarded");
        // nginx appends the true client to what he forges; read from the right, the forgery is never reached.
        for forged in ["203.0.113.9", "127.0.0.1", "10.78.1.2", "unknown"] {
            let caller = caller.clone();
            let seen = chain.client.on(move || caller.whoami(&[("X-Forwarded-For", forged)]));
            assert_eq!(seen["client_ip"], client, "{forged}: {seen:#}");
            assert_eq!(seen["local"], false, "{forged}: {seen:#}");
        }
    }
}

#[test]
fn stranger_who_speaks_proxy_himself_gets_no_byte() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let haproxy = haproxy(&chain.proxy, HAPROXY, "10.78.0.1:9002");
    let version1 = b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 8443\r\n".to_vec();
    let mut version2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01".to_vec();
    version2.extend([0x9c, 0x40, 0x20, 0xfb]);
    let authority = doorward.authority();

    // Straight to the listener that requires the header, from an address that may not send it.
    for preface in [&version1, &version2, &Vec::new()] {
        let caller = Caller::trusting("10.78.2.1:8443", &authority).with_preface(preface);
        let answer = chain.stranger.on(move || caller.get("/doorward/whoami", &[]));
        assert!(answer.is_err(), "{preface:?}: {answer:?}");
    }
    // The same to a listener that reads none: it is garbage there.
    for preface in [&version1, &version2] {
        let caller = Caller::plain("10.78.2.1:8080").with_preface(preface);
        let answer = chain.stranger.on(move || caller.get("/doorward/whoami", &[]));
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 400), "{preface:?}: {answer:?}");
    }
    // Through HAProxy, which puts its own header first: his is no TLS.
    for preface in [&version1, &version2] {
        let caller = Caller::trusting("10.78.0.1:9002", &authority).with_preface(preface);
        let answer = chain.client.on(move || caller.get("/doorward/whoami", &[]));
        assert!(answer.is_err(), "{preface:?}: {answer:?}");
    }
    drop(haproxy);
    assert!(doorward.pending().is_empty() && doorward.paired().is_empty());
}

#[test]
fn stranger_who_sends_the_header_himself_is_seen_as_himself() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let caller = Caller::trusting("10.78.2.1:9443", &doorward.authority());
    for forged in ["127.0.0.1", "10.78.0.2", "203.0.113.9", "unknown", ""] {
        let caller = caller.clone();
        let seen = chain.stranger.on(move || caller.whoami(&[("X-Forwarded-For", forged)]));
        assert_eq!(seen["client_ip"], "10.78.2.2", "{forged}: {seen:#}");
        assert_eq!(seen["local"], false, "{forged}: {seen:#}");
    }
    let device = Device::new();
    let ask = Ask::operator(&doorward.token()).with_header("X-Forwarded-For", "127.0.0.1");
    call(&chain.stranger, &caller, &device, ask).refused();
    assert_eq!(doorward.pending_of(&device.id())["origin"]["ip"], "10.78.2.2");
    assert!(doorward.paired().is_empty());
}

#[test]
fn stranger_who_comes_past_the_proxy_sends_no_secret_in_clear() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let caller = Caller::plain("10.78.2.1:8080");
    let asking = caller.clone();
    let answer =
        chain.stranger.on(move || asking.get("/doorward/whoami", &[("X-Forwarded-For", "203.0.113.9")])).unwrap();
    assert_eq!(answer.status, 403, "{}", answer.head);
    assert!(answer.body.starts_with("not-through-the-proxy"), "{}", answer.body);
    let ask = Ask::operator(&doorward.token());
    assert_eq!(call(&chain.stranger, &caller, &Device::new(), ask).status(), 403);
    assert!(doorward.pending().is_empty());
}

/// What the log begins an advice about a proxy with.
const NEWS: [&str; 2] = ["a forwarding header does not count", "a trusted proxy names no caller"];

#[test]
fn the_log_says_once_which_proxy_to_mend_and_which_address_to_trust() {
    let chain = Chain::new();
    let doorward = Instance::start(&chain.edge, EDGE);
    let tls = Caller::trusting("10.78.2.1:9443", &doorward.authority());
    let (direct, past) = (Caller::plain("10.78.1.1:8080"), Caller::plain("10.78.2.1:8080"));
    let forwarded = [("X-Forwarded-For", "203.0.113.9")];
    let silent: [(&str, &str); 0] = [];
    let told = |listener: &str, source: &str| {
        let log = doorward.log();
        let of = |line: &&str| {
            let named = line.contains(&format!("listener={listener} ")) && line.contains(&format!("source={source} "));
            named && NEWS.iter().any(|news| line.contains(news))
        };
        log.lines().filter(of).map(str::to_owned).collect::<Vec<_>>()
    };
    // What is as it should be calls for no advice.
    for (machine, caller, headers) in [
        (&chain.proxy, &direct, &forwarded[..]),
        (&chain.stranger, &tls, &silent[..]),
        (&chain.stranger, &past, &silent[..]),
    ] {
        let (caller, headers) = (caller.clone(), headers.to_vec());
        machine.on(move || caller.get("/doorward/whoami", &headers)).unwrap();
    }
    assert!(!NEWS.iter().any(|news| doorward.log().contains(news)), "{}", doorward.log());

    let add = |listener: &str| format!("add it to trusted_proxies in [[listener]] \"{listener}\": \"10.78.2.2\"");
    let (tls_list, plain_list) = (add("reencrypted"), add("forwarded"));
    for (machine, caller, headers, listener, source, part) in [
        (&chain.proxy, &direct, &silent[..], "forwarded", "10.78.1.2", "let the proxy at 10.78.1.2 send "),
        (&chain.stranger, &tls, &forwarded[..], "reencrypted", "10.78.2.2", &tls_list),
        (&chain.stranger, &past, &forwarded[..], "forwarded", "10.78.2.2", &plain_list),
    ] {
        for _ in 0..3 {
            let (caller, headers) = (caller.clone(), headers.to_vec());
            machine.on(move || caller.get("/doorward/whoami", &headers)).unwrap();
            let told = told(listener, source);
            assert_eq!(told.len(), 1, "{listener} {source}: {told:#?}\n{}", doorward.log());
            assert!(told[0].contains(part), "{}", told[0]);
        }
    }
}

/// A device of the client behind the proxy waits under the client's own address, and is let in once approved.
fn client_is_seen(chain: &Chain, doorward: &Instance<'_>, caller: &Caller, address: &str, listener: &str) {
    let seen = chain.client.on({
        let caller = caller.clone();
        move || caller.whoami(&[])
    });
    assert_eq!((&seen["client_ip"], &seen["listener"]), (&address.into(), &listener.into()), "{seen:#}");

    let device = Device::new();
    let ask = Ask::operator(&doorward.token());
    let refusal = call(&chain.client, caller, &device, ask.clone()).refused();
    assert!(refusal.reason.starts_with("pairing required"), "{refusal:?}");
    let request = doorward.pending_of(&device.id());
    assert_eq!(request["remoteIp"], address, "{request:#}");
    assert_eq!(request["origin"]["ip"], address, "{request:#}");
    assert_eq!(request["origin"]["class"], "private", "{request:#}");
    doorward.words(&["devices", "approve", request["requestId"].as_str().unwrap()]);
    call(&chain.client, caller, &device, ask).hello();
}
