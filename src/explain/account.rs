//! One remembered decision, told: what came, what was believed of it and why, what came of it, and what to change.
//!
//! Pure. The walk over the headers is the very one that decided, run once more over the lines that were kept, with a witness
//! that writes down what it sees. What a stranger sent is escaped and cut before it is put in.

mod next;
mod rules;
mod since;
mod text;
mod walk;

use serde::Serialize;

use crate::base::clock::UnixMillis;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::OwnerCommand;
use crate::base::printable::printable;
use crate::decisions::Case;
use crate::decisions::Connect;
use crate::decisions::Credential;
use crate::decisions::Decision;
use crate::decisions::Kept;
use crate::decisions::Outcome;
use crate::decisions::why;
use crate::identity::claims::ClientCertClaim;
use crate::identity::claims::TlsVersion;
use crate::origin::LocalRule;
use crate::origin::ProxyProtocol;
use crate::origin::proxy_protocol;
use crate::origin::trail::Step;
use rules::Rules;
use walk::Walk;

pub use since::Since;

/// A decision as it is told; in JSON as it stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    outcome: &'static str,
    reason: Option<&'static str>,
    cause: Option<String>,
    meaning: Option<&'static str>,
    status: Option<u16>,
    code: Option<String>,
    at_ms: i64,
    connection: String,
    listener: String,
    request: Asked,
    peer: String,
    proxy_header: Option<ProxyHeader>,
    client_ip_header: Walk,
    origin: Found,
    identity: Option<Named>,
    local: Vec<Condition>,
    connect: Option<Connected>,
    rules: Option<Rules>,
    since: Option<Since>,
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    method: String,
    path: String,
    protocol: &'static str,
    scheme: &'static str,
    host: Option<String>,
    web_origin: Option<String>,
    tls: Option<Tls>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    version: &'static str,
    server_name: Option<String>,
    alpn: Option<&'static str>,
    client_cert: Option<ClientCertClaim>,
}

/// The PROXY header of a listener that requires one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyHeader {
    sender_allowed: bool,
    source: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    client_ip: Option<String>,
    class: &'static str,
    local: bool,
    via: Vec<String>,
    steps: Vec<&'static str>,
}

/// Whom somebody we trust named.
#[derive(Debug, Serialize)]
struct Named {
    provider: String,
    login: String,
    name: Option<String>,
    groups: Option<Vec<String>>,
}

/// One condition of the local rule.
#[derive(Debug, Serialize)]
struct Condition {
    condition: &'static str,
    holds: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Connected {
    client: String,
    version: u8,
    credential: &'static str,
    device: Option<String>,
    role: &'static str,
    asked: Vec<String>,
    granted: Vec<String>,
    approved_via: Option<String>,
    request_id: Option<String>,
}

impl Account {
    /// The account of `decision`, for the owner who reaches this instance by `owner`; `since` is what became of its pairing
    /// request, as far as that is known.
    pub fn of(decision: &Decision, since: Option<Since>, owner: &OwnerCommand) -> Self {
        let case = &decision.case;
        let (outcome, cause, status) = match &decision.outcome {
            Outcome::Admitted(_) => ("admitted", None, None),
            Outcome::Gone => ("gone", None, None),
            Outcome::Refused { cause, status, .. } => ("refused", cause.clone(), *status),
            Outcome::Served { status } => ("served", None, Some(*status)),
        };
        let reason = decision.reason();
        let rules = &case.listener.origin;
        Self {
            outcome,
            reason,
            cause,
            meaning: reason.map(|reason| why::of(reason).what),
            status,
            code: decision.code.map(|code| code.to_string()),
            at_ms: case.at.0,
            connection: case.connection.id.to_string(),
            listener: case.listener.name.clone(),
            request: asked(case),
            peer: case.connection.peer.socket().to_string(),
            proxy_header: matches!(rules.proxy_protocol, ProxyProtocol::Required { .. }).then(|| ProxyHeader {
                sender_allowed: rules.admits(case.connection.peer, &case.network),
                source: case.connection.proxy_header.map(|header| match header.source {
                    proxy_protocol::Source::Address(address) => address.to_string(),
                    proxy_protocol::Source::Real => "names nobody: the peer itself counts".to_owned(),
                }),
            }),
            client_ip_header: Walk::of(case),
            origin: found(case),
            identity: case.identity.as_ref().map(|identity| Named {
                provider: identity.provider.clone(),
                login: printable(&identity.login, LABEL_CHARS_MAX),
                name: identity.name.as_ref().map(|name| printable(name, LABEL_CHARS_MAX)),
                groups: identity
                    .groups
                    .as_ref()
                    .map(|groups| groups.iter().map(|name| printable(name, LABEL_CHARS_MAX)).collect()),
            }),
            local: conditions(case),
            connect: decision.connect().map(connected),
            rules: decision.connect().and_then(|connect| Rules::of(case, connect.ruled.as_ref()?)),
            next: next::steps(decision, since.as_ref(), owner),
            since,
        }
    }

