//! Lists by name: which is taken, what is said of it, and what is refused.
#![cfg(test)]

use std::net::IpAddr;

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use crate::config::Config;
use crate::config::ConfigError;
use crate::config::diagnostic::Problem;
use crate::config::fault::Fault;
use crate::config::place::Environment;
use crate::net::named::ListError;
use crate::net::range::RangeFault;
use crate::origin::ProxyProtocol;

use super::*;

const DAY: i64 = 86_400_000;
/// 2026-10-05.
const PUBLISHED: i64 = 1_791_158_400_000;

#[test]
fn a_built_in_list_is_trusted_by_its_name_and_says_its_date() {
    let config = Files::new(&[]).parse("trusted_proxies = [\"10.0.0.2\", \"cloudflare\"]").unwrap();
    let trusted = &config.listeners[0].origin.trusted_proxies;
    for (ip, expected) in [("104.16.0.1", true), ("2606:4700::1", true), ("10.0.0.2", true), ("10.0.0.3", false)] {
        assert_eq!(trusted.contains(ip.parse().unwrap()), expected, "{ip}");
    }
    assert_eq!(config.notes, ["ranges cloudflare: the list of 2026-10-05, built in"]);
    assert_eq!(config.warnings, [""; 0]);
    let unused = Files::new(&[]).parse("trusted_proxies = [\"10.0.0.2\"]").unwrap();
    assert_eq!(unused.notes, [""; 0]);
}

#[test]
fn a_list_may_say_who_sends_the_proxy_header() {
    let files = Files::new(&[("balancers.txt", "# date: 2026-11-01\n192.0.2.0/28\n")]);
    let with =
        "proxy_protocol = \"required\"\nproxy_protocol_from = [\"balancers\"]\n[ranges]\nbalancers = \"balancers.txt\"";
    let config = files.parse(with).unwrap();
    let ProxyProtocol::Required { from } = &config.listeners[0].origin.proxy_protocol else { panic!("not required") };
    assert!(from.contains(ip("192.0.2.9")) && !from.contains(ip("192.0.2.16")));
    let path = files.folder.path().join("balancers.txt");
    assert_eq!(config.notes, [format!("ranges balancers: the list of 2026-11-01, from {}", path.display())]);
}

#[test]
fn a_file_replaces_the_built_in_list_of_its_name() {
    let files = Files::new(&[("cf.txt", "# date: 2026-11-01\n104.16.0.0/13\n198.51.100.0/24\n")]);
    let config = files.parse("trusted_proxies = [\"cloudflare\"]\n[ranges]\ncloudflare = \"cf.txt\"").unwrap();
    let trusted = &config.listeners[0].origin.trusted_proxies;
    assert!(trusted.contains(ip("104.16.0.1")) && trusted.contains(ip("198.51.100.1")));
    assert!(!trusted.contains(ip("173.245.48.1")));
}

#[test]
fn a_wide_range_in_a_file_needs_the_operators_word() {
    let files = Files::new(&[("wide.txt", "# date: 2026-11-01\n10.0.0.0/8\n")]);
    let listener = "trusted_proxies = [\"own\"]\n";
    let ranges = "[ranges]\nown = \"wide.txt\"";
    let cause = ListError::Range { line: 2, cause: RangeFault::TooWide };
    let expected = Fault::RangeList { name: "own".into(), cause };
    assert_eq!(files.faults(&format!("{listener}{ranges}")), [expected]);
    files.parse(&format!("{listener}danger_wide_trust = true\n{ranges}")).unwrap();
}

#[test]
fn a_list_that_is_not_there_or_not_one_is_refused() {
    let files = Files::new(&[("bad.txt", "10.0.0.1\nproxy.example\n"), ("empty.txt", "# nobody\n")]);
    let known = vec!["cloudflare".to_owned()];
    for name in ["fastly", "localhost"] {
        let expected = Fault::RangeName { text: name.into(), known: known.clone() };
        assert_eq!(files.faults(&format!("trusted_proxies = [\"{name}\"]")), [expected]);
    }
    let list = |cause| Fault::RangeList { name: "own".into(), cause };
    let malformed = list(ListError::Range { line: 2, cause: RangeFault::Malformed });
    for (file, expected) in [("bad.txt", malformed), ("empty.txt", list(ListError::Empty))] {
        let text = format!("trusted_proxies = [\"own\"]\n[ranges]\nown = \"{file}\"");
        assert_eq!(files.faults(&text), [expected], "a fault is told once");
    }
    let absent = files.faults("trusted_proxies = [\"10.0.0.2\"]\n[ranges]\nown = \"absent.txt\"");
    assert!(matches!(&absent[..], [Fault::RangeFile { path, .. }] if path.ends_with("absent.txt")), "{absent:?}");
    assert_eq!(files.faults("[ranges]\n\"10.0.0.1\" = \"bad.txt\"")[0], Fault::Name("10.0.0.1".into()));
    assert!(matches!(files.faults("[ranges]\nown = 7")[..], [Fault::WrongType { .. }]));
    let large = "#".repeat(usize::try_from(RANGE_LIST_BYTES_MAX).unwrap() + 1);
    let large = Files::new(&[("large.txt", &large)]).faults("[ranges]\nown = \"large.txt\"");
    assert!(matches!(large[..], [Fault::RangeFile { .. }]), "{large:?}");
    let files = Files::new(&[]);
    let pipe = files.folder.path().join("pipe.txt");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let pipe = files.faults("[ranges]\nown = \"pipe.txt\"");
    assert!(matches!(&pipe[..], [Fault::RangeFile { cause, .. }] if cause == "not a regular file"), "{pipe:?}");
}

#[test]
fn an_old_list_and_one_of_unknown_age_are_warned_of() {
    let mut files = Files::new(&[("undated.txt", "10.0.0.1\n")]);
    let built_in = "trusted_proxies = [\"cloudflare\"]";
    for (days, expected) in [(RANGE_LIST_DAYS_MAX, None), (RANGE_LIST_DAYS_MAX + 1, Some("is 366 days old"))] {
        files.now = UnixMillis(PUBLISHED + days * DAY);
        let warnings = files.parse(built_in).unwrap().warnings;
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{warnings:?}");
        assert!(expected.is_none_or(|expected| warnings[0].contains(expected)), "{warnings:?}");
    }
    let warnings = files.parse("trusted_proxies = [\"own\"]\n[ranges]\nown = \"undated.txt\"").unwrap().warnings;
    assert!(warnings[0].contains("no `# date: 2026-10-05` line"), "{warnings:?}");
}

/// A folder with lists, in which the configuration stands.
struct Files {
    folder: TempDir,
    now: UnixMillis,
}

impl Files {
    fn new(lists: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in lists {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, now: UnixMillis(PUBLISHED + DAY) }
    }

    fn parse(&self, listener: &str) -> Result<Config, ConfigError> {
        let text = format!("[edge]\nnames = [\"a.example\"]\n[[listener]]\nbind = [\"10.0.0.1:1\"]\n{listener}\n");
        let environment = Environment { home: Some("/h".into()), now: self.now, ..Environment::default() };
        Config::parse(&text, Some(self.folder.path().join("doorward.toml")), &environment)
    }

    fn faults(&self, listener: &str) -> Vec<Fault> {
        match self.parse(listener) {
            Err(ConfigError::Invalid(report)) => report.problems().iter().map(fault).collect(),
            other => panic!("{listener}: {other:?}"),
        }
    }
}

fn fault(problem: &Problem) -> Fault {
    assert!(!problem.fault.hint().is_empty());
    problem.fault.clone()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
