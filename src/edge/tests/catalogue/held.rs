//! Whom the edge holds to https from now on, as it arrives at a browser.

use super::*;
use crate::base::secret::Secret;
use crate::certificates::files::{self, Loaded};
use crate::certificates::local_ca::leaves::Leaves;
use crate::certificates::resolver::Served;
use crate::certificates::root::Root;
use crate::certificates::{self, Certificates, local_ca};

/// Each with the certificate that is shown for it, and whether its callers are held to https.
const NAMES: [(&str, Root, bool); 4] = [
    ("claw.example.com", Root::Public, true),
    ("claw.local", Root::Private, false),
    ("localhost", Root::Private, false),
    ("127.0.0.1", Root::Public, false),
];

#[tokio::test]
async fn only_callers_of_a_name_that_every_browser_believes_are_held_to_https() {
    let bench = Bench::with(origin::Settings::default(), |edge| {
        let names = NAMES.map(|(name, ..)| Host::parse(name).unwrap()).into();
        edge.replace_settings(Settings { names, ..(*edge.settings()).clone() });
        edge.go_by(certificates());
    })
    .await;
    for (name, _, is_held) in NAMES {
        let mut stream = bench.rig.tls(bench.rig.connect().await, name, b"http/1.1").await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_to_end(&mut stream).await).unwrap().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200 "), "{name}: {answer}");
        let told: Vec<_> = answer.lines().filter(|line| line.starts_with("strict-transport-security: ")).collect();
        let expected: &[&str] = if is_held { &["strict-transport-security: max-age=31536000"] } else { &[] };
        assert_eq!(told, expected, "{name}");
    }
    // What comes in the clear may be anybody's word (RFC 6797 §7.2).
    let request = b"GET / HTTP/1.1\r\nHost: claw.example.com\r\nConnection: close\r\n\r\n";
    let answer = String::from_utf8(bench.rig.exchange(request).await).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 ") && !answer.contains("strict-transport"), "{answer}");
}

/// What shows them so. That a root is public is only said here, for no CA that browsers have signs for a test: how it is found
/// out is `certificates::root`'s own test, with a root in their place.
fn certificates() -> Arc<Certificates> {
    let (state, now) = (tempfile::tempdir().unwrap(), Clock::system().now());
    let dir = state.path().join("certs");
    let settings = certificates::Settings { state_dir: state.path().into(), dir, ..Default::default() };
    let certificates = Certificates::open(settings, now).unwrap();
    let ca_pem = fs::read_to_string(state.path().join("local-ca/ca.pem")).unwrap();
    let pairs = NAMES.map(|(name, root, _)| {
        let text = local_ca::tests_leaf(&ca_pem, &[Host::parse(name).unwrap()], now);
        let loaded = files::from_pem(&Secret::new(text.into_bytes()), Path::new(name), now).unwrap();
        Arc::new(Loaded { root, ..loaded })
    });
    let local = Leaves::single(Arc::clone(&pairs[1].certified));
    certificates.resolver().replace(Served::new(&[], &pairs, local));
    Arc::new(certificates)
}
