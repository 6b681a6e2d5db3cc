//! The same connects against our core and the real 2026.9.6 gateway, compared field by field. Where we mean to differ is
//! written down with the reason in `tests/vectors/openclaw_differences.txt`; a difference that is not there fails, and so does
//! one that is there and is none any more.

mod case;
mod stories;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::support::caller::Caller;
use super::support::gateway_client::{Ask, Device, Outcome, connect, upgrade};
use super::support::instance::Instance;
use super::support::lan::{HOUSEHOLD, Household};
use super::support::namespace::Namespace;
use super::support::openclaw::Gateway;

use case::{Case, Seat};

/// What was said of one case: the fields that a client can act on.
type Told = BTreeMap<&'static str, String>;

const DIFFERENCES: &str = include_str!("../vectors/openclaw_differences.txt");

/// A gateway with a caller here and one there, ours or the real one.
pub(crate) struct World<'a> {
    here: (&'a Namespace, Caller),
    there: (&'a Namespace, Caller),
    token: String,
    owner: Device,
    /// The devices that called from elsewhere, in their order.
    callers: RefCell<Vec<String>>,
}

#[test]
fn ours_differs_from_the_real_gateway_only_where_it_means_to() {
    let (ours, theirs) = (Household::new(), Household::new());
    for home in [&ours, &theirs] {
        // A source address for each case: the real gateway listens to none that failed ten times.
        home.lan.ip("route add local 10.77.0.128/25 dev lo");
        // One for each device of the stories: from one address only three may wait with us.
        home.lan.ip("route add local 10.77.0.64/26 dev lo");
    }
    let doorward = Instance::start(&ours.host, HOUSEHOLD);
    let token = doorward.token();
    let _gateway = Gateway::start(&theirs.host, &token);
    let local = Caller::plain("127.0.0.1:18789");
    let ours = World {
        here: (&ours.host, local.clone()),
        there: (&ours.lan, Caller::trusting("10.77.0.1:8443", &doorward.authority())),
        token: token.clone(),
        owner: Device::new(),
        callers: RefCell::default(),
    };
    let theirs = World {
        here: (&theirs.host, local),
        there: (&theirs.lan, Caller::plain("10.77.0.1:18789")),
        token,
        owner: Device::new(),
        callers: RefCell::default(),
    };

    let (mut found, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut compare = |name: &'static str, ours: Told, theirs: Told| {
        assert!(names.insert(name), "two cases are called {name}");
        let fields: BTreeSet<_> = ours.keys().chain(theirs.keys()).copied().collect();
        for field in fields {
            let [theirs, ours] = [&theirs, &ours].map(|told| told.get(field).map_or("-", String::as_str));
            if theirs != ours {
                found.insert(format!("{name} | {field} | {theirs} | {ours}"));
            }
        }
    };
    for (number, case) in case::all().into_iter().enumerate() {
        let [ours, theirs] = [&ours, &theirs].map(|world| world.attempt(&case, number));
        compare(case.name, ours, theirs);
    }
    for (name, story) in stories::ALL {
        let [ours, theirs] = [&ours, &theirs].map(story);
        compare(name, ours, theirs);
    }
    assert!(names.len() >= 60, "{} cases", names.len());
    let meant = differences();
    let listed = |lines: BTreeSet<&String>| lines.into_iter().map(|line| format!("{line}\n")).collect::<String>();
    let (unmeant, gone) = (listed(found.difference(&meant).collect()), listed(meant.difference(&found).collect()));
    assert!(
        unmeant.is_empty() && gone.is_empty(),
        "case | field | theirs | ours\n\nnot meant:\n{unmeant}\nno difference any more:\n{gone}"
    );
}

/// The differences we mean; each stands under a line that says why.
fn differences() -> BTreeSet<String> {
    let (mut meant, mut why) = (BTreeSet::new(), "");
    for line in DIFFERENCES.lines() {
        match line.strip_prefix("# ") {
            Some(reason) => why = reason,
            None if line.is_empty() => why = "",
            None => {
                assert!(!why.is_empty(), "no reason stands above: {line}");
                assert!(meant.insert(line.to_owned()), "it stands twice: {line}");
            }
        }
    }
    meant
}

impl World<'_> {
    fn attempt(&self, case: &Case, number: usize) -> Told {
        let (ask, device) = ((case.ask)(&self.token), case.device.then(Device::new));
        let (machine, caller) = match case.seat {
            Seat::Here => &self.here,
            Seat::There => &self.there,
        };
        let last = u8::try_from(number + 1).unwrap();
        let source = match case.seat {
            Seat::Here => Ipv4Addr::new(127, 1, 0, last),
            Seat::There => Ipv4Addr::new(10, 77, 0, 128 + last % 126),
        };
        let (caller, say) = (caller.clone().from(IpAddr::V4(source)), case.say);
        let outcome = machine.block_on(move || async move {
            match upgrade(&caller, &ask).await {
                Ok(socket) => say.through(socket, device.as_ref(), &ask).await,
                Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                    Outcome::NotUpgraded(answer.status().as_u16(), String::new())
                }
                Err(error) => Outcome::NotUpgraded(0, error.to_string()),
            }
        });
        told(&outcome)
    }

    /// Connects from elsewhere.
    fn connect(&self, device: &Device, ask: Ask) -> Outcome {
        let ((machine, caller), device) = (self.there.clone(), device.clone());
        let caller = caller.from(self.address_of(&device));
        machine.block_on(move || async move { connect(&caller, Some(&device), &ask).await })
    }

    /// The address that is this device's own.
    fn address_of(&self, device: &Device) -> IpAddr {
        let mut callers = self.callers.borrow_mut();
        let place = callers.iter().position(|id| *id == device.id()).unwrap_or_else(|| {
            callers.push(device.id());
            callers.len() - 1
        });
        assert!(place < 63, "more devices than addresses");
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, 64 + u8::try_from(place).unwrap()))
    }

    /// The owner at the gateway's machine calls a method that must succeed.
    fn call(&self, method: &'static str, params: Value) -> Value {
        let ((machine, caller), device, ask) = (self.here.clone(), self.owner.clone(), Ask::operator(&self.token));
        machine.block_on(move || async move {
            let mut session = connect(&caller, Some(&device), &ask).await.hello();
            session.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
        })
    }

    /// Pairs a device from elsewhere; its token.
    fn pair(&self, device: &Device, scopes: &[&str]) -> String {
        let ask = || Ask::operator(&self.token).with_scopes(scopes);
        let refusal = self.connect(device, ask()).refused();
        self.call("device.pair.approve", json!({ "requestId": refusal.error["details"]["requestId"] }));
        let session = self.connect(device, ask()).hello();
        session.hello["auth"]["deviceToken"].as_str().unwrap().to_owned()
    }
}

