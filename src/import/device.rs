//! One paired device as the gateway wrote it, judged: what of it can move here, and what is lost on the way.
//!
//! Nothing grows. In each role it gets the scopes of its living token there, as far as they lie within what it was approved
//! for; a role whose token was revoked or is gone does not move; a token that would not be taken there is not taken here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use crate::base::limits::DEVICE_LABEL_CHARS_MAX;
use crate::base::limits::IMPORT_TOKEN_CHARS_MAX;
use crate::base::limits::IMPORT_TOKEN_CHARS_MIN;
use crate::base::limits::IMPORT_WORDS_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::import::Release;
use crate::import::issuer::Count;
use crate::import::issuer::OldSecret;
use crate::import::issuer::TokenIssuer;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::import::ImportedDevice;
use crate::pairing::import::ImportedGrant;
use crate::pairing::import::ImportedToken;
use crate::pairing::paired::Profile;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::ClientMode;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// A device that can move.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// As it would be paired here.
    pub device: ImportedDevice,
    /// How it got in there, if that is written down, fit to be shown.
    pub via: Option<String>,
    /// From where it last came.
    pub from: Whence,
    /// What does not come along.
    pub losses: Vec<Loss>,
}

impl Arrival {
    /// Whether how it got in there is not written down.
    pub fn is_untold(&self) -> bool {
        self.via.is_none()
    }

    /// Whether the gateway let it in from another machine without a person's word: such as a stranger behind a bridge whose
    /// address it trusted.
    pub fn is_unapproved(&self) -> bool {
        let by_itself =
            matches!(self.via.as_deref(), Some("silent" | "ssh-verified" | "trusted-cidr" | "trusted-proxy"));
        by_itself && !self.from.is_here()
    }
}

/// From where a device last came, as the gateway wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whence {
    /// From this address.
    Address(IpAddr),
    /// Nothing is written, as for its own machine.
    Unwritten,
    /// What is written is no address: from anywhere.
    Unreadable,
}

impl Whence {
    fn read(written: Option<&str>) -> Self {
        match written.map(|ip| ip.trim().parse()) {
            None => Self::Unwritten,
            Some(Ok(ip)) => Self::Address(ip),
            Some(Err(_)) => Self::Unreadable,
        }
    }

    fn is_here(self) -> bool {
        match self {
            Self::Address(ip) => ip.to_canonical().is_loopback(),
            Self::Unreadable => false,
            Self::Unwritten => true,
        }
    }

    /// The address, where there is one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(ip),
            Self::Unreadable | Self::Unwritten => None,
        }
    }
}

/// Something of a device that does not come along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Loss {
    /// In which role.
    pub role: Role,
    /// Why.
    pub why: Why,
}

/// Why something does not come along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// The token is of an earlier gateway token.
    IssuerStale,
    /// Under which gateway token it was handed out cannot be checked.
    IssuerUnknown,
    /// A browser's token of before tokens were bound to the gateway token.
    LegacyBrowser,
    /// The token was revoked: the role does not come along.
    Revoked,
    /// The token names scopes that the device was not approved for.
    TokenBeyond,
    /// There is no token: the role does not come along.
    TokenMissing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IssuerStale => "its token is void there, the gateway token was changed since; it gets another with the gateway token",
            Self::IssuerUnknown => {
                "whether its token counts there cannot be checked without that gateway's token (--old-token-file); it gets \
                 another with the gateway token"
            }
            Self::LegacyBrowser => "its token is void there, browsers must come with the gateway token once",
            Self::Revoked => "was revoked there and does not come along",
            Self::TokenBeyond => "its token names scopes that it was not approved for; it gets another with the gateway token",
            Self::TokenMissing => "has no token there and does not come along",
        })
    }
}

/// A row that is no device that can move.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unfit {
    /// Its id, fit to be shown.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A row as it is written, in names of its JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) device_id: String,
    pub(super) public_key: String,
    pub(super) display_name: Option<String>,
    pub(super) operator_label: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) device_family: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_mode: Option<String>,
    pub(super) role: Option<String>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) approved_scopes: Option<Vec<String>>,
    pub(super) remote_ip: Option<String>,
    pub(super) tokens: Option<BTreeMap<String, Token>>,
    pub(super) approved_via: Option<String>,
    pub(super) created_at_ms: i64,
}

/// One token as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    token: String,
    role: String,
    scopes: Vec<String>,
    created_at_ms: i64,
    revoked_at_ms: Option<i64>,
    issuer: Option<TokenIssuer>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.role)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        drop(Secret::new(std::mem::take(&mut self.token)));
    }
}

