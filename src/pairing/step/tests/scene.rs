//! Callers, devices and a store in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::base::clock::UnixMillis;
use crate::base::limits::RULE_DEVICES_MAX;
use crate::base::secret::Fingerprint;
use crate::identity::claims::IdentityClaim;
use crate::identity::claims::OriginClaim;
use crate::pairing::caller::CallerKey;
use crate::pairing::credential::Shared;
use crate::pairing::device::Challenge;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::device::Proof;
use crate::pairing::device::prove;
use crate::pairing::invite::Invite;
use crate::pairing::invite::is_meant;
use crate::pairing::invite::set_apart;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::Generation;
use crate::pairing::paired::PairedDevice;
use crate::pairing::queue::Standing;
use crate::pairing::queue::Waiter;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::pairing::request::RequestId;
use crate::pairing::rule::Facts;
use crate::pairing::rule::RuleName;
use crate::pairing::rule::Rules;
use crate::pairing::setup::Offer;
use crate::pairing::step;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::Connected;
use crate::pairing::step::Fresh;
use crate::pairing::step::Known;
use crate::pairing::step::Page;
use crate::pairing::step::Past;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::Room;
use crate::pairing::step::Step;
use crate::protocol::connect::Connect;
use crate::protocol::frame::Request;
use crate::protocol::scope::Role;
use crate::protocol::version::Version;

pub(super) const START: UnixMillis = UnixMillis(1_795_216_312_920);
pub(super) const SECRET: &str = "the gateway's secret";

/// Who calls, from where, with what.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) device: Option<u8>,
    pub(super) ip: Option<&'static str>,
    pub(super) local: bool,
    pub(super) class: &'static str,
    pub(super) client: (&'static str, &'static str),
    pub(super) role: &'static str,
    pub(super) scopes: Vec<&'static str>,
    pub(super) token: Option<String>,
    pub(super) device_token: Option<String>,
    pub(super) setup_code: Option<&'static str>,
    pub(super) platform: &'static str,
    pub(super) page: Page,
    pub(super) locked: bool,
    pub(super) mask: Mask,
    pub(super) identity: Option<(&'static str, &'static str)>,
}

/// Whom a device says it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mask {
    /// Another: its id, beside its own key.
    Id(u8),
    /// Another: its id and its key, and its own signature.
    Key(u8),
    /// Itself.
    None,
}

/// Device 1 from the internet, with the secret, asking for `operator.read`.
pub(super) fn stranger() -> Caller {
    Caller {
        device: Some(1),
        ip: Some("203.0.113.7"),
        local: false,
        class: "public",
        client: ("cli", "cli"),
        role: "operator",
        scopes: vec!["operator.read"],
        token: Some(SECRET.to_owned()),
        device_token: None,
        setup_code: None,
        platform: "linux",
        page: Page::Absent,
        locked: false,
        mask: Mask::None,
        identity: None,
    }
}

/// The same at this machine.
pub(super) fn owner() -> Caller {
    Caller { ip: Some("127.0.0.1"), local: true, class: "local", ..stranger() }
}

impl Caller {
    pub(super) fn origin(&self) -> OriginClaim {
        let peer: IpAddr = self.ip.unwrap_or("172.18.0.1").parse().unwrap();
        let mut claim = json!({
            "kind": if self.ip.is_some() { "ip" } else { "unattributed" }, "class": self.class, "local": self.local,
            "peer": peer, "listener": "web", "source": "peer", "via": [],
        });
        if let Some(ip) = self.ip {
            claim["ip"] = json!(ip);
        }
        serde_json::from_value(claim).unwrap()
    }

    pub(super) fn connect(&self) -> Connect {
        let (id, mode) = self.client;
        let mut params = json!({
            "minProtocol": 4, "maxProtocol": 4, "role": self.role, "scopes": self.scopes,
            "client": { "id": id, "mode": mode, "version": "1", "platform": self.platform }, "auth": {},
        });
        for (key, token) in [("token", &self.token), ("deviceToken", &self.device_token)] {
            if let Some(token) = token {
                params["auth"][key] = json!(token);
            }
        }
        if let Some(code) = self.setup_code {
            params["auth"]["bootstrapToken"] = json!(code);
        }
        if let Some(device) = self.device {
            let (key, own) = (key(device), public(device));
            let (claimed, shown) = match self.mask {
                Mask::Id(other) => (public(other).id(), own),
                Mask::Key(other) => (public(other).id(), public(other)),
                Mask::None => (own.id(), own),
            };
            let signed = self.token.as_deref().or(self.device_token.as_deref()).or(self.setup_code).unwrap_or_default();
            let scopes = self.scopes.join(",");
            let text = format!(
                "v3|{claimed}|{id}|{mode}|{}|{scopes}|{}|{signed}|nonce|{}|",
                self.role,
                START.0,
                self.platform.to_ascii_lowercase()
            );
            let signature = base64::Engine::encode(
                &base64::engine::general_purpose::URL_SAFE_NO_PAD,
                key.sign(text.as_bytes()).to_bytes(),
            );
            params["device"] = json!({ "id": claimed, "publicKey": shown, "signature": signature,
                                       "signedAt": START.0, "nonce": "nonce" });
        }
        let frame = json!({ "type": "req", "id": "1", "method": "connect", "params": params });
        Connect::read(&Request::parse(&frame.to_string()).unwrap()).unwrap()
    }
}

