//! Callers that showed before that they belong here, the latest ones. What strangers do beside them keeps them out of nothing.

use std::collections::HashSet;
use std::collections::VecDeque;

use crate::base::limits::CLIENTS_ADMITTED_MAX;
use crate::pairing::caller::CallerKey;

/// Those of this process's life. Whoever keeps them decides what shows it; no stranger gets in here.
#[derive(Debug, Default)]
pub struct Acquaintances {
    callers: HashSet<CallerKey>,
    order: VecDeque<CallerKey>,
}

impl Acquaintances {
    /// Remembers `caller`.
    pub fn add(&mut self, caller: CallerKey) {
        if !self.callers.insert(caller) {
            return;
        }
        self.order.push_back(caller);
        if self.order.len() > CLIENTS_ADMITTED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.callers.remove(&oldest);
        }
    }

    /// Whether `caller` is one of them.
    pub fn include(&self, caller: &CallerKey) -> bool {
        self.callers.contains(caller)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_clients_remembered_are_the_latest() {
        let mut known = Acquaintances::default();
        let client = |number: u32| CallerKey::stranger(Ipv4Addr::from_bits(number));
        let most = u32::try_from(CLIENTS_ADMITTED_MAX).unwrap();
        (0..=most).for_each(|number| known.add(client(number)));
        assert_eq!((known.callers.len(), known.order.len()), (CLIENTS_ADMITTED_MAX, CLIENTS_ADMITTED_MAX));
        assert!(!known.include(&client(0)) && known.include(&client(most)));
    }
}
