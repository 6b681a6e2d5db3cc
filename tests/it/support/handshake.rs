//! A caller who looks closely at TLS: which certificate is shown to whom, whether a ticket is taken, what a
//! certificate of his own is worth.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::authority::Pair;

const WAIT: Duration = Duration::from_secs(15);

/// A TLS client with its memory of sessions.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<ClientConfig>);

/// What came of a handshake and one request.
#[derive(Debug)]
pub(crate) struct Shaken {
    /// The certificates that were shown, the leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) kind: HandshakeKind,
    /// The whole answer, head and body.
    pub(crate) answer: String,
}

/// Which versions a client speaks.
pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

impl Client {
    /// Trusts these authorities, in PEM.
    pub(crate) fn trusting(authorities: &str) -> Self {
        Self::with(authorities, None, BOTH)
    }

    /// The same with a certificate of its own.
    pub(crate) fn showing(authorities: &str, own: &Pair) -> Self {
        Self::with(authorities, Some(own), BOTH)
    }

    pub(crate) fn with(authorities: &str, own: Option<&Pair>, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = config.with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => own.shown_by(config),
        };
        Self(Arc::new(config))
    }

    /// How it speaks.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// Without a word about the name it wants.
    pub(crate) fn nameless(mut self) -> Self {
        Arc::make_mut(&mut self.0).enable_sni = false;
        self
    }

    /// Calls `address` as `name` and asks for `/healthz`, which any Host gets.
    pub(crate) fn shake(&self, address: &str, name: &str) -> io::Result<Shaken> {
        self.get(address, name, "/healthz", &[])
    }

    /// Calls `address` as `name` and asks for `path`.
    pub(crate) fn get(&self, address: &str, name: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Shaken> {
        let address: SocketAddr = address.parse().unwrap();
        let host = name.parse::<IpAddr>().map_or_else(|_| name.to_owned(), |_| address.to_string());
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.0), server).map_err(io::Error::other)?;
        let socket = TcpStream::connect_timeout(&address, WAIT)?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.set_write_timeout(Some(WAIT))?;
        let mut stream = StreamOwned::new(connection, socket);
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host =
            if headers.iter().any(|(name, _)| *name == "Host") { String::new() } else { format!("Host: {host}\r\n") };
        write!(stream, "GET {path} HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
            other => drop(other?),
        }
        Ok(Shaken {
            chain: stream
                .conn
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|der| der.clone().into_owned())
                .collect(),
            kind: stream.conn.handshake_kind().unwrap(),
            answer: String::from_utf8_lossy(&answer).into_owned(),
        })
    }
}

impl Shaken {
    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{}", self.answer))
    }

    /// Whether the leaf is this pair's.
    pub(crate) fn shows(&self, pair: &Pair) -> bool {
        self.chain.first() == Some(&CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap())
    }

    /// The value of a header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.answer.split("\r\n\r\n").next().unwrap_or_default();
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }
}
