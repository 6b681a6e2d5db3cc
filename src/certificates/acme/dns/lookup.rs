//! Where a value is to be written, and who must show it: aliases, the zone, its name servers.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::base::limits::{DNS_ADDRESSES_MAX, DNS_ALIAS_HOPS_MAX, DNS_PORT, DNS_SERVERS_MAX, KEY_FILE_BYTES_MAX};
use crate::certificates::acme::dns::exchange::exchange;
use crate::certificates::acme::dns::fault::DnsError;

/// Where this machine's resolvers stand.
const RESOLVERS_FILE: &str = "/etc/resolv.conf";

/// Servers that are asked one after the other until one knows.
#[derive(Clone, Debug)]
pub(super) struct Asked(pub Vec<SocketAddr>);

/// One name server of a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct NameServer {
    /// Its name.
    pub(super) name: String,
    /// Where it answers.
    pub(super) addresses: Vec<SocketAddr>,
}

/// Whether a server is to ask others for what it does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Recursion {
    /// It is.
    Desired,
    /// It is not: only its own word counts.
    Off,
}

impl Asked {
    /// The place to write to for `name`: behind every alias that leads on from it.
    ///
    /// # Errors
    /// [`DnsError::Aliases`]. Who cannot be asked knows of no alias.
    pub(super) async fn place(&self, name: &Name) -> Result<Name, DnsError> {
        let mut place = name.clone();
        for _ in 0..=DNS_ALIAS_HOPS_MAX {
            let answer = self.ask(&place, RecordType::CNAME).await.ok().flatten();
            let Some(alias) = answer.and_then(|answer| alias(&answer, &place)) else { return Ok(place) };
            // A hook is given it, and may well put it into a command: names of hosts and services alone.
            if !is_plain(&alias) {
                return Err(DnsError::AliasUnfit { name: shown(&place), to: shown(&alias) });
            }
            place = alias;
        }
        Err(DnsError::Aliases(shown(name)))
    }

    /// The zone that `place` is in; none when nobody here knows one.
    ///
    /// # Errors
    /// The system's words when nobody answers at all.
    pub(super) async fn zone(&self, place: &Name) -> Result<Option<Name>, String> {
        let mut above = place.clone();
        while !above.is_root() {
            if let Some(zone) = self.ask(&above, RecordType::SOA).await?.and_then(|answer| zone(&answer, &above)) {
                return Ok(Some(zone));
            }
            above = above.base_name();
        }
        Ok(None)
    }

    /// The name servers of `zone`, as far as they and their addresses are known here.
    pub(super) async fn name_servers(&self, zone: &Name) -> Vec<NameServer> {
        let Ok(Some(answer)) = self.ask(zone, RecordType::NS).await else { return Vec::new() };
        let names: Vec<Name> = answer.answers.iter().filter_map(name_server).take(DNS_SERVERS_MAX).collect();
        let mut servers = Vec::new();
        for name in names {
            let mut addresses = Vec::new();
            for kind in [RecordType::A, RecordType::AAAA] {
                let Ok(Some(answer)) = self.ask(&name, kind).await else { continue };
                addresses.extend(answer.answers.iter().filter_map(address).map(|ip| SocketAddr::new(ip, DNS_PORT)));
            }
            addresses.truncate(DNS_ADDRESSES_MAX);
            servers.push(NameServer { name: shown(&name), addresses });
        }
        servers
    }

    /// The first answer that is one; none when all who answer refuse.
    ///
    /// # Errors
    /// The system's words when nobody answers at all.
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Option<Message>, String> {
        let mut silence = Err("nobody to ask".to_owned());
        for server in &self.0 {
            match ask(*server, name, kind, Recursion::Desired).await {
                Ok(answer) if answered(&answer) => return Ok(Some(answer)),
                Ok(_) => silence = Ok(None),
                Err(error) if silence.is_err() => silence = Err(error.to_string()),
                Err(_) => {}
            }
        }
        silence
    }
}

impl NameServer {
    /// The TXT values that it shows at `place`; none when it cannot be asked.
    pub(super) async fn texts(&self, place: &Name) -> Option<Vec<String>> {
        for address in &self.addresses {
            match ask(*address, place, RecordType::TXT, Recursion::Off).await {
                Ok(answer) if answered(&answer) => return Some(answer.answers.iter().filter_map(text).collect()),
                _ => {}
            }
        }
        None
    }
}

/// What `server` says about `name`.
///
/// # Errors
/// When it does not answer, or not with a DNS message about that.
async fn ask(server: SocketAddr, name: &Name, kind: RecordType, recursion: Recursion) -> std::io::Result<Message> {
    let mut request = Message::query();
    request.metadata.recursion_desired = recursion == Recursion::Desired;
    request.add_query(Query::query(name.clone(), kind));
    let strange = |_| std::io::Error::from(std::io::ErrorKind::InvalidData);
    let answer = exchange(server, &request.to_vec().map_err(strange)?, |_| true).await?;
    let answer = Message::from_vec(&answer).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
    let is_about_it = answer.queries.iter().any(|query| query.name() == name && query.query_type() == kind);
    if is_about_it || !answered(&answer) { Ok(answer) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// Whether it says what there is, or that there is nothing.
fn answered(answer: &Message) -> bool {
    matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn alias(answer: &Message, name: &Name) -> Option<Name> {
    answer.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(alias) if record.name == *name => Some(alias.0.clone()),
        _ => None,
    })
}

/// Whether it has no other characters than names of hosts and services have (RFC 952, RFC 8552).
fn is_plain(name: &Name) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_root() && name.iter().all(|label| label.iter().all(plain) && label.first() != Some(&b'-'))
}

