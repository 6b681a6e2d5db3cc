//! What the audit log says of a change.

use serde_json::Value;
use serde_json::json;

use crate::pairing::invite::InviteId;
use crate::pairing::paired::PairedDevice;
use crate::pairing::request::PendingRequest;
use crate::pairing::step::Change;
use crate::pairing::step::InviteEnd;
use crate::pairing::step::RequestEnd;
use crate::store::audit::Line;

/// What there is to say of `change`; `ended` is the request that it ends, as it stood. A sight of a device is no change of
/// who may enter.
pub(in crate::store) fn of(change: &Change, ended: Option<&PendingRequest>) -> Option<Line> {
    Some(match change {
        Change::DropDevice(device) => Line { change: "device.drop", device: Some(*device), ..Line::default() },
        Change::DropInvite { id, end } => match end {
            InviteEnd::Cancelled => ended_invite("invite.cancelled", id),
            InviteEnd::Expired => ended_invite("invite.expired", id),
            InviteEnd::Replaced => ended_invite("invite.replaced", id),
            // Told when it was redeemed.
            InviteEnd::Redeemed => return None,
        },
        Change::DropRequest { id, end } => Line {
            change: name(*end),
            device: ended.map(PendingRequest::device),
            request: Some(id.to_string()),
            digest: ended.map(|request| request.digest().to_string()),
            detail: ended.map_or(Value::Null, request),
        },
        Change::PutDevice(device) => {
            Line { change: "device.put", device: Some(device.id()), detail: grants(device), ..Line::default() }
        }
        Change::PutInvite(put) => Line {
            change: if put.redeemed.is_some() { "invite.redeemed" } else { "invite.put" },
            device: put.redeemed.map(|redeemed| redeemed.device),
            detail: json!({ "invite": put.id.to_string(), "scopes": put.scopes, "until": put.ends_at().0 }),
            ..Line::default()
        },
        Change::PutRequest(put) => Line {
            change: "request.put",
            device: Some(put.device()),
            request: Some(put.id.to_string()),
            digest: Some(put.digest().to_string()),
            detail: request(put),
        },
        Change::Seen { .. } => return None,
    })
}

fn ended_invite(change: &'static str, id: &InviteId) -> Line {
    Line { change, detail: json!({ "invite": id.to_string() }), ..Line::default() }
}

fn name(end: RequestEnd) -> &'static str {
    match end {
        RequestEnd::Approved => "request.approved",
        RequestEnd::Displaced => "request.displaced",
        RequestEnd::Expired => "request.expired",
        RequestEnd::Rejected => "request.rejected",
        RequestEnd::Superseded => "request.superseded",
    }
}

fn request(request: &PendingRequest) -> Value {
    json!({ "role": request.role, "scopes": request.scopes, "origin": request.origin })
}

fn grants(device: &PairedDevice) -> Value {
    let grants = device.grants.iter().map(|(role, grant)| {
        json!({ "role": role, "scopes": grant.scopes, "revokedAt": grant.revoked_at.map(|at| at.0),
                "tokenMadeAt": grant.token.map(|token| token.rotated_at.unwrap_or(token.created_at).0) })
    });
    json!({ "approvedVia": device.approved_via, "grants": grants.collect::<Vec<_>>() })
}
