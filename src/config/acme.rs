//! `[[certificates.acme]]`: what is to be had from public CAs. What a CA would refuse anyway is refused here, where it
//! costs no attempt.

mod dns;
mod reach;

use std::path::Path;

use http::Uri;
use thiserror::Error;

use crate::base::limits::ACME_NAMES_MAX;
use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::{ChallengeKind, DIRECTORY, ExternalAccount, KeyType, Settings};
use crate::net::host::Host;

use super::fault::{Fault, shown};
use super::section::{Keys, Placed, Problems, Section};

pub(super) use reach::fit;

pub(super) const KEYS: Keys = Keys {
    known: &["names", "directory", "contact", "challenges", "dns", "key_type", "profile", "root_file", "eab"],
    later: &[],
};
const EAB: Keys = Keys { known: &["directory", "kid", "hmac_file"], later: &[] };

const CHALLENGES: [(&str, ChallengeKind); 3] =
    [("http-01", ChallengeKind::Http01), ("tls-alpn-01", ChallengeKind::TlsAlpn01), ("dns-01", ChallengeKind::Dns01)];
/// Those that need nothing but a listener.
const DEFAULT_CHALLENGES: [ChallengeKind; 2] = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
const KEY_TYPES: [(&str, KeyType); 2] = [("p256", KeyType::P256), ("p384", KeyType::P384)];

/// What no CA would take.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AcmeFault {
    /// What has no name in the DNS.
    #[error("an address is shown to be yours only at its ports: {}", shown(.0))]
    Address(String),
    /// Not a mail address.
    #[error("not a mail address: {}", shown(.0))]
    Contact(String),
    /// Not the address of a directory.
    #[error("not an https url: {}", shown(.0))]
    Directory(String),
    /// Both ways to answer dns-01, or none.
    #[error("dns-01 is answered by either `update` or `exec`")]
    DnsWay,
    /// A name that nobody is answered under.
    #[error("no request for this name is answered: {}", shown(.0))]
    Name(String),
    /// No way to answer dns-01.
    #[error("dns-01 needs to be told how")]
    NoDns,
    /// Not an address to ask.
    #[error("not an address of a resolver: {}", shown(.0))]
    Resolver(String),
    /// A key that is not made here.
    #[error("no rsa keys are made here: {}", shown(.0))]
    Rsa(String),
    /// Not a name server.
    #[error("not a name server: {}", shown(.0))]
    Server(String),
    /// What no port can show.
    #[error("a wildcard is shown to be yours only by dns-01: {}", shown(.0))]
    Wildcard(String),
}

impl AcmeFault {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address(_) => "add \"http-01\" or \"tls-alpn-01\" to `challenges`",
            Self::Contact(_) => "write it as \"you@example.com\"",
            Self::Directory(_) => "write the directory's whole address, as \"https://ca.example/acme/directory\"",
            Self::DnsWay => {
                "write `update = { server = \"ns1.example.com\", key_file = \"tsig.key\" }`, or `exec = [\"hook\"]` for a program of yours"
            }
            Self::Name(name) if name.starts_with("*.") => {
                "write each name below it that is answered into edge.names, as www.example.com; no wildcard stands there"
            }
            Self::Name(_) => "add it to `edge.names` too",
            Self::NoDns => "add [certificates.acme.dns] with `update` or `exec` below this table",
            Self::Resolver(_) => "write an address, as \"192.0.2.53\" or \"192.0.2.53:53\"",
            Self::Server(_) => "write its name or address, as \"ns1.example.com\" or \"192.0.2.53:53\"",
            Self::Wildcard(_) => "add `challenges = [\"dns-01\"]` and [certificates.acme.dns], or write each name out",
            Self::Rsa(_) => {
                "write \"p256\" or \"p384\"; a certificate with an rsa key is taken from a [[certificates.file]]"
            }
        }
    }
}

