//! `[certificates.acme.dns]`: how dns-01 is answered.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::base::limits::{ACME_HOOK_WORDS_MAX, DNS_ADDRESSES_MAX, DNS_PORT};
use crate::certificates::acme::ChallengeKind;
use crate::certificates::acme::dns::{Settings, Update, Way};
use crate::net::host::{Authority, Host, HostError};

use super::AcmeFault;
use crate::config::fault::Fault;
use crate::config::section::{Keys, Problems, Section};

const KEYS: Keys = Keys { known: &["exec", "resolvers", "update"], later: &[] };
const UPDATE: Keys = Keys { known: &["server", "zone", "key_file"], later: &[] };

/// The table of `section`, which is there exactly if dns-01 is among `challenges`.
pub(super) fn read(
    section: &Section<'_>,
    folder: &Path,
    challenges: &[ChallengeKind],
    problems: &mut Problems,
) -> Option<Settings> {
    let is_wanted = challenges.contains(&ChallengeKind::Dns01);
    let Some(dns) = section.table("dns", &KEYS, problems) else {
        if is_wanted && section.span_of("dns").is_none() {
            let span = section.span_of("challenges").unwrap_or_else(|| section.span().clone());
            problems.add(Fault::Acme(AcmeFault::NoDns), &span);
        }
        return None;
    };
    if !is_wanted {
        problems.add(Fault::Useless { key: "dns", needs: "`challenges = [\"dns-01\"]`" }, dns.span());
    }
    let resolvers = read_resolvers(&dns, problems);
    match (dns.span_of("update").is_some(), dns.span_of("exec").is_some()) {
        (true, false) => read_update(&dns, folder, problems).map(Way::Update),
        (false, true) => read_hook(&dns, folder, problems).map(Way::Exec),
        _ => {
            problems.add(Fault::Acme(AcmeFault::DnsWay), dns.span());
            None
        }
    }
    .map(|way| Settings { resolvers, way })
}

fn read_resolvers(dns: &Section<'_>, problems: &mut Problems) -> Vec<SocketAddr> {
    let list = dns.texts("resolvers", problems);
    if let Some(list) = list.as_ref().filter(|list| list.value.len() > DNS_ADDRESSES_MAX) {
        problems.add(Fault::TooMany { key: "resolvers", max: DNS_ADDRESSES_MAX }, &list.span);
    }
    let mut resolvers = Vec::new();
    for entry in list.map(|list| list.value).unwrap_or_default() {
        let alone = entry.value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
        match alone.or_else(|_| entry.value.parse::<SocketAddr>()) {
            Ok(address) => resolvers.push(address),
            Err(_) => problems.add(Fault::Acme(AcmeFault::Resolver(entry.value.to_owned())), &entry.span),
        }
    }
    resolvers
}

fn read_update(dns: &Section<'_>, folder: &Path, problems: &mut Problems) -> Option<Update> {
    let update = dns.table("update", &UPDATE, problems)?;
    let mut required = |key| {
        if update.span_of(key).is_none() {
            problems.add(Fault::Missing { key }, update.span());
        }
        update.text(key, problems)
    };
    let (server, key_file) = (required("server"), required("key_file"));
    let server = server.and_then(|text| match Authority::parse(text.value) {
        Ok(server) => Some(format!("{}:{}", server.host, server.port.unwrap_or(DNS_PORT))),
        Err(_) => {
            problems.add(Fault::Acme(AcmeFault::Server(text.value.to_owned())), &text.span);
            None
        }
    });
    let zone = update.text("zone", problems).and_then(|text| match Host::parse(text.value) {
        Ok(Host::Name(zone)) => Some(zone),
        parsed => {
            let cause = parsed.err().unwrap_or(HostError::Name);
            problems.add(Fault::Host { cause, text: text.value.to_owned() }, &text.span);
            None
        }
    });
    Some(Update { key_file: folder.join(key_file?.value), server: server?, zone })
}

