//! A request that waits for a person: exactly what will be approved, under an id that means nothing else.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::Serializer;
use thiserror::Error;
use uuid::Uuid;

use crate::base::clock::UnixMillis;
use crate::base::limits::CLOCK_BACK_MS_MAX;
use crate::base::limits::PENDING_LIFE_SECONDS;
use crate::base::limits::PENDING_LIFE_SECONDS_MAX;
use crate::base::limits::PENDING_LIFE_SECONDS_MIN;
use crate::base::secret::Fingerprint;
use crate::identity::claims::OriginClaim;
use crate::net::addr::ClientKey;
use crate::origin::Class;
use crate::pairing::caller::CallerKey;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::paired::Profile;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// The id of a pending request: a version 4 UUID.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(Uuid);

impl RequestId {
    /// An id nobody has seen.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RequestId {
    type Err = RequestTextError;

    /// Reads exactly the one spelling that [`fmt::Display`] writes; a prefix selects nothing.
    fn from_str(text: &str) -> Result<Self, RequestTextError> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| RequestTextError::Id)?;
        if id.to_string() == text { Ok(id) } else { Err(RequestTextError::Id) }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// SHA-256 over everything that an approval grants and everything it was judged by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Digest(Fingerprint);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl FromStr for Digest {
    type Err = RequestTextError;

    fn from_str(text: &str) -> Result<Self, RequestTextError> {
        Fingerprint::from_hex(text).map(Self).ok_or(RequestTextError::Digest)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Text that names no request.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RequestTextError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("not a digest")]
    Digest,
    /// Not a UUID in lower case with hyphens.
    #[error("not a request id")]
    Id,
}

/// For how long a request waits for a person, from its last refresh on.
///
/// Invariant: between [`PENDING_LIFE_SECONDS_MIN`] and [`PENDING_LIFE_SECONDS_MAX`]. Else a slip of the pen would leave a
/// request open for days, or end each before anybody has read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PendingLife {
    seconds: i64,
}

impl PendingLife {
    /// So many seconds, if that is within the bounds.
    pub fn of_seconds(seconds: i64) -> Option<Self> {
        (PENDING_LIFE_SECONDS_MIN..=PENDING_LIFE_SECONDS_MAX).contains(&seconds).then_some(Self { seconds })
    }

    /// In milliseconds.
    pub fn ms(self) -> i64 {
        self.seconds.saturating_mul(1_000)
    }
}

impl Default for PendingLife {
    fn default() -> Self {
        Self { seconds: PENDING_LIFE_SECONDS }
    }
}

/// A device that waits for a person's word.
///
/// Invariant: for one `id` the [`Digest`] never changes; [`crate::pairing::step`] gives whatever changes a new id.
/// Else an operator could read one thing and approve another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PendingRequest {
    /// Its id.
    pub id: RequestId,
    /// The key that will be let in.
    pub key: DevicePublicKey,
    /// What the device said about itself at first sight.
    pub profile: Profile,
    /// The role it asks for.
    pub role: Role,
    /// The scopes it asks for.
    pub scopes: Scopes,
    /// Where it last came from.
    pub origin: OriginClaim,
    /// Whether this device is already paired and asks for more.
    pub repair: Repair,
    /// Since when its device waits, also under the ids of before.
    pub created_at: UnixMillis,
    /// Last seen; the life of the request counts from here.
    pub refreshed_at: UnixMillis,
}

/// Whether a request is about a device that is already paired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repair {
    /// It is new.
    No,
    /// It is paired.
    Yes,
}

impl PendingRequest {
    /// The device's id.
    pub fn device(&self) -> DeviceId {
        self.key.id()
    }

    /// What an approval of this request is bound to.
    pub fn digest(&self) -> Digest {
        // The members stand in the order of their names and hold plain ASCII: the form of RFC 8785.
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shown<'a> {
            address: Option<String>,
            class: Class,
            device_id: DeviceId,
            public_key: DevicePublicKey,
            role: Role,
            scopes: &'a Scopes,
        }
        let shown = Shown {
            address: self.origin.ip.map(|ip| ClientKey::of(ip).to_string()),
            class: self.origin.class,
            device_id: self.device(),
            public_key: self.key,
            role: self.role,
            scopes: &self.scopes,
        };
        // Never: every member is text or a list of texts.
        let text = serde_json::to_vec(&shown).unwrap_or_default();
        Digest(Fingerprint::of(&text))
    }

    /// Whether its time of `life` is over. A clock that went back by more than a little ends it too: it must never
    /// make a window for approval longer.
    pub fn is_expired(&self, now: UnixMillis, life: PendingLife) -> bool {
        let age = now.since(self.refreshed_at);
        age >= life.ms() || age < -CLOCK_BACK_MS_MAX
    }

    /// Under whose quota it counts.
    pub fn caller(&self) -> CallerKey {
        CallerKey::of(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_lives_for_so_long_and_no_bound_is_passed() {
        for (seconds, taken) in [
            (i64::MIN, false),
            (-1, false),
            (0, false),
            (PENDING_LIFE_SECONDS_MIN - 1, false),
            (PENDING_LIFE_SECONDS_MIN, true),
            (PENDING_LIFE_SECONDS_MAX, true),
            (PENDING_LIFE_SECONDS_MAX + 1, false),
            (i64::MAX, false),
        ] {
            let life = PendingLife::of_seconds(seconds);
            assert_eq!(life.map(PendingLife::ms), taken.then(|| seconds * 1_000), "{seconds}");
        }
        assert_eq!(PendingLife::of_seconds(PENDING_LIFE_SECONDS), Some(PendingLife::default()));
    }
}
