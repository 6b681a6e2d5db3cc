//! What differs between the configuration that runs and one that was read anew, key by key: what can be taken while
//! connections are open, and what only a restart can do. Pure.
//!
//! Every room is taken apart field by field: a new key does not compile until it is decided here which of the two it is.

use std::collections::BTreeSet;

use crate::certificates;
use crate::core;
use crate::edge;
use crate::listener;
use crate::metrics;
use crate::origin;
use crate::origin::ProxyProtocol;
use crate::telemetry;

use super::Config;

/// The keys that differ, in the order of the reference.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Keys that hold from the next decision on.
    pub live: Vec<String>,
    /// Keys that hold from the next start on. While there is one, nothing of the file is taken.
    pub restart: Vec<String>,
}

impl Changes {
    /// Whether both say the same.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}

/// Compares `new` with `old`, the configuration that runs.
pub fn compare(old: &Config, new: &Config) -> Changes {
    let Config {
        file,
        state_dir,
        edge,
        lan_names,
        built_in: _,
        listeners,
        certificates,
        core,
        identities,
        tailscale,
        metrics,
        log,
        notes: _,
        warnings: _,
    } = new;
    let mut changes = Changes::default();
    changes.restarts("the file itself (--config, $DOORWARD_CONFIG or ./doorward.toml)", *file == old.file);
    changes.restarts("state_dir", *state_dir == old.state_dir);
    changes.restarts("edge.lan_names", *lan_names == old.lan_names);
    changes.compare_edge(&old.edge, edge);
    changes.compare_listeners(&old.listeners, listeners);
    changes.compare_certificates(&old.certificates, certificates);
    let core::Settings { id, token_file, pending_life, rules, upstream } = core;
    changes.restarts("core.id", *id == old.core.id);
    changes.restarts("core.token_file", *token_file == old.core.token_file);
    changes.restarts("core.upstream", *upstream == old.core.upstream);
    changes.restarts("core.pairing.pending_ttl_seconds", *pending_life == old.core.pending_life);
    changes.lives("core.pairing.rule", *rules == old.core.rules);
    changes.restarts("identity", *identities == old.identities);
    changes.restarts("tailscale", *tailscale == old.tailscale);
    let metrics::Settings { bind } = metrics;
    changes.restarts("admin.metrics_bind", *bind == old.metrics.bind);
    let telemetry::Settings { format, access } = log;
    changes.restarts("log.format", *format == old.log.format);
    changes.restarts("log.access", *access == old.log.access);
    changes
}

impl Changes {
    /// Notes `key` unless it is the same, one for a reload.
    fn lives(&mut self, key: impl Into<String>, same: bool) {
        if !same {
            self.live.push(key.into());
        }
    }

    /// Notes `key` unless it is the same, one for a restart.
    fn restarts(&mut self, key: impl Into<String>, same: bool) {
        if !same {
            self.restart.push(key.into());
        }
    }

    fn compare_edge(&mut self, old: &edge::Settings, new: &edge::Settings) {
        // Our own names are the machine's.
        let edge::Settings { id, names, own: _, origins, https_port, drain_seconds } = new;
        self.restarts("edge.id", *id == old.id);
        self.lives("edge.names", *names == old.names);
        self.lives("edge.origins", *origins == old.origins);
        self.lives("edge.https_port", *https_port == old.https_port);
        self.lives("edge.drain_seconds", *drain_seconds == old.drain_seconds);
    }

    fn compare_listeners(&mut self, old: &[listener::Settings], new: &[listener::Settings]) {
        for listener in new {
            match old.iter().find(|before| before.name == listener.name) {
                Some(before) => self.compare_listener(before, listener),
                None => self.restart.push(format!("listener {}: is new", listener.name)),
            }
        }
        for gone in old.iter().filter(|before| !new.iter().any(|listener| listener.name == before.name)) {
            self.restart.push(format!("listener {}: is gone", gone.name));
        }
    }

