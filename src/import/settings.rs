//! `openclaw.json`, as far as it says who may come in: the settings of `gateway`.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::base::private_file;
use crate::base::private_file::Link;
use crate::base::secret::Secret;
use crate::import::ImportError;
use crate::import::depth;
use crate::import::files;
use crate::import::issuer::OldSecret;
use crate::import::issuer::SecretKind;

/// Its name in the state folder.
pub const FILE: &str = "openclaw.json";

/// The settings of a gateway.
#[derive(Debug)]
pub struct Settings {
    /// Its mode.
    pub mode: u32,
    /// Whether parts of them stand in other files, which are not read.
    pub includes: bool,
    /// `gateway`.
    pub gateway: Gateway,
}

/// `gateway`. What it does not say is as the gateway has it then.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The port; 18789 if none is said.
    pub port: Option<u16>,
    /// `auto`, `lan`, `loopback`, `custom` or `tailnet`.
    pub bind: Option<String>,
    /// The address of `custom`.
    pub custom_bind_host: Option<String>,
    /// How it is reached from outside.
    pub public_origin: Option<String>,
    /// `auth`.
    pub auth: Auth,
    /// `controlUi`.
    pub control_ui: ControlUi,
    /// Who may say for whom they call.
    pub trusted_proxies: Vec<String>,
    /// Whether `X-Real-IP` counts too.
    pub allow_real_ip_fallback: bool,
    /// `tailscale`.
    pub tailscale: Tailscale,
    /// `tls`.
    pub tls: Tls,
}

/// `gateway.auth`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// `none`, `token`, `password` or `trusted-proxy`.
    pub mode: Option<String>,
    token: Option<Value>,
    password: Option<Value>,
    /// Whether headers of `tailscale serve` name a person.
    pub allow_tailscale: Option<bool>,
    /// `trustedProxy`.
    pub trusted_proxy: TrustedProxy,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({:?})", self.mode)
    }
}

/// `gateway.auth.trustedProxy`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrustedProxy {
    /// Whether a proxy at loopback counts.
    pub allow_loopback: bool,
    /// `deviceAutoApprove`.
    pub device_auto_approve: Switch,
}

/// Something that is on or off.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// Whether it is on.
    pub enabled: bool,
}

/// `gateway.controlUi`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlUi {
    /// Whose pages may open WebSockets.
    pub allowed_origins: Vec<String>,
    /// Whether the token is enough over plain HTTP.
    pub allow_insecure_auth: bool,
    /// Whether browsers need no device key.
    pub dangerously_disable_device_auth: bool,
    /// Whether the Host header says which origin is right.
    pub dangerously_allow_host_header_origin_fallback: bool,
}

/// `gateway.tailscale`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tailscale {
    /// `off`, `serve` or `funnel`.
    pub mode: Option<String>,
}

/// `gateway.tls`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// Whether it is on.
    pub enabled: bool,
    /// The certificate.
    pub cert_path: Option<String>,
    /// Its key.
    pub key_path: Option<String>,
}

/// How the gateway's secret stands in the settings.
#[derive(Clone, Debug)]
pub enum Stated {
    /// As it is.
    Plain(Secret<String>),
    /// By the name of a variable or of another place.
    Elsewhere,
    /// Not at all.
    Not,
}

impl Auth {
    /// By what callers show that they may try.
    pub fn kind(&self) -> SecretKind {
        match self.mode.as_deref() {
            Some("password") => SecretKind::Password,
            None if self.token.is_none() && self.password.is_some() => SecretKind::Password,
            _ => SecretKind::Token,
        }
    }

    /// The secret.
    pub fn stated(&self) -> Stated {
        let value = match self.kind() {
            SecretKind::Password => &self.password,
            SecretKind::Token => &self.token,
        };
        match value {
            Some(Value::String(text)) if text.contains("${") => Stated::Elsewhere,
            Some(Value::String(text)) if !text.trim().is_empty() => Stated::Plain(Secret::new(text.clone())),
            Some(Value::Object(_)) => Stated::Elsewhere,
            _ => Stated::Not,
        }
    }

    /// As what checks tokens that were handed out under it.
    pub fn old_secret(&self) -> OldSecret {
        match self.stated() {
            Stated::Plain(secret) => OldSecret::Known { kind: self.kind(), secret },
            Stated::Elsewhere | Stated::Not => OldSecret::Unknown,
        }
    }
}

/// Reads the settings of a state folder, or those in the file that was `named` in their place; none where there are none.
///
/// # Errors
/// [`ImportError`].
pub fn read(folder: &Path, named: Option<&Path>) -> Result<Option<Settings>, ImportError> {
    // Said before anything else: who names a file of it is not to hear of a file within that file.
    files::Folder::open(folder)?;
    let path = named.map_or_else(|| folder.join(FILE), Path::to_path_buf);
    let unreadable = |cause| ImportError::Unreadable { path: path.clone(), cause };
    let file = match named {
        // Who names a file means where it leads.
        Some(path) => private_file::open(path, Link::Followed).map_err(|error| files::refused(path, error.fault))?,
        None => match files::open(&path)? {
            Some(file) => file,
            None => return Ok(None),
        },
    };
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    let text = files::text(&path, file)?;
    let garbage = |cause: &str| ImportError::Unsettled { path: path.clone(), cause: cause.to_owned() };
    if depth::is_deep(&text) {
        return Err(garbage("it nests too deep"));
    }
    // What stands there is not told: it may be a token.
    let value: Value = json5::from_str(&text).map_err(|_| garbage("not json5"))?;
    let Value::Object(mut fields) = value else { return Err(garbage("not an object")) };
    let gateway = fields.remove("gateway").unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let includes = fields.contains_key("$include") || gateway.to_string().contains("\"$include\"");
    let gateway = Gateway::deserialize(gateway).map_err(|_| garbage("`gateway` is not as the gateway has it"))?;
    Ok(Some(Settings { mode, includes, gateway }))
}
