//! From an accepted socket to a stream with its facts: PROXY header, owner, TLS, each within its deadline.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::ServerConnection;
use rustls::server::Acceptor;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::caps::{CapError, Seat};
use super::facts::{Alpn, ConnectionFacts, ConnectionId, Progress, TlsFacts};
use super::io::EdgeIo;
use super::knock::{Heard, Knocks};
use super::live::{Live, LiveNetwork};
use super::standing::Standing;
use super::tally::Tally;
use super::transport::Transport;
use super::{Protocol, Serve, Settings, owner, plain_http};
use crate::base::limits::{HANDSHAKE_WAIT, LABEL_CHARS_MAX, PROXY_HEADER_WAIT, PROXY_V2_BYTES_MAX};
use crate::base::printable::printable;
use crate::certificates::client_auth::{self, ClientCertificateFault};
use crate::certificates::server_tls::ServerTls;
use crate::identity::claims::TlsVersion;
use crate::net::addr::PeerAddr;
use crate::net::host::{Host, HostError};
use crate::origin::proxy_protocol::{Decoded, Header, ProxyProtocolError, Source, decode};
use crate::origin::tailnet::is_whois_due;
use crate::origin::{self, LocalRule, Network, Owner, ProxyProtocol, Whois};
use crate::tailscale::{PeerWord, Tailscale};

/// A listener as its connections see it.
#[derive(Clone, Debug)]
pub struct Door {
    /// Its settings, as they are now.
    pub settings: Live,
    /// What is known of this machine's network.
    pub network: LiveNetwork,
    /// The probe of our own published port, if one is under way.
    pub knocks: Knocks,
    /// How it ends TLS; none on a plain listener.
    pub tls: Option<ServerTls>,
    /// Who says whose node a tailnet's peer is; nobody unless configured.
    pub tailscale: Option<Tailscale>,
    /// What happens here.
    pub tally: Tally,
}

/// Why a connection did not come to its first request. All of these are the peer's doing, but `Random` and `Unconfigured`.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// Its client holds too many.
    #[error(transparent)]
    Cap(#[from] CapError),
    /// The certificate that a caller has to show is absent, or not one of those that are taken.
    #[error("client certificate: {0}")]
    ClientCertificate(ClientCertificateFault),
    /// Handshake or PROXY header not whole in time.
    #[error("handshake too slow")]
    Deadline,
    /// The socket failed, or the peer went away.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// Our own probe: the published port leads here from beyond the host's loopback.
    #[error("our own probe")]
    Knock,
    /// Plain HTTP on a TLS port.
    #[error("plain http on a tls port")]
    PlainHttp,
    /// Text on a TLS port that is no HTTP either.
    #[error("neither tls nor http on a tls port")]
    PlainText,
    /// Not a PROXY header as this listener requires it.
    #[error("bad proxy header: {0}")]
    ProxyHeader(#[from] ProxyProtocolError),
    /// A PROXY header that does not end.
    #[error("proxy header too long")]
    ProxyHeaderTooLong,
    /// A peer that may not send PROXY headers, on a listener where they are mandatory.
    #[error("peer is not in proxy_protocol_from")]
    ProxySender,
    /// The kernel gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// An SNI that is no host.
    #[error("unreadable sni: {0}")]
    Sni(#[from] HostError),
    /// The TLS handshake failed.
    #[error("tls: {0}")]
    Tls(io::Error),
    /// TLS on a listener that has no certificates.
    #[error("tls is not set up on this listener")]
    Unconfigured,
    /// ALPN chose what is not HTTP.
    #[error("not http by alpn")]
    UnknownAlpn,
    /// A server name that nobody configured.
    #[error("no such server name here: {0}")]
    UnknownName(String),
}

impl ConnectionError {
    /// The stable reason, where somebody may wonder: not for a caller who left, our own probe, an `acme-tls/1` that had its
    /// answer, and what is nobody's doing.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Cap(_) => Some("too-many-connections"),
            Self::ClientCertificate(_) => Some("client-certificate-refused"),
            Self::Deadline => Some("greeting-too-slow"),
            Self::Io(_) | Self::Knock | Self::Random(_) | Self::UnknownAlpn => None,
            Self::PlainHttp => Some("plain-http-on-tls"),
            Self::PlainText => Some("not-tls"),
            Self::ProxyHeader(_) | Self::ProxyHeaderTooLong => Some("bad-proxy-header"),
            Self::ProxySender => Some("proxy-sender-unlisted"),
            Self::Sni(_) => Some("bad-server-name"),
            Self::Tls(_) => Some("tls-failed"),
            Self::Unconfigured => Some("tls-not-set-up"),
            Self::UnknownName(_) => Some("unknown-server-name"),
        }
    }

    /// The word by which it is counted, for those too where nobody wonders.
    pub(super) fn word(&self) -> &'static str {
        self.reason().unwrap_or(match self {
            Self::Knock => "own-probe",
            Self::Random(_) => "no-random-bytes",
            Self::UnknownAlpn => "acme-answered",
            _ => "connection-lost",
        })
    }

    /// Whether it is a TLS handshake that failed.
    pub(super) fn is_of_tls(&self) -> bool {
        matches!(
            self,
            Self::ClientCertificate(_) | Self::Sni(_) | Self::Tls(_) | Self::Unconfigured | Self::UnknownName(_)
        )
    }
}

