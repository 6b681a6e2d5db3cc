//! `device.pair.setupCode` and `device.pair.setupStatus`: a secret for one new device, made for whoever administers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::error;
use tracing::info;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::SETUP_CODE_LIFE;
use crate::core::Inner;
use crate::core::methods::read;
use crate::core::registry::Peer;
use crate::pairing::setup::SetupKind;
use crate::protocol::call::CallError;
use crate::protocol::schema::Faults;
use crate::protocol::schema::Object;

const CODE: &str = "device.pair.setupCode";
const KEYS: [&str; 5] = ["bootstrapProfile", "includeQr", "joinUrl", "preferRemoteUrl", "publicUrl"];

pub(in crate::core) fn code(core: &Inner, peer: &Peer, params: Option<&RawValue>) -> Result<Value, CallError> {
    let ([], wish) = read(CODE, params, [], &KEYS, Wish::of)?;
    if wish.join_url {
        return Err(CallError::SetupJoinUrl);
    }
    let (url, source) = match &wish.public_url {
        Some(url) => (gateway_url(url).ok_or(CallError::SetupUrlInvalid)?, "request.publicUrl"),
        None => (peer.arrival.url.clone().unwrap_or_default(), "connection"),
    };
    // Whoever listens on the way could redeem what travels in the clear, so that never gives everything.
    let kind = match wish.kind {
        SetupKind::Full if !is_private(&url) => SetupKind::Limited,
        kind => kind,
    };
    let downgraded = kind != wish.kind;
    let profile = kind.profile();
    let access = profile.access;
    let minted = core.setups.mint(profile, core.clock.uptime()).map_err(|fault| {
        error!(%fault, "no random bytes");
        CallError::Internal
    })?;
    let minted = minted.ok_or(CallError::SetupsFull)?;
    let life = i64::try_from(SETUP_CODE_LIFE.as_millis()).unwrap_or(i64::MAX);
    let expires = core.clock.now().plus(life).0;
    let payload = json!({ "url": url, "bootstrapToken": minted.secret.expose(), "expiresAtMs": expires });
    let by = peer.arrival.device.map_or_else(|| "-".to_owned(), |device| device.to_string());
    info!(device = by, "setup code made");
    let mut answer = json!({ "setupId": minted.id, "expiresAtMs": expires,
                             "setupCode": URL_SAFE_NO_PAD.encode(payload.to_string()), "gatewayUrl": url,
                             "auth": "token", "urlSource": source, "access": access });
    if let (true, Value::Object(fields)) = (downgraded, &mut answer) {
        fields.insert("accessDowngraded".to_owned(), json!(true));
    }
    Ok(answer)
}

pub(in crate::core) fn status(core: &Inner, params: Option<&RawValue>) -> Result<Value, CallError> {
    let ([id], ()) = read("device.pair.setupStatus", params, ["setupId"], &[], |_, _| ())?;
    Ok(core.setups.status(&id, core.clock.uptime()))
}

/// What is asked for.
struct Wish {
    kind: SetupKind,
    join_url: bool,
    public_url: Option<String>,
}

impl Wish {
    fn of(params: &Object<'_>, faults: &mut Faults) -> Self {
        let kind = params.optional("bootstrapProfile").map(|word| word.as_str().and_then(SetupKind::parse));
        if kind == Some(None) {
            faults.add("/bootstrapProfile", "must be equal to one of the allowed values");
        }
        for flag in ["includeQr", "preferRemoteUrl"] {
            if params.optional(flag).is_some_and(|value| !value.is_boolean()) {
                faults.add(&params.path(flag), "must be boolean");
            }
        }
        let join_url = params.optional("joinUrl");
        if join_url.is_some_and(|value| *value != json!(true)) {
            faults.add("/joinUrl", "must be equal to constant");
        }
        Self {
            kind: kind.flatten().unwrap_or(SetupKind::Full),
            join_url: join_url.is_some(),
            public_url: params.label("publicUrl", LABEL_CHARS_MAX, faults),
        }
    }
}

/// The WebSocket's address for the one that a person wrote: scheme and authority, nothing that follows.
fn gateway_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return None,
    };
    let uri: http::Uri = format!("{scheme}://{rest}").parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    Some(format!("{scheme}://{authority}"))
}

/// Whether what is sent there is read by nobody on the way.
fn is_private(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let loopback =
        |host: &str| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.starts_with("wss://") || host == "localhost" || loopback(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_a_gateway_becomes_one() {
        for (text, url) in [
            ("https://claw.example/x?y", Some("wss://claw.example")),
            (" WSS://claw.example:8443 ", Some("wss://claw.example:8443")),
            ("http://[fd77::1]:18789/", Some("ws://[fd77::1]:18789")),
            ("claw.example", None),
            ("ftp://claw.example", None),
            ("https://me@claw.example", None),
            ("https://", None),
        ] {
            assert_eq!(gateway_url(text).as_deref(), url, "{text}");
        }
    }

    #[test]
    fn what_travels_in_the_clear_is_known() {
        for (url, private) in [
            ("wss://claw.example", true),
            ("ws://127.0.0.1:18789", true),
            ("ws://[::1]:18789", true),
            ("ws://localhost:18789", true),
            ("ws://192.168.1.2:18789", false),
            ("ws://localhost.example", false),
            ("", false),
        ] {
            assert_eq!(is_private(url), private, "{url}");
        }
    }
}