fn key(device: u8) -> SigningKey {
    SigningKey::from_bytes(&[device; 32])
}

thread_local! {
    /// Signing is slow, and the model repeats itself.
    static PROVEN: RefCell<BTreeMap<String, (Connect, Proof, OriginClaim)>> = const { RefCell::new(BTreeMap::new()) };
    static PUBLIC: RefCell<BTreeMap<u8, DevicePublicKey>> = const { RefCell::new(BTreeMap::new()) };
}

pub(super) fn public(device: u8) -> DevicePublicKey {
    let make = || DevicePublicKey::from_bytes(key(device).verifying_key().to_bytes()).unwrap();
    PUBLIC.with_borrow_mut(|public| *public.entry(device).or_insert_with(make))
}

/// A store that applies changes as the real one must.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) devices: BTreeMap<DeviceId, PairedDevice>,
    pub(super) requests: BTreeMap<RequestId, PendingRequest>,
    /// Others that wait, too.
    pub(super) crowd: Vec<Waiter>,
    /// The invite, where the store has one.
    pub(super) invite: Option<Invite>,
    /// What any setup code comes to.
    pub(super) offer: Offer,
    /// The gateway's secret, if it is another one by now.
    pub(super) secret: Option<&'static str>,
    /// For how long rejected devices may not ask.
    pub(super) cooling: Option<Duration>,
    /// The operator's rules.
    pub(super) rules: Rules,
    /// How many devices one rule may approve, if not as many as by the limit.
    pub(super) rule_devices_max: Option<usize>,
    /// As what requests have changed a moment ago.
    pub(super) settling: Vec<Role>,
    /// Devices that were removed.
    pub(super) removed: BTreeSet<DeviceId>,
    /// Devices whose request a person rejected.
    pub(super) rejected: BTreeSet<DeviceId>,
}

impl Memory {
    pub(super) fn known(&self, device: DeviceId, now: UnixMillis) -> Known {
        let waits =
            self.requests.values().filter(|request| !request.is_expired(now, PendingLife::default())).map(Waiter::of);
        Known {
            device: self.devices.get(&device).cloned(),
            requests: self.requests.values().filter(|request| request.device() == device).cloned().collect(),
            life: PendingLife::default(),
            waiting: waits.chain(self.crowd.iter().copied()).collect(),
            cooling: self.cooling,
            settling: self.settling.clone(),
            past: match () {
                () if self.removed.contains(&device) => Past::Removed,
                () if self.rejected.contains(&device) => Past::Rejected,
                () => Past::Blank,
            },
            room: Room::Left,
        }
    }