/// What was read of a connection before it failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Its PROXY header.
    pub proxy_header: Option<Header>,
}

/// Brings a fresh connection from `peer`, by the name of `id`, to its first request; what is read of it on the way is noted
/// in `seen`.
///
/// # Errors
/// [`ConnectionError`]: the connection is closed, and nothing of it was believed.
pub async fn establish(
    stream: TcpStream,
    id: &ConnectionId,
    peer: PeerAddr,
    seat: Seat,
    door: &Door,
    seen: &mut Seen,
) -> Result<Box<EdgeIo>, ConnectionError> {
    timeout(HANDSHAKE_WAIT, shake_hands(stream, id, peer, seat, door, seen))
        .await
        .map_err(|_| ConnectionError::Deadline)?
}

async fn shake_hands(
    mut stream: TcpStream,
    id: &ConnectionId,
    peer: PeerAddr,
    mut seat: Seat,
    door: &Door,
    seen: &mut Seen,
) -> Result<Box<EdgeIo>, ConnectionError> {
    // One value for the whole greeting, whatever a reload does meanwhile.
    let settings = door.settings.load();
    let (rules, network) = (&settings.origin, door.network.load());
    let mut owner = Owner::Unknown;
    match &rules.proxy_protocol {
        ProxyProtocol::Required { .. } if !rules.admits(peer, &network) => {
            return Err(ConnectionError::ProxySender);
        }
        ProxyProtocol::Required { .. } => {
            let read = timeout(PROXY_HEADER_WAIT, read_proxy_header(&mut stream)).await;
            let header = read.map_err(|_| ConnectionError::Deadline)??;
            seen.proxy_header = Some(header);
            if let Source::Address(client) = header.source
                && !rules.trusts(client.ip(), &network)
            {
                seat.count_for(client.ip())?;
            }
        }
        ProxyProtocol::Off => {
            // Asked before anything is awaited: the caller may be gone the next moment.
            if matches!(rules.local, LocalRule::Loopback { .. }) && peer.ip().is_loopback() {
                owner = owner::owner(peer, stream.local_addr()?).await;
            }
            // A proxy's connection carries many clients.
            if !rules.trusts(peer.ip(), &network) {
                seat.count_for(peer.ip())?;
            }
            // Not before it is counted: whoever says nothing is listened to for as long as a handshake may take.
            if matches!(rules.local, LocalRule::PublishedLoopback { .. })
                && door.knocks.hear(&stream).await? == Heard::Knock
            {
                return Err(ConnectionError::Knock);
            }
        }
    }
    // Side by side, so that the question adds nothing to the handshake's time.
    let own = stream.local_addr()?.ip();
    let question = async { Ok(whois(peer, own, &settings, &network, door).await) };
    let (Secured { transport, tls, standing }, tailnet) = tokio::try_join!(secure(stream, &settings, door), question)?;
    if tailnet.last().whois() == Whois::Confirmed {
        seat.count_for_node(peer.ip())?;
    }
    let facts = ConnectionFacts {
        id: id.clone(),
        listener: door.settings.clone(),
        peer,
        proxy_header: seen.proxy_header,
        owner,
        tailnet,
        tls,
        tally: door.tally.clone(),
        progress: Progress::default(),
    };
    Ok(Box::new(EdgeIo::new(transport, standing, Arc::new(facts), seat)))
}

/// tailscaled's word on `peer`, who dialled `own`, where it is due.
async fn whois(peer: PeerAddr, own: IpAddr, settings: &Settings, network: &Network, door: &Door) -> PeerWord {
    match &door.tailscale {
        Some(tailscale) if settings.serve == Serve::All && is_whois_due(peer.ip(), &settings.origin, network) => {
            PeerWord::ask(tailscale, peer, own).await
        }
        _ => PeerWord::not_asked(),
    }
}

/// A connection at the end of its handshake.
struct Secured {
    transport: Transport,
    tls: Option<TlsFacts>,
    standing: Option<Box<Standing>>,
}

