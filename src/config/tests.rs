//! Every refusal of a configuration and the place it points at; and what the defaults are.
#![cfg(test)]

mod admin;
mod identities;
mod later;
mod locals;
mod reference;
mod rules;
mod slips;
mod upstream;
mod vouchers;

use http::HeaderName;
use rustix::fs::{CWD, FileType, Mode};

use super::fault::Fault;
use super::*;
use crate::listener::{Protocol, Serve};
use crate::net::host::{Host, HostError};
use crate::net::range::RangeFault;
use crate::origin::header::HeaderFault;
use crate::origin::{ClientIpHeader, LocalRule, ProxyProtocol};

#[test]
fn every_refusal_points_at_its_value() {
    for (marked, expected) in refusals() {
        let (text, spans) = unmark(&marked);
        let problems: Vec<_> = match parse(&text) {
            Ok(config) => panic!("accepted:\n{marked}\n{config:#?}"),
            Err(ConfigError::Invalid(report)) => report.problems().to_vec(),
            Err(error) => panic!("{error}"),
        };
        let found: Vec<_> = problems.iter().map(|problem| problem.span.clone()).collect();
        assert_eq!(found, spans, "\n{marked}\n{problems:#?}");
        assert!(problems.iter().any(|problem| expected(&problem.fault)), "\n{marked}\n{problems:#?}");
        assert!(problems.iter().all(|problem| !problem.fault.hint().is_empty()));
    }
}

type Expected = fn(&Fault) -> bool;

/// Configurations with the refused place between `«` and `»`, and what is wrong there.
fn refusals() -> Vec<(String, Expected)> {
    let rooms = refusals_of_rooms().into_iter().map(|(text, expected)| (text.to_owned(), expected));
    rooms
        .chain(refusals_of_listeners())
        .chain(refusals_of_ranges())
        .chain(admin::refusals())
        .chain(later::refusals())
        .chain(locals::refusals())
        .chain(vouchers::refusals())
        .chain(identities::refusals())
        .chain(rules::refusals())
        .chain(upstream::refusals())
        .collect()
}

