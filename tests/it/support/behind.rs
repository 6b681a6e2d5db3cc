//! doorward on the household's host with a gateway behind it, and the credentials of whoever calls: the gateway's secret, the
//! tokens of devices that were paired before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::caller::{Answer, Caller};
use super::gateway_client::{Ask, Device, call};
use super::instance::Instance;
use super::lan::{HOUSEHOLD, Household};
use super::namespace::Namespace;

/// The secret that doorward's own callers know.
pub(crate) const SECRET: &str = "our-own-7Vq2mXk9TzB4nLc8RwD1";
/// The secret that only doorward and the gateway behind it know.
pub(crate) const UPSTREAM: &str = "upstream-5Hj3sPf6YgE0uKa2QoN7";

/// Such a doorward.
#[derive(Debug)]
pub(crate) struct Behind<'a> {
    pub(crate) instance: Instance<'a>,
    home: &'a Household,
    /// The token of an operator's device that may do everything.
    pub(crate) operator: String,
    /// The token of an operator's device that may read.
    pub(crate) reader: String,
    /// The first one's id.
    pub(crate) operator_id: String,
}

impl<'a> Behind<'a> {
    /// Pairs the devices, then puts the gateway at `url` behind it, with these further lines of the configuration.
    pub(crate) fn start(home: &'a Household, url: &str, rest: &str) -> Self {
        Self::wrapped(home, url, rest, &[])
    }

    /// The same, started by this program with these arguments once the gateway is behind it.
    pub(crate) fn wrapped(home: &'a Household, url: &str, rest: &str, wrapper: &[&str]) -> Self {
        let alone = format!("{HOUSEHOLD}\n[core]\ntoken_file = \"gateway.token\"\n");
        let mut instance = Instance::stopped(&home.host, &alone);
        for (name, token) in [("gateway.token", SECRET), ("upstream.token", UPSTREAM)] {
            keep(&instance.folder().join(name), token);
        }
        instance.restart();
        let pair = |ask: Ask| {
            let device = Device::new();
            let hello = call(&home.host, &Caller::plain("127.0.0.1:18789"), &device, ask).hello().hello;
            (hello["auth"]["deviceToken"].as_str().unwrap().to_owned(), device.id())
        };
        let (operator, operator_id) = pair(Ask::operator(SECRET));
        let (reader, _) = pair(Ask::operator(SECRET).with_scopes(&["operator.read"]));
        assert!(instance.stop().success());
        instance
            .configure(&format!("{alone}\n[core.upstream]\nurl = \"{url}\"\ntoken_file = \"upstream.token\"\n{rest}"));
        if !wrapper.is_empty() {
            instance.wrap(wrapper);
        }
        instance.restart();
        Self { instance, home, operator, reader, operator_id }
    }

    /// One request from the machine on the LAN, which calls itself a tester.
    pub(crate) fn asked_from_lan(&self, what: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask(&self.home.lan, Caller::trusting("10.77.0.1:8443", &self.instance.authority()), what, headers, body)
    }

    /// The same from the owner, at the host itself.
    pub(crate) fn asked_from_here(&self, what: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask(&self.home.host, Caller::plain("127.0.0.1:18789"), what, headers, body)
    }

    fn ask(&self, from: &Namespace, caller: Caller, what: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut lines: Vec<(String, String)> = vec![("User-Agent".into(), "tester".into())];
        lines.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (what, body) = (what.to_owned(), body.to_owned());
        from.on(move || {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            caller.ask(&what, &lines, &body).unwrap_or_else(|error| panic!("{what}: {error}"))
        })
    }
}

/// What says who sends a request.
pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

fn keep(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
