//! How an origin was found, step by step, in fixed phrases: nothing a stranger sent is ever in them.

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::base::limits::TRAIL_STEPS_MAX;

/// One step of a decision.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Only trusted proxies are in the chain.
    ChainWithoutClient,
    /// On a container network of ours.
    ContainerNeighbour,
    /// The one header is absent.
    HeaderAbsent,
    /// A trusted address that a container runtime shows strangers with.
    HeaderMasked,
    /// The listener reads no header.
    HeaderNotRead,
    /// Several lines of a header that has one.
    HeaderRepeated,
    /// A line of the header breaks its grammar.
    HeaderUngrammatical,
    /// The caller is not in `trusted_proxies`.
    HeaderUntrusted,
    /// The nearest untrusted hop.
    HopIsClient,
    /// A hop claims loopback or the like.
    HopNotPossible,
    /// A hop is no address.
    HopUnreadable,
    /// Trusted hops were passed.
    HopsPassed,
    /// More trusted hops than are walked.
    HopsTooMany,
    /// Every condition of the local rule holds.
    Local,
    /// A header of the forwarding family is present.
    LocalForwarded,
    /// The Host is not loopback.
    LocalHost,
    /// The listener calls nobody local.
    LocalNever,
    /// We are no container with a network of its own.
    LocalNoContainer,
    /// The Origin is not this request's own.
    LocalOrigin,
    /// The peer is not loopback.
    LocalPeer,
    /// The peer is neither the container's gateway nor in `local_peers`.
    LocalPeerNoForwarder,
    /// The published port answers beyond the host's loopback.
    LocalPortOpen,
    /// Nothing proves yet that the published port is closed beyond the host's loopback.
    LocalPortUnproven,
    /// The connection opened with a PROXY header.
    LocalProxyHeader,
    /// The peer's socket belongs to a service.
    LocalService,
    /// The peer is a trusted proxy.
    LocalTrustedProxy,
    /// The kernel does not name the owner of the peer's socket.
    LocalUnknownOwner,
    /// The host's address on a container network.
    NatBridge,
    /// The next hop of a default route.
    NatGateway,
    /// Loopback without the proof that makes it local.
    NatLoopback,
    /// Our own address, in a container.
    NatOwnAddress,
    /// An address of a container runtime's machine.
    NatRuntime,
    /// The peer itself.
    PeerIsClient,
    /// No TCP peer has such an address.
    PeerNotPossible,
    /// In a private range.
    PrivateAddress,
    /// The PROXY header's source.
    ProxyHeaderAddress,
    /// The source is the client.
    ProxyHeaderIsClient,
    /// A PROXY header where none is read, or none where one is required.
    ProxyHeaderMismatch,
    /// The source claims loopback or the like.
    ProxyHeaderNotPossible,
    /// LOCAL, UNKNOWN, UNSPEC or AF_UNIX.
    ProxyHeaderReal,
    /// In no special range.
    PublicAddress,
    /// tailscaled names the person whose node the peer is.
    TailnetConfirmed,
    /// The caller did not dial this node's own address in the tailnet.
    TailnetElsewhere,
    /// tailscaled did not answer, or not readably.
    TailnetNoAnswer,
    /// tailscaled knows no such peer.
    TailnetNobody,
    /// The peer is a tagged node.
    TailnetTagged,
    /// A trusted proxy is speaking.
    TrustedProxy,
}

impl Step {
    /// Whether this is a condition of the local rule that does not hold.
    pub fn denies_local(self) -> bool {
        matches!(
            self,
            Self::LocalForwarded
                | Self::LocalHost
                | Self::LocalNever
                | Self::LocalNoContainer
                | Self::LocalOrigin
                | Self::LocalPeer
                | Self::LocalPeerNoForwarder
                | Self::LocalPortOpen
                | Self::LocalPortUnproven
                | Self::LocalProxyHeader
                | Self::LocalService
                | Self::LocalTrustedProxy
                | Self::LocalUnknownOwner
        )
    }