fn read_hook(dns: &Section<'_>, folder: &Path, problems: &mut Problems) -> Option<Vec<String>> {
    let list = dns.texts("exec", problems)?;
    if list.value.len() > ACME_HOOK_WORDS_MAX {
        problems.add(Fault::TooMany { key: "exec", max: ACME_HOOK_WORDS_MAX }, &list.span);
    }
    let mut words = list.value.iter().map(|word| word.value.to_owned());
    let program = words.next().filter(|program| !program.is_empty());
    let Some(program) = program else {
        problems.add(Fault::Missing { key: "exec" }, &list.span);
        return None;
    };
    // A path that is no text cannot come of two that are.
    let program = folder.join(program).to_str()?.to_owned();
    Some([program].into_iter().chain(words).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DOORS, parse};
    use super::*;
    use crate::certificates::acme::subject::Subject;
    use crate::config::ConfigError;

    const TABLE: &str = "[[certificates.acme]]\nnames = [\"a.example\", \"*.example\"]\nchallenges = [\"dns-01\"]\n";

    #[test]
    fn either_way_is_read_and_a_wildcard_is_ordered_by_it() {
        let update = "[certificates.acme.dns]\nresolvers = [\"192.0.2.53\", \"[2001:db8::1]:5353\"]\n\
            update = { server = \"ns1.example\", zone = \"example\", key_file = \"tsig.key\" }";
        let config = parse(&format!("{DOORS}{TABLE}{update}")).unwrap();
        let [wanted] = &config.certificates.acme[..] else { panic!("{config:?}") };
        assert_eq!(wanted.names[1], Subject::parse("*.example").unwrap());
        let expected = Update {
            key_file: "/etc/tsig.key".into(),
            server: "ns1.example:53".to_owned(),
            zone: Some("example".to_owned()),
        };
        let resolvers = vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::1]:5353".parse().unwrap()];
        assert_eq!(wanted.dns, Some(Settings { resolvers, way: Way::Update(expected) }));

        let exec = "[certificates.acme.dns]\nexec = [\"hooks/dns\", \"--zone\", \"example\"]";
        let config = parse(&format!("{DOORS}{TABLE}{exec}")).unwrap();
        let words = ["/etc/hooks/dns", "--zone", "example"].map(str::to_owned).to_vec();
        assert_eq!(config.certificates.acme[0].dns, Some(Settings { resolvers: Vec::new(), way: Way::Exec(words) }));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn each_slip_is_told_with_its_remedy() {
        let good = "update = { server = \"ns1\", key_file = \"k\" }";
        for (table, fault) in [
            (String::new(), "dns-01 needs"),
            ("[certificates.acme.dns]".to_owned(), "either `update` or `exec`"),
            (format!("[certificates.acme.dns]\n{good}\nexec = [\"h\"]"), "either `update` or `exec`"),
            ("[certificates.acme.dns]\nexec = []".to_owned(), "a key is missing: exec"),
            ("[certificates.acme.dns]\nexec = [\"\"]".to_owned(), "a key is missing: exec"),
            ("[certificates.acme.dns]\nexec = \"h\"".to_owned(), "exec must be a list"),
            ("[certificates.acme.dns]\nupdate = { server = \"ns1\" }".to_owned(), "a key is missing: key_file"),
            ("[certificates.acme.dns]\nupdate = { key_file = \"k\" }".to_owned(), "a key is missing: server"),
            (
                "[certificates.acme.dns]\nupdate = { server = \"udp://ns1\", key_file = \"k\" }".to_owned(),
                "not a name server: udp://ns1",
            ),
            (
                "[certificates.acme.dns]\nupdate = { server = \"ns1\", key_file = \"k\", zone = \"192.0.2.1\" }"
                    .to_owned(),
                "192.0.2.1",
            ),
            (format!("[certificates.acme.dns]\n{good}\nresolvers = [\"ns1\"]"), "not an address of a resolver: ns1"),
            (format!("[certificates.acme.dns]\n{good}\nresolver = [\"192.0.2.1\"]"), "unknown key: resolver"),
        ] {
            refused(&format!("{TABLE}{table}"), fault);
        }
        let others = "[[certificates.acme]]\nnames = [\"a.example\"]\n[certificates.acme.dns]\n";
        refused(&format!("{others}{good}"), "dns has no effect");
    }

    #[test]
    fn what_a_challenge_cannot_show_is_refused_before_an_order() {
        let with = |names: &str, challenges: &str| {
            let dns = if challenges.contains("dns-01") { "[certificates.acme.dns]\nexec = [\"h\"]" } else { "" };
            format!("[[certificates.acme]]\nnames = [{names}]\n{challenges}\n{dns}")
        };
        refused(&with("\"*.example\"", ""), "shown to be yours only by dns-01: *.example");
        refused(&with("\"*.example\"", "challenges = [\"http-01\"]"), "only by dns-01: *.example");
        refused(&with("\"192.0.2.7\"", "challenges = [\"dns-01\"]"), "only at its ports: 192.0.2.7");
        refused(&with("\"*.elsewhere\"", "challenges = [\"dns-01\"]"), "no request for this name is answered");
        // Where no wildcard may stand none is sent.
        let hint = |name: &str| AcmeFault::Name(name.to_owned()).hint();
        assert!(hint("*.elsewhere").contains("name below it") && !hint("elsewhere").contains("below"));
        let both = with("\"*.example\", \"192.0.2.7\"", "challenges = [\"dns-01\", \"http-01\"]");
        parse(&format!("{DOORS}{both}")).unwrap();
        // Nobody answers on port 80: the wildcard alone is no reason to say nothing.
        let config = parse(&format!("[[listener]]\nbind = [\"192.0.2.7:443\"]\n{both}")).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains("no listener answers http-01")));
    }

    fn refused(table: &str, fault: &str) {
        let Err(ConfigError::Invalid(report)) = parse(&format!("{DOORS}{table}")) else { panic!("{table}") };
        let report = report.to_string();
        assert!(report.contains(fault) && report.contains("hint:"), "{table}\n{report}");
    }
}
