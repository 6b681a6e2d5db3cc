//! The same `X-Forwarded-For` to doorward and to a real nginx with `real_ip_recursive on`, both trusting 10.0.0.0/8. The
//! attacker wrote what stands on the left. doorward never takes it; for some shapes nginx does, and those are written down.

use crate::support::caller::Caller;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::peer::nginx;

const EDGE: &str = r#"
[edge]
names = ["10.78.1.1"]

[[listener]]
name = "forwarded"
bind = ["10.78.1.1:8080"]
protocol = "http"
serve = "all"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.0.0.0/8"]
danger_wide_trust = true
"#;

const NGINX: &str = "
  server {
    listen 10.78.1.1:9003;
    set_real_ip_from 10.0.0.0/8;
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    location / {
      return 200 $remote_addr;
    }
  }
";

/// The proxy that passes the header on: nginx falls back to it where it cannot read a hop, and doorward to nobody.
const PROXY: &str = "10.78.1.2";
const ATTACKER: &str = "6.6.6.6";
const CLIENT: &str = "203.0.113.9";
const CLIENT6: &str = "2001:db8::9";
const NOBODY: &str = "nobody";

/// A shape, its lines, whom doorward sees, whom nginx sees.
type Shape = (&'static str, &'static [&'static str], &'static str, &'static str);

const SHAPES: [Shape; 41] = [
    ("spoof on the left", &["6.6.6.6, 203.0.113.9"], CLIENT, CLIENT),
    ("spoof in a line of its own", &["6.6.6.6", "203.0.113.9"], CLIENT, CLIENT),
    ("trusted hops on the right", &["6.6.6.6, 203.0.113.9, 10.0.0.7, 10.0.0.8"], CLIENT, CLIENT),
    ("garbage on the right", &["6.6.6.6, garbage"], NOBODY, PROXY),
    ("garbage behind a trusted hop", &["6.6.6.6, garbage, 10.0.0.7"], NOBODY, "10.0.0.7"),
    ("unknown on the right", &["6.6.6.6, unknown"], NOBODY, PROXY),
    ("unknown in the middle", &["6.6.6.6, unknown, 10.0.0.7"], NOBODY, "10.0.0.7"),
    ("hidden in the middle", &["6.6.6.6, _hidden, 10.0.0.7"], NOBODY, "10.0.0.7"),
    ("ipv6", &["6.6.6.6, 2001:db8::9"], CLIENT6, CLIENT6),
    ("ipv6 in brackets", &["6.6.6.6, [2001:db8::9]"], CLIENT6, PROXY),
    ("ipv6 in brackets with a port", &["6.6.6.6, [2001:db8::9]:4711"], CLIENT6, CLIENT6),
    ("broken brackets", &["6.6.6.6, [2001:db8::9"], NOBODY, PROXY),
    ("ipv4 in brackets", &["6.6.6.6, [203.0.113.9]"], NOBODY, PROXY),
    ("a zone", &["6.6.6.6, fe80::1%eth0"], NOBODY, PROXY),
    ("ipv4 with a port", &["6.6.6.6, 203.0.113.9:4711"], CLIENT, CLIENT),
    ("ipv4 with port 0", &["6.6.6.6, 203.0.113.9:0"], NOBODY, PROXY),
    ("ipv4 with an empty port", &["6.6.6.6, 203.0.113.9:"], NOBODY, PROXY),
    ("ipv4 with a port too large", &["6.6.6.6, 203.0.113.9:65536"], NOBODY, PROXY),
    ("a mapped client", &["6.6.6.6, ::ffff:203.0.113.9"], CLIENT, "::ffff:203.0.113.9"),
    ("a mapped trusted hop", &["6.6.6.6, 203.0.113.9, ::ffff:10.0.0.7"], CLIENT, CLIENT),
    ("empty element on the right", &["6.6.6.6, "], NOBODY, ATTACKER),
    ("empty element in the middle", &["6.6.6.6, , 10.0.0.7"], NOBODY, ATTACKER),
    ("comma at the end", &["6.6.6.6, 203.0.113.9,"], NOBODY, CLIENT),
    ("empty last line", &["6.6.6.6", ""], NOBODY, PROXY),
    ("leading zeros that some read as a trusted hop", &["6.6.6.6, 010.0.0.7"], NOBODY, ATTACKER),
    ("leading zeros", &["6.6.6.6, 203.000.113.009"], NOBODY, CLIENT),
    ("hexadecimal", &["6.6.6.6, 0x0a.0.0.7"], NOBODY, PROXY),
    ("one number", &["6.6.6.6, 167772167"], NOBODY, PROXY),
    ("three parts", &["6.6.6.6, 10.0.7"], NOBODY, PROXY),
    ("quoted", &["6.6.6.6, \"203.0.113.9\""], NOBODY, PROXY),
    ("a quoted trusted hop", &["6.6.6.6, \"10.0.0.7\""], NOBODY, PROXY),
    ("tab as white space", &["6.6.6.6,\t203.0.113.9\t"], CLIENT, PROXY),
    ("tab around a trusted hop", &["6.6.6.6,203.0.113.9,\t10.0.0.7\t"], CLIENT, PROXY),
    ("a space for a comma", &["6.6.6.6 203.0.113.9"], NOBODY, CLIENT),
    ("a semicolon for a comma", &["6.6.6.6; 203.0.113.9"], NOBODY, CLIENT),
    ("loopback on the right", &["6.6.6.6, 127.0.0.2"], NOBODY, "127.0.0.2"),
    ("unspecified on the right", &["6.6.6.6, 0.0.0.0"], NOBODY, "0.0.0.0"),
    ("multicast on the right", &["6.6.6.6, 224.0.0.1"], NOBODY, "224.0.0.1"),
    ("a range", &["6.6.6.6, 10.0.0.0/8"], NOBODY, PROXY),
    ("another header's word", &["6.6.6.6, for=203.0.113.9"], NOBODY, PROXY),
    ("trusted hops only", &["10.0.0.7, 10.0.0.8"], NOBODY, "10.0.0.7"),
];

#[test]
fn what_the_attacker_wrote_is_never_the_client_though_for_some_shapes_nginx_takes_it() {
    let [edge, proxy] = std::array::from_fn(|_| Namespace::new());
    edge.cable("proxy0", &proxy, "edge0");
    edge.address("proxy0", "10.78.1.1/24");
    proxy.address("edge0", "10.78.1.2/24");
    let _doorward = Instance::start(&edge, EDGE);
    let _nginx = nginx(&edge, NGINX, "10.78.1.1:9003");
    let seen = proxy.on(|| {
        let (doorward, nginx) = (Caller::plain("10.78.1.1:8080"), Caller::plain("10.78.1.1:9003"));
        let ask = |(_, lines, ..): &Shape| {
            let lines: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
            let whoami = doorward.whoami(&lines);
            assert_eq!(whoami["local"], false, "{lines:?}");
            let other = nginx.get("/", &lines).unwrap();
            assert_eq!(other.status, 200, "{lines:?}");
            (whoami["client_ip"].as_str().unwrap_or(NOBODY).to_owned(), other.body)
        };
        SHAPES.iter().map(ask).collect::<Vec<_>>()
    });
    let mut wrong = Vec::new();
    for ((shape, lines, doorward, nginx), seen) in SHAPES.iter().zip(&seen) {
        if (*doorward, *nginx) != (seen.0.as_str(), seen.1.as_str()) {
            wrong.push(format!("{shape} {lines:?}: expected {doorward} and nginx {nginx}, saw {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.iter().all(|(doorward, _)| doorward != ATTACKER));
    let fooled: Vec<_> =
        SHAPES.iter().zip(&seen).filter(|(_, seen)| seen.1 == ATTACKER).map(|(shape, _)| shape.0).collect();
    assert_eq!(
        fooled,
        ["empty element on the right", "empty element in the middle", "leading zeros that some read as a trusted hop"]
    );
}