/// The zone that an answer about `name` is from: its SOA stands beside what is not there.
fn zone(answer: &Message, name: &Name) -> Option<Name> {
    let is_soa = |record: &&Record| matches!(record.data, RData::SOA(_)) && record.name.zone_of(name);
    let mut records = answer.answers.iter().chain(&answer.authorities);
    records.find(is_soa).map(|record| record.name.clone()).filter(|zone| !zone.is_root())
}

fn name_server(record: &Record) -> Option<Name> {
    if let RData::NS(server) = &record.data { Some(server.0.clone()) } else { None }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

fn text(record: &Record) -> Option<String> {
    let RData::TXT(text) = &record.data else { return None };
    String::from_utf8(text.txt_data.concat()).ok()
}

/// A name without its last dot, for people and for hooks.
pub(super) fn shown(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// The resolvers of this machine, as its C library reads them; none where there is no such file.
pub(super) fn of_this_machine() -> Vec<SocketAddr> {
    let mut text = String::new();
    let opened = File::open(Path::new(RESOLVERS_FILE));
    match opened.and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)) {
        Ok(_) => resolvers(&text),
        Err(_) => Vec::new(),
    }
}

fn resolvers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        Some(SocketAddr::new(address.parse().ok()?, DNS_PORT))
    };
    text.lines().filter_map(address).take(DNS_ADDRESSES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_as_the_c_library_reads_them() {
        let text = "# nameserver 192.0.2.1\nsearch lan\n nameserver 192.0.2.2 \nnameserver 2001:db8::1\nnameserver x\nnameserver\n";
        let expected: Vec<SocketAddr> = vec!["192.0.2.2:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()];
        assert_eq!(resolvers(text), expected);
    }

    #[tokio::test]
    async fn aliases_are_followed_so_far_and_never_to_a_name_that_is_more_than_a_name() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let odd = |label: &[u8]| Name::from_labels([label, b"example"]).unwrap();
        let chain = |hops: usize| {
            (0..hops).map(|hop| (name(&format!("n{hop}.example.")), name(&format!("n{}.example.", hop + 1))))
        };
        for (aliases, led) in [
            (Vec::new(), Ok("n0.example")),
            (chain(1).collect(), Ok("n1.example")),
            (chain(DNS_ALIAS_HOPS_MAX).collect(), Ok("n8.example")),
            (chain(DNS_ALIAS_HOPS_MAX + 1).collect(), Err("more than 8 aliases")),
            (
                vec![(name("n0.example."), name("n1.example.")), (name("n1.example."), name("n0.example."))],
                Err("more than 8"),
            ),
            (vec![(name("n0.example."), name("_acme-challenge.a-b.example."))], Ok("_acme-challenge.a-b.example")),
            (vec![(name("n0.example."), odd(b"a;id"))], Err("leads to a name")),
            (vec![(name("n0.example."), odd(b"$(id)"))], Err("leads to a name")),
            (vec![(name("n0.example."), odd(b"a b"))], Err("leads to a name")),
            (vec![(name("n0.example."), odd(b"--zone"))], Err("leads to a name")),
            (vec![(name("n0.example."), odd(b"\xff"))], Err("leads to a name")),
            (vec![(name("n0.example."), Name::root())], Err("leads to a name")),
        ] {
            let found = Asked(vec![server(aliases).await]).place(&name("n0.example.")).await;
            match (found, led) {
                (Ok(place), Ok(expected)) => assert_eq!(shown(&place), expected),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words) && !error.hint().is_empty(), "{error}");
                }
                (found, _) => panic!("{found:?}, not {led:?}"),
            }
        }
    }

    /// A name server that knows these aliases and nothing else.
    async fn server(aliases: Vec<(Name, Name)>) -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let request = Message::from_vec(&buffer[..length]).unwrap();
                let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
                answer.add_query(request.queries[0].clone());
                for (own, to) in aliases.iter().filter(|(own, _)| own == request.queries[0].name()) {
                    let alias = RData::CNAME(hickory_proto::rr::rdata::CNAME(to.clone()));
                    answer.add_answer(Record::from_rdata(own.clone(), 1, alias));
                }
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        });
        address
    }

    #[test]
    fn the_zone_is_the_one_that_answers_for_the_name_and_never_the_root() {
        let name = Name::from_ascii("_acme-challenge.a.example.com.").unwrap();
        for (owner, found) in [("a.example.com.", true), ("example.com.", true), ("example.net.", false), (".", false)]
        {
            let owner = Name::from_ascii(owner).unwrap();
            let soa = hickory_proto::rr::rdata::SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, 1);
            let mut answer = Message::query();
            answer.add_authority(Record::from_rdata(owner.clone(), 1, RData::SOA(soa)));
            assert_eq!(zone(&answer, &name), found.then_some(owner));
        }
    }
}
