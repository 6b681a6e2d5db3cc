//! What to change: the exact command or configuration key, where there is one.

use std::net::IpAddr;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::OwnerCommand;
use crate::base::printable::printable;
use crate::decisions::Case;
use crate::decisions::Decision;
use crate::decisions::Kept;
use crate::decisions::why;
use crate::decisions::why::proxy;
use crate::explain::account::Since;
use crate::origin::ClientIpHeader;
use crate::origin::Owner;
use crate::origin::request::speaker;
use crate::origin::trail::Step;

/// The next steps, the most useful first.
pub(super) fn steps(decision: &Decision, since: Option<&Since>, owner: &OwnerCommand) -> Vec<String> {
    let mut next = Vec::new();
    if let Some(reason) = decision.reason() {
        next.extend(of_reason(decision, reason, since, owner));
    }
    // What a head lacked that was never read is nobody's to mend.
    if matches!(decision.case.asked.lines.kept, Kept::None | Kept::Unread) {
        return next;
    }
    next.extend(decision.case.origin.trail.steps().filter_map(|step| of_step(step, &decision.case)));
    next
}

fn of_reason(decision: &Decision, reason: &str, since: Option<&Since>, owner: &OwnerCommand) -> Vec<String> {
    let case = &decision.case;
    let general = why::of(reason).owner.to_owned();
    match (reason, decision.request_id(), &case.asked.authority) {
        ("pairing_required", Some(id), _) => match since {
            Some(since) => since.next(id, owner),
            None => {
                vec![format!("if you know this device, approve what it asks for now: {}", owner.with("devices list"))]
            }
        },
        ("misdirected-host", _, Some(authority)) => {
            let host = printable(&authority.host.to_string(), LABEL_CHARS_MAX);
            vec![format!("if this server should answer there, add to names in [edge]: \"{host}\"")]
        }
        ("foreign-web-origin", ..) => {
            let add = |origin| {
                let only_if = "only if that page is yours and may do whatever you may";
                format!("{only_if}, add to origins in [edge]: \"{origin}\"")
            };
            vec![case.asked.lines.web_origin().map_or(general, add)]
        }
        ("not-through-the-proxy", ..) => vec![trust(case, case.connection.peer.ip())],
        ("proxy-sender-unlisted", ..) => vec![proxy::admit(case.connection.peer.ip(), &case.listener, &case.network)],
        ("port-not-closed", ..) => vec![port_hint(case).unwrap_or(general)],
        ("token_missing" | "token_mismatch", ..) => {
            vec![general, format!("the right one: {}", owner.with("token show"))]
        }
        _ => vec![general],
    }
}

/// What an operator may want to change because of this step, whatever came of the request.
fn of_step(step: Step, case: &Case) -> Option<String> {
    let rules = &case.listener.origin;
    let (header, listener) = (rules.client_ip_header.as_str(), &case.listener.name);
    let speaker = speaker(case.connection.peer, case.connection.proxy_header.as_ref());
    let came = |name: &str| case.asked.lines.iter().any(|(found, _)| found.as_str() == name);
    let forwarded = || case.asked.lines.iter().any(|(name, _)| rules.is_forwarding(name));
    Some(match step {
        Step::HeaderMasked | Step::HeaderUntrusted if came(header) => trust(case, speaker),
        Step::HeaderNotRead if forwarded() && rules.client_ip_header == ClientIpHeader::None => trust(case, speaker),
        Step::NatBridge | Step::NatGateway | Step::NatOwnAddress | Step::NatRuntime => {
            let mend = "let what forwards them speak the PROXY protocol, or run on the host's own network";
            format!("callers behind this address cannot be told apart: {mend}")
        }
        Step::LocalPortOpen | Step::LocalPortUnproven => return port_hint(case),
        Step::LocalService => match case.connection.owner {
            Owner::Known { uid } => {
                let only_if = format!("only if everything that runs as user {uid} is yours and no proxy");
                format!("{only_if}, add it to local_uids in [[listener]] \"{listener}\": {uid}")
            }
            Owner::Assumed | Owner::Unknown => return None,
        },
        _ => return proxy::mend(step, speaker, &case.listener),
    })
}

/// What to do about the port that is published for this listener, as it was when this was decided.
fn port_hint(case: &Case) -> Option<String> {
    let port = case.listener.origin.local.published_port()?;
    case.network.exposure(port).hint(port)
}

/// What to do about `ip`, which wrote the head and may be a proxy.
fn trust(case: &Case, ip: IpAddr) -> String {
    proxy::trust(ip, case.origin.class, &case.listener)
}
