//! The decisions. What is known of one device, an event and `now` go in; the changes to make durable in one
//! transaction, what others are told, and the outcome come out.

mod admit;
mod connect;
mod decide;
mod invite;
mod pair;
mod redeem;
mod token;
mod upgrade;
mod wait;

pub use connect::connect;
pub use decide::approve;
pub use decide::expire;
pub use decide::reject;
pub use decide::remove;
pub use decide::rename;
pub use invite::cancel_invite;
pub use invite::expire_invite;
pub use invite::invite;
pub use token::Rotated;
pub use token::adopt;
pub use token::deliver;
pub use token::revoke;
pub use token::rotate;
pub use upgrade::Upgrade;
pub use upgrade::request_upgrade;

use std::time::Duration;

use crate::base::clock::UnixMillis;
use crate::base::secret::Secret;
use crate::identity::claims::IdentityClaim;
use crate::identity::claims::OriginClaim;
use crate::pairing::credential::Shared;
use crate::pairing::device::DeviceId;
use crate::pairing::device::Proof;
use crate::pairing::invite::Invite;
use crate::pairing::invite::InviteId;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::Generation;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::queue::Queue;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::RequestId;
use crate::pairing::rule::Effect;
use crate::pairing::rule::Rule;
use crate::pairing::setup::Offer;
use crate::protocol::connect::Connect;
use crate::protocol::event::Decision;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// What the store knows of one device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// Its pairing, if there is one.
    pub device: Option<PairedDevice>,
    /// Its own pending requests, at most one for each role.
    pub requests: Vec<PendingRequest>,
    /// For how long a request waits.
    pub life: PendingLife,
    /// All requests that wait now, of whichever device.
    pub waiting: Queue,
    /// For how long it may not begin to wait: a person has just said no.
    pub cooling: Option<Duration>,
    /// As what its request has changed a moment ago; that one stands for now.
    pub settling: Vec<Role>,
    /// What people did about it before. Asked for only where a rule could approve it.
    pub past: Past,
    /// Whether that rule may approve one more. Asked for only there.
    pub room: Room,
}

/// What people did about a device that is not paired; against that no rule lets it in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Past {
    /// Nothing that is remembered.
    #[default]
    Blank,
    /// A person rejected a request of it.
    Rejected,
    /// It was removed.
    Removed,
}

/// Whether a rule may approve one more device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Room {
    /// As many as one rule may have approved are paired by it.
    Full,
    /// It may.
    #[default]
    Left,
}

/// A `connect` with everything that is judged about it.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// What it says.
    pub connect: &'a Connect,
    /// Where it comes from, as the verified assertion says.
    pub origin: &'a OriginClaim,
    /// Whom somebody we trust named, as the verified assertion says.
    pub identity: Option<&'a IdentityClaim>,
    /// The first of the operator's rules that matches, of all there are; no other has a say.
    pub rule: Option<&'a Rule>,
    /// Whether it came with an `Origin` header: from a page.
    pub page: Page,
    /// What came of its device.
    pub proof: Proof,
    /// What came of its shared secret.
    pub shared: Shared,
    /// What came of its setup code.
    pub offer: Offer,
    /// Which the gateway's secret is now: tokens of an earlier one are void.
    pub generation: Generation,
    /// Random values, should they be needed.
    pub fresh: Fresh,
}

/// Whether a request says that a page in a browser sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Page {
    /// No `Origin` header.
    Absent,
    /// One, which the edge has checked.
    Present,
}

/// Random values for one decision.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The id of a new request.
    pub request: RequestId,
    /// A new device token.
    pub token: Secret<String>,
    /// One more, for the device's other role.
    pub other_token: Secret<String>,
}

impl Fresh {
    /// Values nobody has seen.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self { request: RequestId::random(), token: Secret::random()?, other_token: Secret::random()? })
    }
}

/// What a decision came to.
#[derive(Clone, Debug)]
pub struct Step<T> {
    /// What must be durable before anybody is told; all of it or nothing.
    pub changes: Vec<Change>,
    /// What others are told then.
    pub notices: Vec<Notice>,
    /// What the caller is told then.
    pub outcome: T,
}

impl<T> Step<T> {
    /// A decision that changes nothing.
    pub fn unchanged(outcome: T) -> Self {
        Self { changes: Vec::new(), notices: Vec::new(), outcome }
    }
}

/// A change of what is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Forget a device and everything granted to it.
    DropDevice(DeviceId),
    /// End an invite.
    DropInvite {
        /// Which.
        id: InviteId,
        /// Why.
        end: InviteEnd,
    },
    /// End a request.
    DropRequest {
        /// Which.
        id: RequestId,
        /// Why.
        end: RequestEnd,
    },
    /// Write a device as it is now, all its grants included.
    PutDevice(Box<PairedDevice>),
    /// Write an invite as it is now.
    PutInvite(Box<Invite>),
    /// Write a request as it is now.
    PutRequest(Box<PendingRequest>),
    /// Note that a device was admitted. The only change that may become durable later.
    Seen {
        /// Which.
        device: DeviceId,
        /// As what.
        role: Role,
        /// When.
        at: UnixMillis,
    },
}

/// How an invite ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InviteEnd {
    /// The owner took it back.
    Cancelled,
    /// Its time was over.
    Expired,
    /// A device has had it, and may not ask again.
    Redeemed,
    /// Another invite took its place.
    Replaced,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestEnd {
    /// Approved.
    Approved,
    /// Another device needed its place.
    Displaced,
    /// Its time was over.
    Expired,
    /// Rejected, or its device removed.
    Rejected,
    /// Another request took its place.
    Superseded,
}

/// What others must be told once the changes are durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// `device.pair.changed`.
    Changed(DeviceId),
    /// Hear of this device's next request no sooner than in a while.
    Cool(DeviceId),
    /// Close this device's sockets, of one role or of all.
    Close {
        /// Whose.
        device: DeviceId,
        /// As what; all if none is named.
        role: Option<Role>,
    },
    /// `device.pair.requested`.
    Requested(Box<PendingRequest>),
    /// `device.pair.resolved`.
    Resolved {
        /// Which request.
        request: RequestId,
        /// Of which device.
        device: DeviceId,
        /// How.
        decision: Decision,
    },
    /// Let this device's request stand for a while as it is.
    Settle {
        /// Whose.
        device: DeviceId,
        /// As what.
        role: Role,
    },
}

/// What came of a `connect`.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Whether it is let in.
    pub outcome: Result<Admitted, Failure>,
    /// How the failures of its client are to be counted.
    pub verdict: Verdict,
    /// What the rules came to, if they were asked.
    pub effect: Option<Effect>,
}

/// How a credential counts against its sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// None was tried.
    Unjudged,
    /// It was right.
    Right,
    /// It was wrong: one more.
    Wrong,
}

/// A session that is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its device; none for the owner's command line with the secret alone.
    pub device: Option<DeviceId>,
    /// Its role.
    pub role: Role,
    /// Its scopes: those of the grant, whatever was asked.
    pub scopes: Scopes,
    /// By what it was let in.
    pub method: AuthMethod,
    /// A device token, when one is handed out now.
    pub token: Option<Secret<String>>,
    /// The tokens of its other roles, when a setup code gave it more than one.
    pub other_tokens: Vec<(Role, Scopes, Secret<String>)>,
    /// On whose word it is let in.
    pub issuer: Issuer,
    /// Set when it was approved at this moment.
    pub approved_via: Option<ApprovedVia>,
}

#[cfg(test)]
mod tests;
