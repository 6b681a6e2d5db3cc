//! The bounded memory itself: parts with quotas, and three ways to find a decision.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use super::Decision;
use super::Part;
use crate::base::code::Code;
use crate::base::limits::DECISIONS_NEAR_MAX;
use crate::base::limits::DECISIONS_NEAR_PER_CLIENT_MAX;
use crate::base::limits::DECISIONS_SERVED_MAX;
use crate::base::limits::DECISIONS_SERVED_PER_CLIENT_MAX;
use crate::base::limits::DECISIONS_STRANGERS_MAX;
use crate::base::limits::DECISIONS_STRANGERS_PER_CLIENT_MAX;
use crate::base::limits::DECISIONS_STRANGERS_PER_SITE_MAX;
use crate::base::limits::DECISIONS_VOUCHED_MAX;
use crate::base::limits::DECISIONS_VOUCHED_PER_CLIENT_MAX;
use crate::net::addr::ClientKey;
use crate::net::addr::SiteKey;

/// A decision's place in the order of time.
type Number = u64;

/// The memory.
///
/// Invariant: every index names kept decisions only.
#[derive(Debug)]
pub(super) struct Ring {
    kept: HashMap<Number, Arc<Decision>>,
    codes: HashMap<Code, Number>,
    connections: HashMap<String, BTreeSet<Number>>,
    requests: HashMap<String, BTreeSet<Number>>,
    vouched: Lane,
    near: Lane,
    strangers: Lane,
    served: Lane,
    next: Number,
}

impl Default for Ring {
    fn default() -> Self {
        let lane = |all_max, client_max, site_max| Lane { all_max, client_max, site_max, ..Lane::default() };
        Self {
            kept: HashMap::new(),
            codes: HashMap::new(),
            connections: HashMap::new(),
            requests: HashMap::new(),
            vouched: lane(DECISIONS_VOUCHED_MAX, DECISIONS_VOUCHED_PER_CLIENT_MAX, DECISIONS_VOUCHED_MAX),
            near: lane(DECISIONS_NEAR_MAX, DECISIONS_NEAR_PER_CLIENT_MAX, DECISIONS_NEAR_MAX),
            strangers: lane(
                DECISIONS_STRANGERS_MAX,
                DECISIONS_STRANGERS_PER_CLIENT_MAX,
                DECISIONS_STRANGERS_PER_SITE_MAX,
            ),
            served: lane(DECISIONS_SERVED_MAX, DECISIONS_SERVED_PER_CLIENT_MAX, DECISIONS_SERVED_MAX),
            next: 0,
        }
    }
}

impl Ring {
    /// Keeps a decision; what had to go for it comes back.
    pub(super) fn keep(&mut self, decision: Arc<Decision>) -> Option<Arc<Decision>> {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let (part, client) = (decision.part(), decision.client());
        let evicted = self.lane(part).full_for(client).and_then(|oldest| self.forget(oldest));
        self.lane(part).add(number, client);
        if let Some(code) = decision.code {
            self.codes.insert(code, number);
        }
        let connection = decision.case.connection.id.as_str().to_owned();
        self.connections.entry(connection).or_default().insert(number);
        if let Some(request) = decision.request_id() {
            self.requests.entry(request.to_owned()).or_default().insert(number);
        }
        self.kept.insert(number, decision);
        evicted
    }

    fn forget(&mut self, number: Number) -> Option<Arc<Decision>> {
        let decision = self.kept.remove(&number)?;
        self.lane(decision.part()).remove(number, decision.client());
        if let Some(code) = decision.code {
            self.codes.remove(&code);
        }
        take_from(&mut self.connections, decision.case.connection.id.as_str(), number);
        if let Some(request) = decision.request_id() {
            take_from(&mut self.requests, request, number);
        }
        Some(decision)
    }

    /// The latest decision under this name of any kind.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Decision>> {
        let latest = |index: &HashMap<String, BTreeSet<Number>>| index.get(id).and_then(BTreeSet::last).copied();
        let number = latest(&self.connections).or_else(|| latest(&self.requests));
        let number = number.or_else(|| self.codes.get(&Code::parse(id)?).copied())?;
        self.kept.get(&number).cloned()
    }

    pub(super) fn with_code(&self, code: Code) -> Option<&Decision> {
        self.kept.get(self.codes.get(&code)?).map(|decision| &**decision)
    }

    pub(super) fn denied(&self, clients_max: usize) -> Vec<Arc<Decision>> {
        let lanes = [&self.vouched, &self.near, &self.strangers];
        let last = lanes.iter().filter_map(|lane| lane.order.last()).max().copied();
        let others = lanes.into_iter().flat_map(|lane| lane.order.iter().rev().copied());
        let mut clients = HashSet::new();
        let decisions = last.into_iter().chain(others).filter_map(|number| self.kept.get(&number));
        decisions.filter(|decision| clients.insert(decision.client())).take(clients_max).cloned().collect()
    }

    fn lane(&mut self, part: Part) -> &mut Lane {
        match part {
            Part::Vouched => &mut self.vouched,
            Part::Near => &mut self.near,
            Part::Strangers => &mut self.strangers,
            Part::Served => &mut self.served,
        }
    }
}

/// One part: its decisions in order, and who has how many.
#[derive(Debug, Default)]
struct Lane {
    all_max: usize,
    client_max: usize,
    site_max: usize,
    order: BTreeSet<Number>,
    clients: HashMap<ClientKey, BTreeSet<Number>>,
    sites: HashMap<SiteKey, BTreeSet<Number>>,
}

impl Lane {
    /// Which decision must go before one more of `client` fits. Whoever is at its own bound pays itself.
    fn full_for(&self, client: ClientKey) -> Option<Number> {
        let of_client = self.clients.get(&client).filter(|own| own.len() >= self.client_max);
        let of_site = || client.site().and_then(|site| self.sites.get(&site)).filter(|own| own.len() >= self.site_max);
        let of_all = || Some(&self.order).filter(|all| all.len() >= self.all_max);
        of_client.or_else(of_site).or_else(of_all)?.first().copied()
    }

    fn add(&mut self, number: Number, client: ClientKey) {
        self.order.insert(number);
        self.clients.entry(client).or_default().insert(number);
        if let Some(site) = client.site() {
            self.sites.entry(site).or_default().insert(number);
        }
    }

    fn remove(&mut self, number: Number, client: ClientKey) {
        self.order.remove(&number);
        take_from(&mut self.clients, &client, number);
        if let Some(site) = client.site() {
            take_from(&mut self.sites, &site, number);
        }
    }
}

/// Takes `number` out of the entry of `key`, and an empty entry away.
fn take_from<K, Q>(index: &mut HashMap<K, BTreeSet<Number>>, key: &Q, number: Number)
where
    K: std::borrow::Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ?Sized,
{
    let empty = index.get_mut(key).is_some_and(|numbers| {
        numbers.remove(&number);
        numbers.is_empty()
    });
    if empty {
        index.remove(key);
    }
}

#[cfg(test)]
mod tests;