async fn secure(stream: TcpStream, settings: &Settings, door: &Door) -> Result<Secured, ConnectionError> {
    match protocol(&stream, settings.protocol).await? {
        Protocol::Https => {
            let tls = door.tls.as_ref().ok_or(ConnectionError::Unconfigured)?;
            // Before the handshake: what changes meanwhile is news to this connection.
            let changes = tls.changes();
            let stream = end_tls(stream, &settings.origin, tls).await?;
            let connection = stream.get_ref().1;
            let facts = tls_facts(connection)?;
            door.tally.shaken(facts.version);
            let shown = connection.peer_certificates().unwrap_or_default();
            let shown = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
            let standing = Some(Box::new(Standing::new(tls.clone(), shown, changes)));
            Ok(Secured { transport: Transport::Tls(Box::new(stream)), tls: Some(facts), standing })
        }
        Protocol::Auto | Protocol::Http => {
            Ok(Secured { transport: Transport::Plain(stream), tls: None, standing: None })
        }
    }
}

/// Reads exactly the header and not a byte more: what is behind it belongs to TLS or HTTP.
async fn read_proxy_header(stream: &mut TcpStream) -> Result<Header, ConnectionError> {
    let mut header = [0; PROXY_V2_BYTES_MAX];
    let mut known = 0_usize;
    loop {
        // A look, not a read: an incomplete header is ours to the last byte, a whole one may have followers.
        let room =
            header.get_mut(known..).filter(|room| !room.is_empty()).ok_or(ConnectionError::ProxyHeaderTooLong)?;
        let seen = stream.peek(room).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = known.saturating_add(seen);
        let decoded = decode(header.get(..end).unwrap_or_default())?;
        let take = match &decoded {
            Decoded::Incomplete => end,
            Decoded::Whole { bytes, .. } => *bytes,
        };
        stream.read_exact(header.get_mut(known..take).unwrap_or_default()).await?;
        match decoded {
            Decoded::Incomplete => known = end,
            Decoded::Whole { header, .. } => return Ok(header),
        }
    }
}

/// The first byte of a TLS handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// What this connection speaks: never [`Protocol::Auto`].
async fn protocol(stream: &TcpStream, configured: Protocol) -> Result<Protocol, ConnectionError> {
    if configured != Protocol::Auto {
        return Ok(configured);
    }
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ if first == [TLS_HANDSHAKE] => Ok(Protocol::Https),
        _ => Ok(Protocol::Http),
    }
}

async fn end_tls(
    stream: TcpStream,
    rules: &origin::Settings,
    tls: &ServerTls,
) -> Result<TlsStream<TcpStream>, ConnectionError> {
    let (config, dialled) = match (&rules.proxy_protocol, stream.local_addr()?.ip()) {
        // A port that is published on the host's loopback was dialled there.
        (ProxyProtocol::Off, own) if rules.local.published_port().is_some() => {
            (tls.dialled(own), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        }
        (ProxyProtocol::Off, own) => (tls.dialled(own), Some(own)),
        (ProxyProtocol::Required { .. }, _) => (tls.forwarded(), None),
    };
    let stream = plain_http::refuse(stream).await?;
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(ConnectionError::Tls)?;
    if !tls.resolver().answers(&start.client_hello(), dialled) {
        let name = start.client_hello().server_name().unwrap_or_default().to_owned();
        let mut stream = start.io;
        // It is only to be told: whether it hears is its own affair.
        let _ = stream.write_all(&UNRECOGNIZED_NAME).await;
        let _ = stream.shutdown().await;
        return Err(ConnectionError::UnknownName(printable(&name, LABEL_CHARS_MAX)));
    }
    start.into_stream(config).await.map_err(handshake_fault)
}

/// A fatal alert of that kind, as a record (RFC 8446 §6.2).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

fn handshake_fault(error: io::Error) -> ConnectionError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    // Only a caller's own certificate is judged here.
    match cause.and_then(ClientCertificateFault::of) {
        Some(unfit) => ConnectionError::ClientCertificate(unfit),
        None => ConnectionError::Tls(error),
    }
}

fn tls_facts(connection: &ServerConnection) -> Result<TlsFacts, ConnectionError> {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        _ => TlsVersion::V1_3,
    };
    let alpn = match connection.alpn_protocol() {
        None => None,
        Some(b"h2") => Some(Alpn::H2),
        Some(b"http/1.1") => Some(Alpn::Http11),
        // `acme-tls/1` ends here: its certificate was the answer.
        Some(_) => return Err(ConnectionError::UnknownAlpn),
    };
    let sni = connection.server_name().map(Host::parse).transpose()?;
    let client = connection.peer_certificates().and_then(|chain| client_auth::claim(chain.first()?));
    Ok(TlsFacts { version, sni, alpn, client })
}
