//! What the tests of the headers share: a walk past 10.0.0.0/24, and an account of it.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use super::*;
use crate::net::range::Ranges;
use crate::net::range::Width;

/// Walks `lines` of `name` as a listener does that reads `header`.
pub(super) fn walk(header: &ClientIpHeader, name: &str, lines: &[&str]) -> (Walk, Vec<IpAddr>) {
    let (walk, via, _) = witnessed(header, name, lines);
    (walk, via)
}

/// The same with what a witness was told, a line each.
pub(super) fn witnessed(header: &ClientIpHeader, name: &str, lines: &[&str]) -> (Walk, Vec<IpAddr>, Vec<String>) {
    let trusted_proxies = Ranges::parse(&["10.0.0.0/24"], Width::Narrow).unwrap();
    let (settings, network) = (Settings { trusted_proxies, ..Settings::default() }, Network::default());
    let (mut via, mut told) = (Via::new(), Told(Vec::new()));
    let found = client(header, &map(name, lines), Chain::new(&settings, &network, &mut via, &mut told));
    (found, via.to_vec(), told.0)
}

/// A head with `lines` of `name`.
pub(super) fn map(name: &str, lines: &[&str]) -> HeaderMap {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
}

struct Told(Vec<String>);

impl Witness for Told {
    fn line(&mut self, line: usize) {
        self.0.push(format!("line {line}"));
    }

    fn element(&mut self, hop: usize, text: &[u8], verdict: Verdict) {
        self.0.push(format!("{hop} {} {verdict:?}", String::from_utf8_lossy(text)));
    }
}