    /// The account for a person, at `now`.
    pub fn text(&self, now: UnixMillis) -> String {
        text::text(self, now)
    }
}

/// One line about a decision, beside others.
pub fn line(decision: &Decision, now: UnixMillis) -> String {
    let origin = &decision.case.origin;
    let who = origin.client.map_or_else(|| "unattributed".to_owned(), |client| client.ip().to_string());
    let code = decision.code.map_or_else(|| decision.case.connection.id.to_string(), |code| code.to_string());
    let (class, reason) = (origin.class.as_str(), decision.reason().unwrap_or("-"));
    format!("{code}  {who} ({class})  {reason}  {}", decision.case.at.ago(now))
}

fn asked(case: &Case) -> Asked {
    let asked = &case.asked;
    Asked {
        method: asked.method.clone(),
        path: asked.path.clone(),
        protocol: asked.protocol,
        scheme: asked.scheme.as_str(),
        host: asked.authority.as_ref().map(|authority| printable(&authority.to_string(), LABEL_CHARS_MAX)),
        web_origin: asked.lines.web_origin(),
        tls: case.connection.tls.as_ref().map(|tls| Tls {
            version: match tls.version {
                TlsVersion::V1_2 => "1.2",
                TlsVersion::V1_3 => "1.3",
            },
            server_name: tls.sni.as_ref().map(|name| printable(&name.to_string(), LABEL_CHARS_MAX)),
            alpn: tls.alpn.map(|alpn| alpn.as_str()),
            client_cert: tls.client.clone(),
        }),
    }
}

fn found(case: &Case) -> Found {
    let origin = &case.origin;
    Found {
        client_ip: origin.client.map(|client| client.ip().to_string()),
        class: origin.class.as_str(),
        local: origin.is_local(),
        via: origin.via.iter().map(ToString::to_string).collect(),
        // Of a head that was never read, nothing that it lacked tells anything.
        steps: if is_read(case) { origin.trail.phrases().collect() } else { Vec::new() },
    }
}

/// Whether a head was read at all.
fn is_read(case: &Case) -> bool {
    !matches!(case.asked.lines.kept, Kept::None | Kept::Unread)
}

/// The steps that say a condition does not hold, and the condition.
type Rule = (&'static [Step], &'static str);

/// What must hold for every local rule.
const ALWAYS: [Rule; 5] = [
    (&[Step::LocalProxyHeader], "the connection opened without a PROXY header"),
    (&[Step::LocalTrustedProxy], "the peer is not a trusted proxy"),
    (&[Step::LocalForwarded], "no forwarding header is present"),
    (&[Step::LocalHost], "the Host is a loopback name"),
    (&[Step::LocalOrigin], "the Origin is absent or this request's own"),
];

/// From whom the call must come, and what then must be known of its way to us.
fn peer_and_way(rule: &LocalRule) -> Option<(Rule, Rule)> {
    Some(match rule {
        LocalRule::Loopback { .. } => (
            (&[Step::LocalPeer], "the peer is loopback"),
            (&[Step::LocalService, Step::LocalUnknownOwner], "the peer's socket is the owner's"),
        ),
        LocalRule::Never => return None,
        LocalRule::PublishedLoopback { .. } => (
            (
                &[Step::LocalNoContainer, Step::LocalPeerNoForwarder],
                "the peer is this container's gateway, or in local_peers",
            ),
            (
                &[Step::LocalPortOpen, Step::LocalPortUnproven],
                "the published port is closed beyond the host's loopback",
            ),
        ),
    })
}

fn conditions(case: &Case) -> Vec<Condition> {
    let failed: Vec<Step> = case.origin.trail.steps().filter(|step| step.denies_local()).collect();
    let holds = |rule: &Rule| !rule.0.iter().any(|step| failed.contains(step));
    let mut holding = Vec::new();
    if let Some((peer, way)) = peer_and_way(&case.listener.origin.local) {
        // Of the way nothing can be said unless the call comes plainly from the right peer.
        let judged = holds(&peer) && !failed.contains(&Step::LocalProxyHeader);
        holding.extend(std::iter::once(peer).chain(ALWAYS).chain(judged.then_some(way)).filter(holds));
    }
    let holding = holding.into_iter().map(|(_, condition)| Condition { condition, holds: true });
    let failing = failed.iter().map(|step| Condition {
        condition: step.phrase().strip_prefix("not local: ").unwrap_or(step.phrase()),
        holds: false,
    });
    holding.chain(failing).collect()
}

fn connected(connect: &Connect) -> Connected {
    Connected {
        client: connect.client.clone(),
        version: connect.version,
        credential: match connect.credential {
            Credential::Device => "its own device token, which is valid",
            Credential::Identity => "a verified identity, which a rule takes in place of the gateway token",
            Credential::Locked => "not looked at: too many wrong ones came from there",
            Credential::Missing => "none",
            Credential::Setup => "a setup code or an invite, which is right",
            Credential::Shared => "the gateway's secret, which is right",
            Credential::Wrong => "wrong",
        },
        device: connect.device.clone(),
        role: connect.role,
        asked: connect.asked.clone(),
        granted: connect.granted.clone(),
        approved_via: connect.approved_via.clone(),
        request_id: connect.request_id.clone(),
    }
}

#[cfg(test)]
mod tests;
