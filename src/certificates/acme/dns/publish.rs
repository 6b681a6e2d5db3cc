//! Writes the values of an order where they belong, and waits until all the world can see them.

use std::collections::BTreeMap;

use hickory_proto::rr::Name;
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::base::clock::Clock;
use crate::base::limits::{DNS_VISIBLE_PERIOD, DNS_VISIBLE_WAIT};
use crate::certificates::acme::dns::fault::DnsError;
use crate::certificates::acme::dns::left::Left;
use crate::certificates::acme::dns::lookup::{Asked, NameServer, of_this_machine, shown};
use crate::certificates::acme::dns::update::named;
use crate::certificates::acme::dns::{Settings, Update, Way};
use crate::certificates::acme::kept::{Id, Kept};

/// Below this label a CA looks (RFC 8555 §8.4).
const LABEL: &str = "_acme-challenge";

/// What a CA is to see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Value {
    /// The name that it looks at, without the label.
    pub host: String,
    /// The value.
    pub text: String,
}

/// What values are published with.
#[derive(Clone, Copy, Debug)]
pub struct Publisher<'a> {
    /// How.
    pub settings: &'a Settings,
    /// For which certificate.
    pub id: &'a Id,
    /// Where what is written is noted.
    pub kept: &'a Kept,
    /// What time it is.
    pub clock: &'a Clock,
}

/// What is known of a value that was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sight {
    /// Every name server shows it that can be asked.
    Shown,
    /// None can be asked.
    Unknown,
}

impl Publisher<'_> {
    /// Writes all of `values`, and returns when every name server shows them that can be asked.
    ///
    /// # Errors
    /// [`DnsError`]. What was written is noted, and removed by who asked for it.
    pub async fn publish(&self, values: &[Value]) -> Result<(), DnsError> {
        let asked = self.asked().await?;
        let mut places: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        for value in values {
            let name = named(&format!("{LABEL}.{}", value.host))?;
            let place = asked.place(&name).await?;
            if place != name {
                // Its owner has delegated it, and can see here to where (RFC 8555 §8.4 looks behind aliases too).
                info!(name = shown(&name), place = shown(&place), "the value is written where a cname leads");
            }
            let left = Left {
                host: value.host.clone(),
                place: shown(&place),
                text: value.text.clone(),
                way: self.way(&place).await?,
                noted_ms: self.clock.now().0,
            };
            left.write(self.kept, self.id, self.clock).await?;
            places.entry(place).or_default().push(value.text.clone());
        }
        for (place, texts) in &places {
            if self.wait(place, texts, &asked).await? == Sight::Unknown {
                info!(
                    place = shown(place),
                    "no name server can be asked whether it shows the value; the ca is told at once"
                );
            }
        }
        Ok(())
    }

    /// Who is asked where to write: resolvers, and last the server that takes the changes.
    async fn asked(&self) -> Result<Asked, DnsError> {
        let mut servers = self.settings.resolvers.clone();
        if servers.is_empty() {
            servers = of_this_machine();
        }
        if let Way::Update(update) = &self.settings.way {
            servers.extend(update.addresses().await?);
        }
        Ok(Asked(servers))
    }

    /// How to write at `place`, so that it can be removed without asking again.
    async fn way(&self, place: &Name) -> Result<Way, DnsError> {
        Ok(match &self.settings.way {
            Way::Exec(words) => Way::Exec(words.clone()),
            Way::Update(update) => {
                Way::Update(Update { zone: Some(shown(&update.zone_of(place).await?)), ..update.clone() })
            }
        })
    }

    /// Waits until `place` shows `texts` at every name server of its zone.
    async fn wait(&self, place: &Name, texts: &[String], asked: &Asked) -> Result<Sight, DnsError> {
        let mut servers = match asked.zone(place).await {
            Ok(Some(zone)) => asked.name_servers(&zone).await,
            _ => Vec::new(),
        };
        let begun = Instant::now();
        let (mut has_answered, mut last_resort_asked) = (false, false);
        loop {
            let mut behind = Vec::new();
            for server in servers {
                match server.texts(place).await {
                    Some(shown) if texts.iter().all(|text| shown.contains(text)) => has_answered = true,
                    Some(_) => behind.push(server),
                    None => {}
                }
            }
            let Some(waited_for) = behind.first() else {
                if has_answered {
                    return Ok(Sight::Shown);
                }
                let last_resort = if last_resort_asked { None } else { self.last_resort().await? };
                let Some(server) = last_resort else { return Ok(Sight::Unknown) };
                servers = vec![server];
                last_resort_asked = true;
                continue;
            };
            if begun.elapsed() > DNS_VISIBLE_WAIT {
                return Err(DnsError::NotVisible { name: shown(place), server: waited_for.name.clone() });
            }
            has_answered = true;
            sleep(DNS_VISIBLE_PERIOD).await;
            servers = behind;
        }
    }

    /// Where the zone's name servers are out of reach, the one that has taken the change.
    async fn last_resort(&self) -> Result<Option<NameServer>, DnsError> {
        Ok(match &self.settings.way {
            Way::Exec(_) => None,
            Way::Update(update) => {
                Some(NameServer { name: update.server.clone(), addresses: update.addresses().await? })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use hickory_proto::op::Message;
    use hickory_proto::rr::rdata::TXT;
    use hickory_proto::rr::{RData, Record};
    use tokio::net::UdpSocket;

    use super::*;
    use crate::certificates::acme::subject::Subject;

    #[tokio::test]
    async fn a_last_resort_that_is_silent_has_shown_nothing() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = taken.local_addr().unwrap();
        drop(taken);
        assert_eq!(seen(nobody).await.unwrap(), Sight::Unknown);
    }

    #[tokio::test]
    async fn a_last_resort_that_shows_the_value_is_believed() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
            let name = request.queries[0].name().clone();
            answer.add_query(request.queries[0].clone());
            answer.add_answer(Record::from_rdata(name, 1, RData::TXT(TXT::new(vec!["value".to_owned()]))));
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        });
        assert_eq!(seen(server).await.unwrap(), Sight::Shown);
    }

    /// What is known of a value whose zone's name servers nobody knows, and which `server` has taken.
    async fn seen(server: SocketAddr) -> Result<Sight, DnsError> {
        let update = Update { key_file: "unread".into(), server: server.to_string(), zone: None };
        let settings = Settings { resolvers: Vec::new(), way: Way::Update(update) };
        let (id, kept) = (Id::of(&[Subject::parse("a.example").unwrap()]), Kept::of(Path::new("unread")));
        let clock = Clock::system();
        let publisher = Publisher { settings: &settings, id: &id, kept: &kept, clock: &clock };
        let place = named("_acme-challenge.a.example").unwrap();
        publisher.wait(&place, &["value".to_owned()], &Asked(Vec::new())).await
    }
}