/// Reads all tables; `edge_names` are the Hosts that are answered at all.
pub(super) fn read(
    sections: &[Section<'_>],
    folder: &Path,
    edge_names: &[Host],
    problems: &mut Problems,
) -> Vec<Settings> {
    let mut taken = Vec::new();
    sections.iter().map(|section| read_one(section, folder, edge_names, &mut taken, problems)).collect()
}

fn read_one(
    section: &Section<'_>,
    folder: &Path,
    edge_names: &[Host],
    taken: &mut Vec<Subject>,
    problems: &mut Problems,
) -> Settings {
    let challenges = read_challenges(section, problems);
    let names = read_names(section, edge_names, &challenges, taken, problems);
    let mut directories = Vec::new();
    for entry in section.one_or_more("directory", problems) {
        let text = entry.value;
        if !is_https(text) {
            problems.add(Fault::Acme(AcmeFault::Directory(text.to_owned())), &entry.span);
        } else if directories.iter().any(|directory| directory == text) {
            problems.add(Fault::NamedTwice(text.to_owned()), &entry.span);
        }
        directories.push(text.to_owned());
    }
    if directories.is_empty() {
        directories.push(DIRECTORY.to_owned());
    }
    let mut contact = Vec::new();
    for entry in section.texts("contact", problems).map(|list| list.value).unwrap_or_default() {
        let address = entry.value.strip_prefix("mailto:").unwrap_or(entry.value);
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
        match address.split_once('@') {
            Some((user, host)) if plain(user) && Host::parse(host).is_ok() => contact.push(format!("mailto:{address}")),
            _ => problems.add(Fault::Acme(AcmeFault::Contact(entry.value.to_owned())), &entry.span),
        }
    }
    Settings {
        eab: read_eab(section, folder, &directories, problems),
        names,
        directories,
        contact,
        dns: dns::read(section, folder, &challenges, problems),
        challenges,
        key_type: read_key_type(section, problems),
        profile: section.text("profile", problems).map(|profile| profile.value.to_owned()),
        root_file: section.text("root_file", problems).map(|file| folder.join(file.value)),
    }
}

fn read_names(
    section: &Section<'_>,
    edge_names: &[Host],
    challenges: &[ChallengeKind],
    taken: &mut Vec<Subject>,
    problems: &mut Problems,
) -> Vec<Subject> {
    let mut names = Vec::new();
    let list = section.texts("names", problems);
    let span = list.as_ref().map_or_else(|| section.span().clone(), |list| list.span.clone());
    if section.is_empty_list("names") {
        problems.add(Fault::Missing { key: "names" }, &span);
    }
    for Placed { value, span } in list.map(|list| list.value).unwrap_or_default() {
        match Subject::parse(value) {
            Ok(name) if taken.contains(&name) => problems.add(Fault::NamedTwice(value.to_owned()), &span),
            Ok(name) if !edge_names.iter().any(|host| name.covers(host)) => {
                problems.add(Fault::Acme(AcmeFault::Name(value.to_owned())), &span)
            }
            Ok(name) if !challenges.iter().any(|kind| kind.suits(&name)) => {
                let fault = if name.is_address() { AcmeFault::Address } else { AcmeFault::Wildcard };
                problems.add(Fault::Acme(fault(value.to_owned())), &span);
            }
            Ok(name) => {
                taken.push(name.clone());
                names.push(name);
            }
            Err(cause) => problems.add(Fault::Host { cause, text: value.to_owned() }, &span),
        }
    }
    if names.len() > ACME_NAMES_MAX {
        problems.add(Fault::TooMany { key: "names", max: ACME_NAMES_MAX }, &span);
    }
    names
}

fn read_challenges(section: &Section<'_>, problems: &mut Problems) -> Vec<ChallengeKind> {
    let mut challenges = section.words("challenges", &CHALLENGES, &[], problems);
    if challenges.is_empty() {
        challenges = DEFAULT_CHALLENGES.to_vec();
    }
    challenges
}

fn read_key_type(section: &Section<'_>, problems: &mut Problems) -> KeyType {
    let written = section.text("key_type", &mut Problems::default());
    if let Some(rsa) = written.filter(|text| text.value.to_ascii_lowercase().starts_with("rsa")) {
        problems.add(Fault::Acme(AcmeFault::Rsa(rsa.value.to_owned())), &rsa.span);
        return KeyType::default();
    }
    section.word("key_type", &KEY_TYPES, &[], problems).map(|word| word.value).unwrap_or_default()
}

fn read_eab(
    section: &Section<'_>,
    folder: &Path,
    directories: &[String],
    problems: &mut Problems,
) -> Option<ExternalAccount> {
    let eab = section.table("eab", &EAB, problems)?;
    let mut required = |key| {
        if eab.span_of(key).is_none() {
            problems.add(Fault::Missing { key }, eab.span());
        }
        eab.text(key, problems)
    };
    let (kid, hmac_file) = (required("kid"), required("hmac_file"));
    // With several CAs it must be said whose account it is: the others would be shown what is not theirs.
    let directory = match directories {
        [only] if eab.span_of("directory").is_none() => Some(only.clone()),
        _ => required("directory").map(|directory| {
            if !directories.iter().any(|known| known == directory.value) {
                let needs = "the same text in the `directory` of its table";
                problems.add(Fault::Useless { key: "directory", needs }, &directory.span);
            }
            directory.value.to_owned()
        }),
    };
    let kid = kid?.value.to_owned();
    Some(ExternalAccount { directory: directory?, kid, hmac_file: folder.join(hmac_file?.value) })
}

/// Of no user or password: it stands in logs and in the record of an order.
fn is_https(text: &str) -> bool {
    let uri = text.parse::<Uri>().ok().filter(|_| !text.contains(['@', '#']));
    uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::Environment;
    use crate::config::{Config, ConfigError};

    pub(super) const HEAD: &str = "[edge]\nnames = [\"a.example\", \"b.example\", \"192.0.2.7\"]\n";
    pub(super) const DOORS: &str =
        "[[listener]]\nbind = [\"192.0.2.7:443\"]\n[[listener]]\nbind = [\"192.0.2.7:80\"]\nprotocol = \"http\"\n";

    #[test]
    fn a_table_with_only_names_is_for_lets_encrypt_by_either_challenge() {
        let config = parse(&format!("{DOORS}[[certificates.acme]]\nnames = [\"a.example\", \"192.0.2.7\"]")).unwrap();
        let [wanted] = &config.certificates.acme[..] else { panic!("{config:?}") };
        assert_eq!(wanted.directories, [DIRECTORY]);
        assert_eq!(wanted.challenges, [ChallengeKind::Http01, ChallengeKind::TlsAlpn01]);
        assert_eq!(wanted.names.len(), 2);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn every_key_is_read() {
        let text = "[[certificates.acme]]\nnames = [\"a.example\"]\ndirectory = [\"https://one.example/d\", \"https://two.example/d\"]\n\
            contact = [\"me@example.com\", \"mailto:you@example.com\"]\nchallenges = [\"tls-alpn-01\"]\nkey_type = \"p384\"\nprofile = \"shortlived\"\n\
            root_file = \"root.pem\"\neab = { directory = \"https://two.example/d\", kid = \"k\", hmac_file = \"/h\" }";
        let config = parse(&format!("{DOORS}{text}")).unwrap();
        let expected = Settings {
            names: vec![Subject::parse("a.example").unwrap()],
            directories: vec!["https://one.example/d".to_owned(), "https://two.example/d".to_owned()],
            contact: vec!["mailto:me@example.com".to_owned(), "mailto:you@example.com".to_owned()],
            challenges: vec![ChallengeKind::TlsAlpn01],
            dns: None,
            key_type: KeyType::P384,
            profile: Some("shortlived".to_owned()),
            root_file: Some("/etc/root.pem".into()),
            eab: Some(ExternalAccount {
                directory: "https://two.example/d".to_owned(),
                kid: "k".to_owned(),
                hmac_file: "/h".into(),
            }),
        };
        assert_eq!(config.certificates.acme, [expected]);
    }

    #[test]
    fn what_a_ca_would_refuse_is_refused_here() {
        for (table, fault) in [
            ("", "a key is missing: names"),
            ("names = []", "a key is missing: names"),
            ("names = [\"c.example\"]", "no request for this name is answered: c.example"),
            ("names = [\"a.example\", \"A.example.\"]", "named twice"),
            ("names = [\"a.example\"]\nchallenges = [\"http-1\"]", "challenges cannot be: http-1"),
            ("names = [\"a.example\"]\nchallenges = [\"http-01\", \"http-01\"]", "named twice"),
            ("names = [\"a.example\"]\nkey_type = \"rsa2048\"", "no rsa keys are made here: rsa2048"),
            ("names = [\"a.example\"]\nkey_type = \"p521\"", "key_type cannot be: p521"),
            ("names = [\"a.example\"]\ndirectory = \"http://one.example/\"", "not an https url: http://one"),
            ("names = [\"a.example\"]\ndirectory = \"https://me:pw@one.example/\"", "not an https url: https://me"),
            ("names = [\"a.example\"]\ndirectory = 7", "directory must be text"),
            ("names = [\"a.example\"]\ncontact = [\"me\"]", "not a mail address: me"),
            ("names = [\"a.example\"]\neab = { kid = \"k\" }", "a key is missing: hmac_file"),
            (
                "names = [\"a.example\"]\ndirectory = [\"https://1.example\", \"https://2.example\"]\neab = { kid = \"k\", hmac_file = \"h\" }",
                "a key is missing: directory",
            ),
            (
                "names = [\"a.example\"]\neab = { directory = \"https://x\", kid = \"k\", hmac_file = \"h\" }",
                "no effect",
            ),
            ("names = [\"a.example\"]\n[[certificates.acme]]\nnames = [\"a.example\"]", "named twice"),
        ] {
            let Err(ConfigError::Invalid(report)) = parse(&format!("{DOORS}[[certificates.acme]]\n{table}")) else {
                panic!("{table}")
            };
            let report = report.to_string();
            assert!(report.contains(fault) && report.contains("hint:"), "{table}\n{report}");
        }
    }

    pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
        parse_all(&format!("{HEAD}{text}"))
    }

    /// A whole file.
    pub(super) fn parse_all(text: &str) -> Result<Config, ConfigError> {
        let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
        Config::parse(text, Some("/etc/doorward.toml".into()), &environment)
    }
}
