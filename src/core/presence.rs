//! Who is connected, as the gateway's presence list shows it: one entry for each device, bounded, and told to others
//! no faster than it is worth.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::base::clock::UnixMillis;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::PRESENCE_BYTES_PER_SECOND;
use crate::base::limits::PRESENCE_ENTRIES_MAX;
use crate::base::limits::PRESENCE_PERIOD;
use crate::base::printable::printable;
use crate::core::broadcast;
use crate::core::registry::Registry;
use crate::identity::claims::Assertion;
use crate::pairing::device::DeviceId;
use crate::pairing::step::Admitted;
use crate::protocol::connect::Connect;
use crate::protocol::event::Presence;
use crate::protocol::frame::StateVersion;

/// Bytes of one entry, roughly; only to pace broadcasts.
const ENTRY_BYTES: usize = 400;

/// How a socket that was just admitted stands in the list.
pub(super) fn entry(connect: &Connect, claims: &Assertion, admitted: &Admitted, now: UnixMillis) -> Presence {
    let client = &connect.client;
    let shown = |text: &str| printable(text, LABEL_CHARS_MAX);
    let host = client.display_name.as_deref().map_or_else(|| client.id.as_str().to_owned(), shown);
    let (version, platform) = (shown(&client.version), shown(&client.platform));
    Presence {
        text: format!("{host} · {platform} · {version} · mode {}", client.mode.as_str()),
        ts: now.0,
        ip: claims.origin.ip.filter(|_| !claims.origin.local).map(|ip| ip.to_string()),
        version: Some(version),
        platform: Some(platform),
        device_family: client.device_family.as_deref().map(shown),
        host: Some(host),
        mode: Some(client.mode),
        reason: "connect",
        device_id: admitted.device.map(|device| device.to_string()),
        instance_id: client.instance_id.as_deref().map(shown),
        roles: vec![admitted.role],
        scopes: admitted.scopes.clone(),
    }
}

/// The list as it was last put together.
#[derive(Debug)]
pub(super) struct Board(Mutex<Drawn>);

#[derive(Debug)]
struct Drawn {
    list: Arc<Vec<Presence>>,
    version: u64,
    at: Instant,
    /// What was last told, and when the next may be.
    told: u64,
    next: Instant,
}

impl Board {
    /// An empty list.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Drawn { list: Arc::default(), version: 0, at: now, told: 0, next: now }))
    }

    /// The list and its version. With many sockets it may be a moment old, so that it is not drawn for each of them.
    pub(super) fn list(&self, registry: &Registry, now: Instant) -> (Arc<Vec<Presence>>, u64) {
        let mut drawn = self.drawn();
        let version = registry.presence_version();
        let due = registry.open() <= PRESENCE_ENTRIES_MAX || now.duration_since(drawn.at) >= PRESENCE_PERIOD;
        if drawn.version != version && due {
            (drawn.list, drawn.version, drawn.at) = (Arc::new(draw(registry)), version, now);
        }
        (Arc::clone(&drawn.list), drawn.version)
    }

    /// Tells those who may know of changes since the last time, if it is time.
    pub(super) fn tell(&self, registry: &Registry, now: Instant) {
        let (told, next) = {
            let drawn = self.drawn();
            (drawn.told, drawn.next)
        };
        if registry.presence_version() == told || now < next {
            return;
        }
        let (list, version) = self.list(registry, now);
        broadcast::presence(registry, &list, StateVersion { presence: version, health: 1 });
        let bytes = list.len().saturating_mul(ENTRY_BYTES).saturating_mul(registry.open());
        let seconds = u64::try_from(bytes / PRESENCE_BYTES_PER_SECOND).unwrap_or(u64::MAX);
        let mut drawn = self.drawn();
        drawn.told = version;
        drawn.next = now + PRESENCE_PERIOD.max(Duration::from_secs(seconds.min(3600)));
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        // The fields change together and nothing between can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One entry for each device, its latest; the latest first.
fn draw(registry: &Registry) -> Vec<Presence> {
    let mut devices: HashMap<DeviceId, Presence> = HashMap::new();
    let mut list = Vec::new();
    registry.each(|peer| match peer.arrival.device {
        None if list.len() < PRESENCE_ENTRIES_MAX => list.push(peer.arrival.presence.clone()),
        None => {}
        Some(device) => match devices.entry(device) {
            Entry::Occupied(mut held) if held.get().ts < peer.arrival.presence.ts => {
                held.insert(peer.arrival.presence.clone());
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(peer.arrival.presence.clone());
            }
        },
    });
    list.extend(devices.into_values());
    list.sort_by(|one, two| two.ts.cmp(&one.ts).then_with(|| one.text.cmp(&two.text)));
    list.truncate(PRESENCE_ENTRIES_MAX);
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::registry::Arrival;
    use crate::core::registry::Registered;
    use crate::protocol::scope::Scopes;

    #[test]
    fn changes_are_told_once_a_period_and_only_if_there_are_any() {
        let (registry, board, start) = rooms();
        let reader = registry.register(Arrival::sample());
        let deaf = registry.register(Arrival { scopes: Scopes::default(), ..Arrival::sample() });
        let told = |seconds: f32| {
            board.tell(&registry, start + Duration::from_secs_f32(seconds));
            assert_eq!(heard(&deaf), 0, "who may not read was told");
            heard(&reader)
        };
        assert_eq!(told(0.0), 1);
        let _newcomer = registry.register(Arrival::sample());
        assert_eq!(told(PRESENCE_PERIOD.as_secs_f32() - 0.01), 0, "too soon");
        assert_eq!(told(PRESENCE_PERIOD.as_secs_f32()), 1);
        assert_eq!(told(60.0), 0, "nothing changed");
    }

    #[test]
    fn the_list_is_bounded_and_a_large_one_is_told_less_often() {
        let (registry, board, start) = rooms();
        // As many as make one telling worth three seconds of the bytes we allow.
        let sockets = 3 * PRESENCE_BYTES_PER_SECOND / (PRESENCE_ENTRIES_MAX * ENTRY_BYTES) + 1;
        let here: Vec<_> = (0..sockets).map(|_| registry.register(Arrival::sample())).collect();
        assert_eq!(board.list(&registry, start + PRESENCE_PERIOD).0.len(), PRESENCE_ENTRIES_MAX);
        let first = here.first().unwrap();
        board.tell(&registry, start + PRESENCE_PERIOD);
        assert_eq!(heard(first), 1);
        let _newcomer = registry.register(Arrival::sample());
        for (seconds, told) in [(2, 0), (3, 1)] {
            board.tell(&registry, start + PRESENCE_PERIOD + Duration::from_secs(seconds));
            assert_eq!(heard(first), told, "after {seconds} s");
        }
    }

    fn rooms() -> (Arc<Registry>, Board, Instant) {
        let start = Instant::now();
        (Arc::new(Registry::new(4)), Board::new(start), start)
    }

    fn heard(socket: &Registered) -> usize {
        std::iter::from_fn(|| socket.peer().outbound.take()).count()
    }
}