    /// The step in words for people.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::ChainWithoutClient => "unattributed: the header names trusted proxies only",
            Self::ContainerNeighbour => "container: a neighbour on our own container network",
            Self::HeaderAbsent => "unattributed: the trusted proxy sent no client header",
            Self::HeaderMasked => {
                "forwarding headers do not count: our container network hides strangers behind this address"
            }
            Self::HeaderNotRead => "this listener reads no client header",
            Self::HeaderRepeated => "unattributed: the client header stands there more than once",
            Self::HeaderUngrammatical => "unattributed: a line of the client header breaks its grammar",
            Self::HeaderUntrusted => "forwarding headers do not count: not in trusted_proxies",
            Self::HopIsClient => "the nearest hop that is not a trusted proxy is the client",
            Self::HopNotPossible => "unattributed: a hop claims an address that no caller can have",
            Self::HopUnreadable => "unattributed: a hop cannot be read",
            Self::HopsPassed => "trusted proxies in the header were passed",
            Self::HopsTooMany => "unattributed: more trusted hops than are walked",
            Self::Local => "local: every condition of the local rule holds",
            Self::LocalForwarded => "not local: a forwarding header is present",
            Self::LocalHost => "not local: the Host is not a loopback name",
            Self::LocalNever => "not local: this listener calls nobody local",
            Self::LocalNoContainer => "not local: this is no container with a network of its own",
            Self::LocalOrigin => "not local: the Origin is not this request's own",
            Self::LocalPeer => "not local: the peer is not loopback",
            Self::LocalPeerNoForwarder => "not local: the peer is not this container's gateway, nor in local_peers",
            Self::LocalPortOpen => "not local: the published port is open beyond the host's loopback",
            Self::LocalPortUnproven => {
                "not local: the published port is not proven closed beyond the host's loopback (doorward status says why)"
            }
            Self::LocalProxyHeader => "not local: the connection opened with a PROXY header",
            Self::LocalService => "not local: the peer's socket belongs to root or a service account",
            Self::LocalTrustedProxy => "not local: the peer is a trusted proxy",
            Self::LocalUnknownOwner => "not local: the kernel does not name the owner of the peer's socket",
            Self::NatBridge => "nat: the host's address on our container network hides whoever comes through it",
            Self::NatGateway => "nat: our gateway's address hides whoever comes through it",
            Self::NatLoopback => "nat: a loopback address can hide a tunnel or a port forwarder",
            Self::NatOwnAddress => "nat: a container's own address is what a port forwarder shows for everybody",
            Self::NatRuntime => "nat: an address of the container runtime's own machine hides the caller",
            Self::PeerIsClient => "the peer of the socket is the client",
            Self::PeerNotPossible => "unattributed: no peer can have this address",
            Self::PrivateAddress => "private: an address of a private range",
            Self::ProxyHeaderAddress => "a listed sender's PROXY header names the source",
            Self::ProxyHeaderIsClient => "the source in the PROXY header is the client",
            Self::ProxyHeaderMismatch => "unattributed: the PROXY header does not fit this listener",
            Self::ProxyHeaderNotPossible => "unattributed: the PROXY header claims an address that no caller can have",
            Self::ProxyHeaderReal => "the PROXY header names no source: the real peer counts",
            Self::PublicAddress => "public: an address like any other",
            Self::TailnetConfirmed => "tailscaled's whois names the person whose node the peer is",
            Self::TailnetElsewhere => "not tailnet: what was dialled is no tailnet address of this node",
            Self::TailnetNoAnswer => "not tailnet: tailscaled did not answer the whois of the peer",
            Self::TailnetNobody => "not tailnet: tailscaled knows no such peer",
            Self::TailnetTagged => "not tailnet: a tagged node is no person's",
            Self::TrustedProxy => "a trusted proxy speaks for the client",
        }
    }
}

/// The steps in the order they were taken. Lives on the stack: an origin is found for every request. In JSON a list.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "Vec<Step>", try_from = "Vec<Step>")]
pub struct Trail {
    steps: [Option<Step>; TRAIL_STEPS_MAX],
}

impl Trail {
    /// Adds a step. The longest decision fits; a step beyond would be left out.
    pub(super) fn push(&mut self, step: Step) {
        if let Some(free) = self.steps.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(step);
        }
    }

    /// Whether no step was taken.
    pub fn is_empty(&self) -> bool {
        self.steps().next().is_none()
    }

    /// The steps, first to last.
    pub fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.steps.iter().flatten().copied()
    }

    /// The steps in words.
    pub fn phrases(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.steps().map(Step::phrase)
    }
}

impl From<Trail> for Vec<Step> {
    fn from(trail: Trail) -> Self {
        trail.steps().collect()
    }
}

impl TryFrom<Vec<Step>> for Trail {
    type Error = TrailTooLong;

    fn try_from(steps: Vec<Step>) -> Result<Self, TrailTooLong> {
        let mut trail = Self::default();
        if steps.len() > trail.steps.len() {
            return Err(TrailTooLong);
        }
        steps.into_iter().for_each(|step| trail.push(step));
        Ok(trail)
    }
}

/// A list of steps that no decision takes.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("more than {TRAIL_STEPS_MAX} steps")]
pub struct TrailTooLong;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_their_order_and_their_bound() {
        let mut trail = Trail::default();
        for _ in 0..TRAIL_STEPS_MAX + 1 {
            trail.push(Step::PeerIsClient);
        }
        assert_eq!(trail.steps().count(), TRAIL_STEPS_MAX);
        let mut trail = Trail::default();
        trail.push(Step::PeerIsClient);
        trail.push(Step::LocalNever);
        assert_eq!(trail.phrases().collect::<Vec<_>>(), [Step::PeerIsClient.phrase(), Step::LocalNever.phrase()]);
    }

    #[test]
    fn the_steps_that_deny_local_say_so() {
        // A word that is none is refused with the list of those that are.
        let listed = serde_json::from_str::<Step>("\"\"").unwrap_err().to_string();
        let words: Vec<_> = listed.split('`').skip(3).step_by(2).collect();
        assert_eq!((words.first(), words.last()), (Some(&"chain-without-client"), Some(&"trusted-proxy")));
        for word in words {
            let step: Step = serde_json::from_str(&format!("\"{word}\"")).unwrap();
            assert_eq!(step.denies_local(), word.starts_with("local-"), "{word}");
            assert_eq!(step.denies_local(), step.phrase().starts_with("not local: "), "{word}");
        }
    }

    #[test]
    fn a_trail_fits_in_a_few_words() {
        assert!(size_of::<Trail>() <= 16);
    }

    #[test]
    fn a_trail_travels_as_a_list_of_words() {
        let mut trail = Trail::default();
        trail.push(Step::PeerIsClient);
        trail.push(Step::LocalUnknownOwner);
        let text = serde_json::to_string(&trail).unwrap();
        assert_eq!(text, r#"["peer-is-client","local-unknown-owner"]"#);
        assert_eq!(serde_json::from_str::<Trail>(&text).unwrap(), trail);
        let longer = serde_json::to_string(&vec![Step::PeerIsClient; TRAIL_STEPS_MAX + 1]).unwrap();
        assert!(serde_json::from_str::<Trail>(&longer).is_err());
        assert!(serde_json::from_str::<Trail>(r#"["anything"]"#).is_err());
    }
}