fn refusals_of_rooms() -> Vec<(&'static str, Expected)> {
    vec![
        ("«lisen» = 1", |f| matches!(f, Fault::UnknownKey { closest: None, .. })),
        ("[«edgy»]", |f| matches!(f, Fault::UnknownKey { closest: Some("edge"), .. })),
        ("[edge]\n«drain_second» = 1", |f| matches!(f, Fault::UnknownKey { closest: Some("drain_seconds"), .. })),
        ("[certificates.local_ca]\n«key» = 1", |f| matches!(f, Fault::UnknownKey { known: [], .. })),
        ("state_dir = «1»", |f| matches!(f, Fault::WrongType { .. })),
        ("state_dir = «\" \"»", |f| matches!(f, Fault::WrongType { .. })),
        ("edge = «3»", |f| matches!(f, Fault::WrongType { .. })),
        ("«[listener]»", |f| matches!(f, Fault::WrongType { .. })),
        ("listener = [«1»]", |f| matches!(f, Fault::WrongType { .. })),
        ("[edge]\nnames = «\"a.example\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("[edge]\nnames = [\"a.example\", «1»]", |f| matches!(f, Fault::WrongType { .. })),
        ("[edge]\nid = «\"A b\"»", |f| matches!(f, Fault::Name(_))),
        ("[edge]\nnames = [«\"*.example\"»]", |f| matches!(f, Fault::Host { cause: HostError::Name, .. })),
        ("[edge]\nnames = [«\"a.example:443\"»]", |f| matches!(f, Fault::Host { .. })),
        ("[edge]\nnames = [\"a.example\", «\"A.example.\"»]", |f| matches!(f, Fault::NamedTwice(_))),
        ("[edge]\norigins = [«\"a.example\"»]", |f| matches!(f, Fault::Origin { cause: HostError::Scheme, .. })),
        ("[edge]\nhttps_port = «0»", |f| matches!(f, Fault::Number { min: 1, max: 65_535, .. })),
        ("[edge]\nhttps_port = «99999999999999999999»", |f| matches!(f, Fault::Number { .. })),
        ("[edge]\ndrain_seconds = «3601»", |f| matches!(f, Fault::Number { .. })),
        ("[core.pairing]\npending_ttl_seconds = «9»", |f| matches!(f, Fault::Number { min: 10, max: 3_600, .. })),
        ("[core.pairing]\npending_ttl_seconds = «3601»", |f| matches!(f, Fault::Number { .. })),
        ("[core.pairing]\npending_ttl_seconds = «0»", |f| matches!(f, Fault::Number { .. })),
        ("[core.pairing]\npending_ttl_seconds = «\"5m\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("[log]\nformat = «\"jsn\"»", |f| matches!(f, Fault::UnknownValue { closest: Some("json"), .. })),
        ("[log]\naccess = «\"yes\"»", |f| matches!(f, Fault::WrongType { .. })),
        ("«[[certificates.file]]»\ncert = \"a\"", |f| matches!(f, Fault::Missing { key: "key" })),
        ("«[[listener]]»", |f| matches!(f, Fault::Missing { key: "bind" })),
        ("a = «»", |f| matches!(f, Fault::Syntax(_))),
        ("[edge]\nid = \"a\"\n«id» = \"b\"", |f| matches!(f, Fault::Syntax(_))),
    ]
}

fn outside(rest: &str) -> String {
    format!("[[listener]]\nbind = [\"10.0.0.1:1\"]\n{rest}")
}

fn refusals_of_listeners() -> Vec<(String, Expected)> {
    let listener = |rest: &str| format!("[[listener]]\n{rest}");
    vec![
        (listener("bind = «[]»"), |f| matches!(f, Fault::Missing { key: "bind" })),
        (listener("bind = [«\"localhost:1\"»]"), |f| matches!(f, Fault::Bind(_))),
        (listener("bind = [«\"127.0.0.1\"»]"), |f| matches!(f, Fault::Bind(_))),
        (listener("bind = [«\"127.0.0.1:0\"»]"), |f| matches!(f, Fault::Bind(_))),
        (listener("bind = [«\":18789\"»]"), |f| matches!(f, Fault::Bind(_))),
        (outside("name = «\"Big\"»"), |f| matches!(f, Fault::Name(_))),
        (outside("protocol = «\"tls\"»"), |f| matches!(f, Fault::UnknownValue { .. })),
        (outside("protocol = «\"auto\"»"), |f| matches!(f, Fault::AutoNeedsLoopback(_))),
        (outside("protocol = \"http\"\nserve = «\"all\"»"), |f| matches!(f, Fault::ServeAllExposed)),
        (outside("serve = «\"redirect\"»"), |f| matches!(f, Fault::RedirectNeedsHttp)),
        (outside("proxy_protocol = «\"required\"»"), |f| matches!(f, Fault::ProxyNeedsFrom)),
        (outside("proxy_protocol = «\"optional\"»"), |f| matches!(f, Fault::UnknownValue { .. })),
        (outside("proxy_protocol_from = «[\"10.0.0.2\"]»"), |f| matches!(f, Fault::Useless { .. })),
        (outside("client_ip_header = «\"x-forwarded-for\"»"), |f| matches!(f, Fault::HeaderNeedsTrust)),
        (outside("client_ip_header = «\"X-Real-IP\"»"), |f| matches!(f, Fault::HeaderNeedsTrust)),
        (outside("client_ip_header = «\"Host\"»\ntrusted_proxies = [\"10.0.0.2\"]"), |f| {
            is_header(f, HeaderFault::OfHttp)
        }),
        (outside("client_ip_header = «\"X-Doorward-Client\"»\ntrusted_proxies = [\"10.0.0.2\"]"), |f| {
            is_header(f, HeaderFault::Ours)
        }),
        (outside("client_ip_header = «\"real ip\"»\ntrusted_proxies = [\"10.0.0.2\"]"), |f| {
            is_header(f, HeaderFault::NotAName)
        }),
        (outside("client_ip_header = «\"x-forwarded-fro\"»\ntrusted_proxies = [\"10.0.0.2\"]"), |f| {
            matches!(f, Fault::UnknownValue { closest: Some("x-forwarded-for"), .. })
        }),
    ]
}

fn is_header(fault: &Fault, cause: HeaderFault) -> bool {
    matches!(fault, Fault::ClientHeader { cause: found, .. } if *found == cause)
}

fn refusals_of_ranges() -> Vec<(String, Expected)> {
    let mut all = Vec::new();
    for key in ["trusted_proxies", "proxy_protocol_from"] {
        let with =
            |entry: &str| outside(&format!("proxy_protocol = \"required\"\n{key} = [\"192.0.2.1\", «\"{entry}\"»]"));
        let with = |entry: &str| match key {
            "trusted_proxies" => format!("{}\nproxy_protocol_from = [\"192.0.2.1\"]", with(entry)),
            _ => with(entry),
        };
        all.extend([
            (with("proxy.internal"), (|f| is_range(f, RangeFault::Malformed)) as Expected),
            (with("*"), |f| is_range(f, RangeFault::Malformed)),
            (with(""), |f| is_range(f, RangeFault::Malformed)),
            (with("0.0.0.0/0"), |f| is_range(f, RangeFault::Everyone)),
            (with("10.0.0.1/24"), |f| is_range(f, RangeFault::HostBits)),
            (with("10.0.0.0/8"), |f| is_range(f, RangeFault::TooWide)),
        ]);
    }
    let halves = "danger_wide_trust = true\ntrusted_proxies = «[\"0.0.0.0/1\", \"128.0.0.0/1\"]»";
    all.push((outside(halves), |f| is_range(f, RangeFault::Everyone)));
    all
}

fn is_range(fault: &Fault, cause: RangeFault) -> bool {
    matches!(fault, Fault::Range { cause: found, .. } if *found == cause)
}

#[test]
fn an_address_is_bound_once() {
    let two = |one: &str, other: &str| {
        format!("[[listener]]\nname = \"a\"\nbind = [\"{one}\"]\n[[listener]]\nname = \"b\"\nbind = [\"{other}\"]\n")
    };
    for (one, other) in [
        ("10.0.0.1:1", "10.0.0.1:1"),
        ("0.0.0.0:1", "10.0.0.1:1"),
        ("10.0.0.1:1", "0.0.0.0:1"),
        ("[::]:1", "[2001:db8::1]:1"),
    ] {
        let Err(ConfigError::Invalid(report)) = parse(&two(one, other)) else { panic!("{one} and {other} accepted") };
        let by = "listener a".to_owned();
        assert_eq!(report.problems()[0].fault, Fault::BindTaken { address: other.parse().unwrap(), by });
    }
    for (one, other) in [("0.0.0.0:1", "0.0.0.0:2"), ("0.0.0.0:1", "[::]:1"), ("10.0.0.1:1", "10.0.0.2:1")] {
        parse(&two(one, other)).unwrap();
    }
    let Err(ConfigError::Invalid(report)) = parse(&two("10.0.0.1:1", "10.0.0.2:1").replace("\"b\"", "\"a\"")) else {
        panic!("two listeners of one name")
    };
    assert_eq!(report.problems()[0].fault, Fault::NameTaken("a".into()));
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let text = "[edge]\nnames = [\"a b\"]\n\n[[listener]]\nbind = [\"x\"]\nlocl = 1\n";
    let shown = parse(text).unwrap_err().to_string();
    let places: Vec<_> = shown.lines().filter(|line| line.starts_with("/etc/doorward/d.toml:")).collect();
    assert_eq!(places.len(), 3, "{shown}");
    for (place, start) in
        places.iter().zip(["2:10: not a host name: a b", "5:9: not an address", "6:1: unknown key: locl"])
    {
        assert!(place.starts_with(&format!("/etc/doorward/d.toml:{start}")), "{place}");
    }
    assert!(shown.contains("hint: did you mean `local`?"), "{shown}");
    assert!(shown.contains("    6 | locl = 1\n      | ^^^^\n"), "{shown}");
}

#[test]
fn the_built_in_profile_is_local() {
    let environment = Environment { home: Some("/home/ann".into()), folder: "/work".into(), ..Environment::default() };
    let config = Config::parse("", None, &environment).unwrap();
    assert_eq!(config.state_dir, Path::new("/home/ann/.local/state/doorward"));
    assert_eq!(config.certificates.dir, Path::new("/home/ann/.local/state/doorward/certs"));
    let [local] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert_eq!(local.bind, ["127.0.0.1:18789".parse().unwrap(), "[::1]:18789".parse().unwrap()]);
    assert_eq!((local.name.as_str(), local.protocol, local.serve), ("local", Protocol::Auto, Serve::All));
    assert_eq!(local.origin.local, LocalRule::Loopback { uids: vec![] });
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn root_is_local_by_the_built_in_profile_alone_and_every_start_says_so() {
    let environment = |uid| Environment {
        home: Some("/root".into()),
        folder: "/work".into(),
        uid: Some(uid),
        ..Environment::default()
    };
    let loopback = "[[listener]]\nbind = [\"127.0.0.1:1\"]\nlocal = \"loopback\"\n";
    let named = format!("{loopback}local_uids = [0]\n");
    for (uid, text, uids, warning) in [
        (0, "", &[0][..], Some("root's services count as local")),
        (0, loopback, &[], Some("root is not local")),
        (0, &named, &[0], Some("root's services count as local")),
        (1_000, "", &[], None),
        (1_000, loopback, &[], None),
        (1_000, &named, &[0], Some("only where this runs as root too")),
    ] {
        let config = Config::parse(text, None, &environment(uid)).unwrap();
        assert_eq!(config.listeners[0].origin.local, LocalRule::Loopback { uids: uids.to_vec() }, "{uid} {text}");
        assert_eq!(config.warnings.len(), usize::from(warning.is_some()), "{uid} {text}");
        assert!(warning.is_none_or(|warning| config.warnings[0].contains(warning)), "{:?}", config.warnings);
    }
}

#[test]
fn a_whole_file_is_read_and_paths_count_from_it() {
    let config = parse(
        r#"
        state_dir = "../state"
        [edge]
        names = ["Claw.example.com", "[2001:db8::1]"]
        origins = ["https://a.example"]
        [[listener]]
        name = "front"
        bind = ["0.0.0.0:80"]
        protocol = "http"
        [[listener]]
        bind = ["0.0.0.0:8080"]
        protocol = "http"
        serve = "all"
        client_ip_header = "X-Forwarded-For"
        trusted_proxies = ["10.0.0.0/8"]
        danger_wide_trust = true
        [[listener]]
        bind = ["0.0.0.0:8443"]
        proxy_protocol = "required"
        proxy_protocol_from = ["10.0.0.2"]
        [certificates]
        dir = "/var/certs"
        [[certificates.file]]
        cert = "a.pem"
        key = "/keys/a.key"
        "#,
    )
    .unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/doorward/../state"));
    assert_eq!(config.edge.names[0], Host::Name("claw.example.com".into()));
    let [front, forwarded, proxied] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert_eq!((front.protocol, front.serve), (Protocol::Http, Serve::Redirect));
    assert_eq!((forwarded.name.as_str(), forwarded.serve), ("listener-2", Serve::All));
    assert_eq!(forwarded.origin.client_ip_header, ClientIpHeader::XForwardedFor);
    assert!(forwarded.origin.trusted_proxies.contains("10.9.9.9".parse().unwrap()));
    assert_eq!((proxied.protocol, proxied.serve), (Protocol::Https, Serve::All));
    assert!(matches!(&proxied.origin.proxy_protocol, ProxyProtocol::Required { from } if !from.is_empty()));
    assert_eq!(config.certificates.files[0].cert, Path::new("/etc/doorward/a.pem"));
    assert_eq!(config.certificates.files[0].key, Path::new("/keys/a.key"));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("listener-2"));
}

#[test]
fn a_header_that_one_listener_reads_is_nobodys_word_on_any() {
    let config = parse(
        r#"
        edge.names = ["a.example"]
        [[listener]]
        bind = ["10.0.0.1:1"]
        client_ip_header = "My-Client"
        trusted_proxies = ["10.0.0.2"]
        [[listener]]
        bind = ["10.0.0.1:2"]
        client_ip_header = "FORWARDED"
        trusted_proxies = ["10.0.0.2"]
        "#,
    )
    .unwrap();
    let [single, forwarded] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    let name = HeaderName::from_static("my-client");
    assert_eq!(single.origin.client_ip_header, ClientIpHeader::Single(name.clone()));
    assert_eq!(forwarded.origin.client_ip_header, ClientIpHeader::Forwarded);
    for listener in [single, forwarded] {
        assert!(listener.origin.is_forwarding(&name));
        assert!(listener.origin.is_forwarding(&HeaderName::from_static("my_client")));
        assert!(!listener.origin.is_forwarding(&HeaderName::from_static("my-clients")));
    }
}

#[test]
fn a_listener_that_answers_nobody_is_told() {
    let config = parse("[[listener]]\nbind = [\"0.0.0.0:443\"]").unwrap();
    assert!(config.warnings[0].contains("edge.names is empty"), "{:?}", config.warnings);
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d.toml");
    let load = || Config::load(Some(&file), &environment());
    assert!(matches!(load(), Err(ConfigError::Unreadable { .. })));
    rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(matches!(load(), Err(ConfigError::Unreadable { .. })), "nobody waits for a writer");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, b"a = \"\xff\"").unwrap();
    assert!(matches!(load(), Err(ConfigError::NotText(_))));
    std::fs::write(&file, " ".repeat(usize::try_from(CONFIG_BYTES_MAX).unwrap() + 1)).unwrap();
    assert!(matches!(load(), Err(ConfigError::TooLarge { .. })));
    std::fs::write(&file, " ".repeat(usize::try_from(CONFIG_BYTES_MAX).unwrap())).unwrap();
    load().unwrap();
}

fn environment() -> Environment {
    Environment { doorward_state: Some("/var/lib/doorward".into()), folder: "/work".into(), ..Environment::default() }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Some("/etc/doorward/d.toml".into()), &environment())
}

fn unmark(marked: &str) -> (String, Vec<std::ops::Range<usize>>) {
    let (mut text, mut spans, mut start) = (String::new(), Vec::new(), 0);
    for char in marked.chars() {
        match char {
            '«' => start = text.len(),
            '»' => spans.push(start..text.len()),
            other => text.push(other),
        }
    }
    (text, spans)
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_every_refusal_can_be_shown(
        at in 0usize..6_000, cut in 0usize..60, put in "[\\[\\]\"'=.,#{}a-z0-9 é\u{0}\n\r\t]{0,12}"
    ) {
        let reference = include_str!("../../conf/reference.toml");
        let mut text: Vec<char> = reference.chars().collect();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, put.chars());
        if let Err(error) = parse(&text.into_iter().collect::<String>()) {
            let shown = error.to_string();
            proptest::prop_assert!(shown.starts_with("/etc/doorward/d.toml:") && shown.contains("\nhint: "), "{}", shown);
        }
    }
}
