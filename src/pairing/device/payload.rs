//! The text a device signs: fields joined by bars, without escaping.

use crate::protocol::connect::Connect;
use crate::protocol::connect::DeviceParams;

/// The payloads that `connect` may have signed, newest first.
///
/// Fields are joined without escaping, so each field but one must be free of bars for the text to have one
/// reading. Ids, modes, roles, scopes and the nonce are by construction; the token, between them, may then hold
/// any; a platform or family with a bar has no third version of the payload.
pub(super) fn candidates(connect: &Connect, claim: &DeviceParams, nonce: &str) -> Vec<String> {
    let fields = format!(
        "{}|{}|{}|{}|{}|{}|{}|{nonce}",
        claim.id,
        connect.client.id.as_str(),
        connect.client.mode.as_str(),
        connect.role,
        connect.scopes.csv(),
        claim.signed_at,
        connect.auth.signed(),
    );
    let platform = folded(&connect.client.platform);
    let family = folded(connect.client.device_family.as_deref().unwrap_or_default());
    let mut payloads = Vec::with_capacity(2);
    if !platform.contains('|') && !family.contains('|') {
        payloads.push(format!("v3|{fields}|{platform}|{family}"));
    }
    payloads.push(format!("v2|{fields}"));
    payloads
}

fn folded(label: &str) -> String {
    label.trim().to_ascii_lowercase()
}