    pub(super) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change.clone() {
                Change::DropDevice(id) => {
                    self.devices.remove(&id);
                    // Without rules nobody asks.
                    self.removed.extend(Some(id).filter(|_| !self.rules.is_empty()));
                }
                Change::DropInvite { id, .. } => drop(self.invite.take_if(|invite| invite.id == id)),
                Change::DropRequest { id, end } => {
                    let rejected = self.requests.get(&id).filter(|_| end == RequestEnd::Rejected);
                    self.rejected.extend(rejected.filter(|_| !self.rules.is_empty()).map(PendingRequest::device));
                    let others = self.crowd.len();
                    self.crowd.retain(|waiter| waiter.request != id);
                    let there = self.requests.remove(&id).is_some() || self.crowd.len() < others;
                    assert!(there, "a request that was there");
                }
                Change::PutDevice(device) => drop(self.devices.insert(device.id(), *device)),
                Change::PutInvite(invite) => self.invite = Some(*invite),
                Change::PutRequest(request) => drop(self.requests.insert(request.id, *request)),
                Change::Seen { device, at, .. } => self.devices.get_mut(&device).unwrap().last_seen_at = Some(at),
            }
        }
    }

    /// Connects at `now` and keeps what changed.
    pub(super) fn connect(&mut self, caller: &Caller, now: UnixMillis) -> Step<Connected> {
        let step = self.decide(caller, Fresh::random().unwrap(), now);
        self.apply(&step.changes);
        step
    }

    /// What a `connect` at `now` comes to, with these values where something new is needed; nothing is kept yet.
    pub(super) fn decide(&self, caller: &Caller, fresh: Fresh, now: UnixMillis) -> Step<Connected> {
        let (mut connect_params, proof, origin) = PROVEN.with_borrow_mut(|proven| {
            let prove = || {
                let connect = caller.connect();
                // The proof's own age is another test's concern.
                let proof = prove(&connect, Challenge::new("nonce".to_owned()), START);
                (connect, proof, caller.origin())
            };
            proven.entry(format!("{caller:?}")).or_insert_with(prove).clone()
        });
        set_apart(&mut connect_params.auth);
        let claimed = match caller.mask {
            Mask::Id(other) | Mask::Key(other) => Some(other),
            Mask::None => caller.device,
        };
        let mut known = claimed.map(|device| self.known(public(device).id(), now)).unwrap_or_default();
        let gateway = Fingerprint::of(self.secret.unwrap_or(SECRET).as_bytes());
        let shared = if caller.locked {
            Shared::Locked { retry_after_ms: 1_000 }
        } else {
            Shared::judge(&connect_params.auth, &gateway)
        };
        let (page, generation) = (caller.page, Generation::of(&gateway));
        let offer = self.offer(&connect_params, caller.device, now);
        let (connect_params, origin) = (&connect_params, &origin);
        let identity = caller.identity.map(|(provider, login)| IdentityClaim {
            provider: provider.to_owned(),
            login: login.to_owned(),
            name: None,
            groups: None,
        });
        let (connect, identity) = (connect_params, identity.as_ref());
        let facts = Facts { origin, identity, role: connect.role, client: connect.client.id };
        let rule = self.rules.first(&facts, now);
        known.room = rule.map_or(Room::Left, |rule| self.room_under(rule.name()));
        let attempt = Attempt { connect, origin, identity, rule, page, proof, shared, offer, generation, fresh };
        step::connect(&known, attempt, now)
    }

    /// Whether the rule of this name may approve one more.
    fn room_under(&self, rule: &RuleName) -> Room {
        let via = ApprovedVia::Rule(rule.clone());
        let count = self.devices.values().filter(|device| device.approved_via == via).count();
        if count < self.rule_devices_max.unwrap_or(RULE_DEVICES_MAX) { Room::Left } else { Room::Full }
    }

    fn offer(&self, connect: &Connect, device: Option<u8>, now: UnixMillis) -> Offer {
        match (&connect.auth.bootstrap_token, device) {
            (None, _) => Offer::Absent,
            (Some(secret), Some(device)) if is_meant(secret.expose()) => {
                let found = self.invite.clone().filter(|invite| invite.admits(secret, &public(device).id(), now));
                found.map_or(Offer::Void, |invite| Offer::Invite(Box::new(invite)))
            }
            (Some(_), _) => self.offer.clone(),
        }
    }
}

/// The places of `count` others of this class that began to wait at `at`, each from an address of its own.
pub(super) fn newcomers(class: &'static str, count: usize, at: UnixMillis) -> Vec<Waiter> {
    let waiter = |number: usize| {
        let origin: OriginClaim = serde_json::from_value(json!({
            "kind": "ip", "ip": IpAddr::from([198, 51, 100, u8::try_from(number).unwrap()]), "class": class, "local": false,
            "peer": "172.18.0.1", "listener": "web", "source": "peer", "via": [],
        }))
        .unwrap();
        let standing = Standing::of(&origin, Repair::No);
        let (request, device) = (RequestId::random(), public(200).id());
        Waiter { request, device, caller: CallerKey::of(&origin), standing, created_at: at }
    };
    (0..count).map(waiter).collect()
}

/// What came of it, in one line: `hello <scopes>`, or the close reason up to the request's id.
pub(super) fn told(step: &Step<Connected>) -> String {
    match &step.outcome.outcome {
        Ok(admitted) => {
            let scopes: Vec<_> = admitted.scopes.iter().map(|scope| scope.as_str()).collect();
            format!("hello {}", scopes.join(" "))
        }
        Err(failure) => {
            let reason = failure.close(Version::V4).reason().to_owned();
            reason.split_once(" (requestId").map_or(reason.clone(), |(text, _)| text.to_owned())
        }
    }
}

/// The one request that waits.
pub(super) fn waiting(memory: &Memory) -> PendingRequest {
    assert_eq!(memory.requests.len(), 1);
    memory.requests.values().next().unwrap().clone()
}