/// What a client can act on, in words that are the same for every device, request and run.
fn told(outcome: &Outcome) -> Told {
    let mut told = Told::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match outcome {
        Outcome::NotUpgraded(status, _) => drop(told.insert("status", status.to_string())),
        Outcome::Hello(session) => {
            let (hello, auth) = (&session.hello, &session.hello["auth"]);
            told.insert("hello", text(&hello["protocol"]));
            let mut scopes: Vec<_> = auth["scopes"].as_array().into_iter().flatten().map(text).collect();
            scopes.sort();
            told.insert("scopes", scopes.join(","));
            told.insert("role", text(&auth["role"]));
            told.insert("method", text(&auth["method"]));
            told.insert("deviceToken", auth["deviceToken"].is_string().to_string());
        }
        Outcome::Refused(refusal) => {
            let (error, details) = (&refusal.error, &refusal.error["details"]);
            // The id, which may be cut off at the end of a close reason.
            let reason = refusal.reason.split_once(" (requestId: ").map_or(refusal.reason.as_str(), |(text, _)| text);
            told.insert("close", refusal.code.to_string());
            told.insert("closeReason", reason.to_owned());
            told.insert("idInCloseReason", (reason != refusal.reason).to_string());
            for (field, value) in [
                ("code", &error["code"]),
                ("message", &error["message"]),
                ("retryable", &error["retryable"]),
                ("details.code", &details["code"]),
                ("details.reason", &details["reason"]),
                ("details.authReason", &details["authReason"]),
                ("details.recommendedNextStep", &details["recommendedNextStep"]),
                ("details.canRetryWithDeviceToken", &details["canRetryWithDeviceToken"]),
                ("details.retryable", &details["retryable"]),
                ("details.pauseReconnect", &details["pauseReconnect"]),
                ("details.requestedRole", &details["requestedRole"]),
                ("details.requestedScopes", &details["requestedScopes"]),
                ("details.approvedRoles", &details["approvedRoles"]),
                ("details.approvedScopes", &details["approvedScopes"]),
                ("details.expectedProtocol", &details["expectedProtocol"]),
            ] {
                if !value.is_null() {
                    told.insert(field, text(value));
                }
            }
            told.insert("request", details["requestId"].is_string().to_string());
        }
    }
    told
}