/// Judges a row that stood under `name`.
pub(super) fn judge(name: &str, row: &Row, release: Release, secret: &OldSecret) -> Result<Arrival, Unfit> {
    let unfit = |reason: &str| Unfit { id: printable(name, LABEL_CHARS_MAX), reason: reason.to_owned() };
    let key =
        DevicePublicKey::parse(&row.public_key).map_err(|_| unfit("its key is no ed25519 key that proves anything"))?;
    let id: DeviceId = row.device_id.parse().map_err(|_| unfit("its id is none"))?;
    if key.id() != id || name != row.device_id {
        return Err(unfit("its id is not that of its key"));
    }
    let profile = profile(row).map_err(unfit)?;
    let approved = row.approved_scopes.as_deref().or(row.scopes.as_deref()).unwrap_or_default();
    let approved = scopes(approved).map_err(unfit)?;
    let (mut grants, mut losses) = (Vec::new(), Vec::new());
    for role in roles(row).map_err(unfit)? {
        let token = row.tokens.as_ref().and_then(|tokens| tokens.get(role.as_str()));
        match grant(role, token, &approved, &profile, release, secret).map_err(unfit)? {
            (Some(grant), why) => {
                grants.push(grant);
                losses.extend(why.map(|why| Loss { role, why }));
            }
            (None, why) => losses.extend(why.map(|why| Loss { role, why })),
        }
    }
    if grants.is_empty() {
        return Err(unfit("it may not do anything there any more: it has no token, or it was revoked"));
    }
    let label = row.operator_label.as_deref().map(|label| printable(label.trim(), DEVICE_LABEL_CHARS_MAX));
    Ok(Arrival {
        device: ImportedDevice {
            key,
            profile,
            label: label.filter(|label| !label.is_empty()),
            created_at_ms: row.created_at_ms,
            grants,
        },
        via: row.approved_via.as_deref().map(|via| printable(via, LABEL_CHARS_MAX)),
        from: Whence::read(row.remote_ip.as_deref()),
        losses,
    })
}

fn profile(row: &Row) -> Result<Profile, &'static str> {
    let shown = |text: &Option<String>| text.as_deref().map(|text| printable(text, LABEL_CHARS_MAX));
    Ok(Profile {
        client_id: row.client_id.as_deref().and_then(ClientId::parse).ok_or("its program is none that we know")?,
        client_mode: row
            .client_mode
            .as_deref()
            .and_then(ClientMode::parse)
            .ok_or("its program's mode is none that we know")?,
        platform: shown(&row.platform).ok_or("it names no platform")?,
        display_name: shown(&row.display_name),
        device_family: shown(&row.device_family),
    })
}

fn roles(row: &Row) -> Result<Vec<Role>, &'static str> {
    let named = row.roles.iter().flatten().chain(&row.role);
    let mut roles = named
        .map(|role| Role::parse(role).ok_or("it has a role that we do not know"))
        .collect::<Result<Vec<_>, _>>()?;
    roles.sort();
    roles.dedup();
    Ok(roles)
}

fn scopes(list: &[String]) -> Result<Scopes, &'static str> {
    if list.len() > IMPORT_WORDS_MAX {
        return Err("it has more scopes than there are");
    }
    list.iter().map(|scope| Scope::parse(scope).map_err(|_| "it has a scope that is none")).collect()
}

/// What moves of one role, and what of it does not.
fn grant(
    role: Role,
    token: Option<&Token>,
    approved: &Scopes,
    profile: &Profile,
    release: Release,
    secret: &OldSecret,
) -> Result<(Option<ImportedGrant>, Option<Why>), &'static str> {
    let Some(token) = token else { return Ok((None, Some(Why::TokenMissing))) };
    let sound = (IMPORT_TOKEN_CHARS_MIN..=IMPORT_TOKEN_CHARS_MAX).contains(&token.token.len());
    if token.role != role.as_str() || !sound || !token.token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has a token that is none");
    }
    if token.revoked_at_ms.is_some() {
        return Ok((None, Some(Why::Revoked)));
    }
    let held = scopes(&token.scopes)?;
    let beyond = !approved.covers_all(&held);
    let of_role = |scope: &&Scope| (role == Role::Operator) == scope.as_str().starts_with("operator.");
    let scopes = held.iter().filter(|scope| approved.covers(scope)).filter(of_role).cloned().collect();
    let why = if beyond { Some(Why::TokenBeyond) } else { void(token, profile, release, secret) };
    let kept =
        ImportedToken { fingerprint: Fingerprint::of(token.token.as_bytes()), created_at_ms: token.created_at_ms };
    Ok((Some(ImportedGrant { role, scopes, token: why.is_none().then_some(kept) }), why))
}

/// Why the gateway itself would not take this token now.
fn void(token: &Token, profile: &Profile, release: Release, secret: &OldSecret) -> Option<Why> {
    let browser = profile.client_mode == ClientMode::Webchat
        || matches!(profile.client_id, ClientId::ControlUi | ClientId::WebchatUi);
    match (&token.issuer, release) {
        (Some(issuer), _) => match secret.counts(issuer) {
            Count::Counts => None,
            Count::Stale => Some(Why::IssuerStale),
            Count::Unknown => Some(Why::IssuerUnknown),
        },
        (None, Release::September) if browser => Some(Why::LegacyBrowser),
        (None, _) => None,
    }
}
