//! A paired device: what a person approved, and the token that stands for it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;

use crate::base::clock::UnixMillis;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::base::secret::Fingerprint;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::rule::RuleName;
use crate::protocol::connect::Client;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::ClientMode;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// What a device says about itself, frozen at first sight and already escaped for showing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The program.
    pub client_id: ClientId,
    /// Used as what.
    pub client_mode: ClientMode,
    /// Its platform.
    pub platform: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its family of devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
}

impl Profile {
    /// What `client` says about itself.
    pub fn of(client: &Client) -> Self {
        let shown = |text: &str| printable(text, LABEL_CHARS_MAX);
        Self {
            client_id: client.id,
            client_mode: client.mode,
            platform: shown(&client.platform),
            display_name: client.display_name.as_deref().map(shown),
            device_family: client.device_family.as_deref().map(shown),
        }
    }
}

/// Who or what let a device in, last.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ApprovedVia {
    /// A setup code or an invite that a person made.
    Bootstrap,
    /// Another gateway, whose paired devices the owner brought here.
    Import,
    /// A person, who named the request.
    Owner,
    /// A rule of the configuration, by its name then.
    Rule(RuleName),
    /// Local and in possession of the gateway's secret.
    Silent,
}

/// What stands before a rule's name.
const RULE: &str = "rule:";

impl fmt::Display for ApprovedVia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap => f.write_str("bootstrap"),
            Self::Import => f.write_str("import"),
            Self::Owner => f.write_str("owner"),
            Self::Rule(name) => write!(f, "{RULE}{name}"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

impl ApprovedVia {
    /// Reads what it is written as.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "bootstrap" => Some(Self::Bootstrap),
            "import" => Some(Self::Import),
            "owner" => Some(Self::Owner),
            "silent" => Some(Self::Silent),
            _ => word.strip_prefix(RULE).and_then(RuleName::parse).map(Self::Rule),
        }
    }
}

impl Serialize for ApprovedVia {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A device that was approved at least once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PairedDevice {
    /// Its key; its id follows from it.
    pub key: DevicePublicKey,
    /// What it said about itself when it was approved.
    pub profile: Profile,
    /// A person's name for it.
    pub label: Option<String>,
    /// What it may be, and as that, do.
    pub grants: BTreeMap<Role, Grant>,
    /// How it got in, last.
    pub approved_via: ApprovedVia,
    /// First approved.
    pub created_at: UnixMillis,
    /// Last approved.
    pub approved_at: UnixMillis,
    /// Last admitted.
    pub last_seen_at: Option<UnixMillis>,
}

impl PairedDevice {
    /// Its id.
    pub fn id(&self) -> DeviceId {
        self.key.id()
    }

    /// Its grant as `role`, if there is one that was not revoked.
    pub fn living_grant(&self, role: Role) -> Option<&Grant> {
        self.grants.get(&role).filter(|grant| grant.revoked_at.is_none())
    }

    /// What it may do now, in whichever role.
    pub fn living_scopes(&self) -> Scopes {
        let living = self.grants.values().filter(|grant| grant.revoked_at.is_none());
        living.fold(Scopes::NONE, |all, grant| all.union(&grant.scopes))
    }

    /// The roles it may take now.
    pub fn living_roles(&self) -> Vec<Role> {
        self.grants.iter().filter(|(_, grant)| grant.revoked_at.is_none()).map(|(role, _)| *role).collect()
    }
}

/// What a device may do in one role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Its scopes, all of them.
    pub scopes: Scopes,
    /// Its token, once one was handed out.
    pub token: Option<DeviceToken>,
    /// When the grant was made.
    pub created_at: UnixMillis,
    /// When it was taken back; the device must then be approved anew.
    pub revoked_at: Option<UnixMillis>,
}

/// On whose word a device token was handed out, or a session let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Issuer {
    /// Who knew the gateway's secret of this generation: it is void with that secret.
    Gateway(Generation),
    /// Whom somebody we trust had verified, by a rule: it never knew the gateway's secret.
    Identity,
    /// Who held a setup code: it never knew the gateway's secret.
    Setup,
}

/// One gateway secret, as it is told from the one before and after it; nothing can be tried against it that could not be
/// tried against the secret's hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Generation(Fingerprint);

impl Generation {
    /// That of the gateway's secret, whose hash this is.
    pub fn of(gateway: &Fingerprint) -> Self {
        Self(Fingerprint::of(&[b"doorward issuer generation\0".as_slice(), gateway.as_bytes()].concat()))
    }
}

impl Issuer {
    /// Whether what it handed out counts while the gateway's secret is of generation `now`.
    pub fn holds(&self, now: Generation) -> bool {
        match self {
            Self::Gateway(then) => *then == now,
            Self::Identity | Self::Setup => true,
        }
    }

    /// As it is stored.
    pub fn to_text(self) -> String {
        match self {
            Self::Gateway(Generation(generation)) => format!("gateway:{}", generation.to_hex()),
            Self::Identity => "identity".to_owned(),
            Self::Setup => "setup".to_owned(),
        }
    }

    /// Reads what [`Issuer::to_text`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("gateway:") {
            Some(generation) => Fingerprint::from_hex(generation).map(|hash| Self::Gateway(Generation(hash))),
            None if text == "identity" => Some(Self::Identity),
            None => (text == "setup").then_some(Self::Setup),
        }
    }
}

/// A device token as we keep it: never the token itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceToken {
    /// SHA-256 of the token.
    pub fingerprint: Fingerprint,
    /// On whose word it was handed out.
    pub issuer: Issuer,
    /// When it was handed out.
    pub created_at: UnixMillis,
    /// Whether it replaced another, and when.
    pub rotated_at: Option<UnixMillis>,
    /// When it was last used.
    pub last_used_at: Option<UnixMillis>,
}