    fn compare_listener(&mut self, old: &listener::Settings, new: &listener::Settings) {
        let listener::Settings { name, bind, protocol, serve, origin } = new;
        // The named headers follow from the `client_ip_header` of all listeners and the headers of all identities.
        let origin::Settings { local, proxy_protocol, client_ip_header, named_headers: _, trusted_proxies, own_bridge } =
            origin;
        let key = |key: &str| format!("listener {name}: {key}");
        self.restarts(key("bind"), *bind == old.bind);
        self.restarts(key("protocol"), *protocol == old.protocol);
        self.lives(key("serve"), *serve == old.serve);
        self.lives(key("local"), *local == old.origin.local);
        match (&old.origin.proxy_protocol, proxy_protocol) {
            (ProxyProtocol::Required { from: before }, ProxyProtocol::Required { from }) => {
                self.lives(key("proxy_protocol_from"), from == before);
            }
            (before, after) => self.lives(key("proxy_protocol"), before == after),
        }
        self.lives(key("client_ip_header"), *client_ip_header == old.origin.client_ip_header);
        self.lives(key("trusted_proxies"), *trusted_proxies == old.origin.trusted_proxies);
        self.lives(key("danger_trust_own_bridge"), *own_bridge == old.origin.own_bridge);
    }

    fn compare_certificates(&mut self, old: &certificates::Settings, new: &certificates::Settings) {
        // The names are the edge's or the machine's, and the state folder the configuration's own.
        let certificates::Settings { state_dir: _, dir, names: _, own: _, files, acme, clients, tailnet } = new;
        self.restarts("certificates.dir", *dir == old.dir);
        self.lives("certificates.acme", *acme == old.acme);
        let names: BTreeSet<&String> = old.clients.keys().chain(clients.keys()).collect();
        for name in names {
            let same = old.clients.get(name) == clients.get(name);
            self.lives(format!("listener {name}: client_certificates"), same);
        }
        self.restarts("tailscale.certificates", *tailnet == old.tailnet);
        self.lives("certificates.file", *files == old.files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::Environment;

    const OLD: &str = r#"
[edge]
names = ["claw.example"]
[[listener]]
name = "web"
bind = ["10.0.0.5:443"]
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.0.0.2", "10.0.0.3"]
[[listener]]
name = "raw"
bind = ["10.0.0.5:8443"]
proxy_protocol = "required"
proxy_protocol_from = ["10.0.0.4"]
[[listener]]
name = "here"
bind = ["127.0.0.1:80"]
protocol = "http"
serve = "all"
local = "loopback"
local_uids = [7]
"#;

    fn parse(text: &str) -> Config {
        let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
        Config::parse(text, Some("/etc/doorward.toml".into()), &environment).unwrap()
    }

    fn changed(from: &str, to: &str) -> Changes {
        let new = OLD.replacen(from, to, 1);
        assert_ne!(new, OLD, "{from}");
        compare(&parse(OLD), &parse(&new))
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let spaced = OLD.replace(" = ", "=") + "# a comment\n";
        assert!(compare(&parse(OLD), &parse(&spaced)).is_empty());
    }

    #[test]
    fn what_a_decision_reads_is_taken_at_once() {
        for (from, to, key) in [
            ("[\"claw.example\"]", "[\"claw.example\", \"b.example\"]", "edge.names"),
            ("[edge]", "[edge]\norigins = [\"https://a.example\"]", "edge.origins"),
            ("[edge]", "[edge]\nhttps_port = 8443", "edge.https_port"),
            ("[edge]", "[edge]\ndrain_seconds = 5", "edge.drain_seconds"),
            (", \"10.0.0.3\"]", "]", "listener web: trusted_proxies"),
            ("client_ip_header = \"x-forwarded-for\"", "", "listener web: client_ip_header"),
            ("\"10.0.0.4\"", "\"10.0.0.9\"", "listener raw: proxy_protocol_from"),
            ("proxy_protocol = \"required\"\nproxy_protocol_from = [\"10.0.0.4\"]", "", "listener raw: proxy_protocol"),
            ("local_uids = [7]", "local_uids = [8]", "listener here: local"),
            ("local = \"loopback\"\nlocal_uids = [7]", "", "listener here: local"),
            ("serve = \"all\"\n", "", "listener here: serve"),
            (
                "10.0.0.5:443\"]",
                "10.0.0.5:443\"]\nclient_certificates = \"required\"\nclient_ca = \"ca.pem\"",
                "listener web: client_certificates",
            ),
            ("[edge]", "[[certificates.acme]]\nnames = [\"claw.example\"]\n[edge]", "certificates.acme"),
            ("[edge]", "[[core.pairing.rule]]\nthen = \"ask\"\n[edge]", "core.pairing.rule"),
            ("[edge]", "[[certificates.file]]\ncert = \"a\"\nkey = \"b\"\n[edge]", "certificates.file"),
        ] {
            let expected = Changes { live: vec![key.to_owned()], restart: Vec::new() };
            assert_eq!(changed(from, to), expected, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn what_was_bound_or_opened_waits_for_a_restart() {
        for (from, to, key) in [
            ("\n[edge]", "state_dir = \"/s\"\n[edge]", "state_dir"),
            ("[edge]", "[edge]\nid = \"other\"", "edge.id"),
            ("\"10.0.0.5:443\"", "\"10.0.0.5:444\"", "listener web: bind"),
            ("protocol = \"http\"\nserve = \"all\"", "protocol = \"auto\"", "listener here: protocol"),
            ("[edge]", "[edge]\nlan_names = true", "edge.lan_names"),
            ("[edge]", "[certificates]\ndir = \"c\"\n[edge]", "certificates.dir"),
            ("[edge]", "[core]\nid = \"other\"\n[edge]", "core.id"),
            ("[edge]", "[core]\ntoken_file = \"t\"\n[edge]", "core.token_file"),
            ("[edge]", "[core.pairing]\npending_ttl_seconds = 60\n[edge]", "core.pairing.pending_ttl_seconds"),
            ("[edge]", "[[identity]]\nprovider = \"google-iap\"\naudience = \"a\"\n[edge]", "identity"),
            ("[edge]", "[tailscale]\nwhois = true\n[edge]", "tailscale"),
            ("[edge]", "[tailscale]\ncertificates = true\n[edge]", "tailscale.certificates"),
            ("[edge]", "[admin]\nmetrics_bind = \"127.0.0.1:9464\"\n[edge]", "admin.metrics_bind"),
            ("[edge]", "[log]\nformat = \"json\"\n[edge]", "log.format"),
            ("[edge]", "[log]\naccess = false\n[edge]", "log.access"),
        ] {
            let changes = changed(from, to);
            assert!(changes.restart.contains(&key.to_owned()), "{from:?} -> {to:?}: {changes:?}");
        }
        let renamed = changed("\"raw\"", "\"cooked\"");
        assert_eq!(renamed.restart, ["listener cooked: is new", "listener raw: is gone"]);
        let environment = Environment { home: Some("/h".into()), ..Environment::default() };
        let built_in = Config::parse("", None, &environment).unwrap();
        let changes = compare(&built_in, &parse(OLD));
        assert!(changes.restart.iter().any(|key| key.starts_with("the file itself")), "{changes:?}");
    }

    #[test]
    fn the_order_of_listeners_says_nothing() {
        let (head, tail) = OLD.split_at(OLD.rfind("[[listener]]").unwrap());
        let (edge, first) = head.split_at(head.find("[[listener]]").unwrap());
        assert!(compare(&parse(OLD), &parse(&format!("{edge}{tail}{first}"))).is_empty());
    }
}
