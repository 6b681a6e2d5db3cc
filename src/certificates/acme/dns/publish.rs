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

impl Publisher<'_> {
    /// Writes all of `values`, and returns when every name server shows them that can be asked.
    ///
    /// # Errors
    /// [`DnsError`]. What was written is noted, and removed by who asked for it.
    pub async fn publish(&self, values: &[Value]) -> Result<(), DnsError> {
        let asked = self.asked().await?;
        let mut places: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        for value in values {
            let place = asked.place(&named(&format!("{LABEL}.{}", value.host))?).await?;
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
            self.wait(place, texts, &asked).await?;
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
    async fn wait(&self, place: &Name, texts: &[String], asked: &Asked) -> Result<(), DnsError> {
        let mut servers = match asked.zone(place).await {
            Ok(Some(zone)) => asked.name_servers(&zone).await,
            _ => Vec::new(),
        };
        let begun = Instant::now();
        let mut has_answered = false;
        loop {
            let (mut behind, mut silent) = (Vec::new(), Vec::new());
            for server in servers {
                match server.texts(place).await {
                    Some(shown) if texts.iter().all(|text| shown.contains(text)) => has_answered = true,
                    Some(_) => behind.push(server),
                    None => silent.push(server),
                }
            }
            let Some(waited_for) = behind.first() else {
                if has_answered {
                    return Ok(());
                }
                let Some(server) = self.last_resort().await? else {
                    info!(
                        place = shown(place),
                        "no name server can be asked whether it shows the value; the ca is told at once"
                    );
                    return Ok(());
                };
                servers = vec![server];
                has_answered = true;
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
