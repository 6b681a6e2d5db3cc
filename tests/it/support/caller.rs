//! A caller of HTTP who may say anything: any header, any bytes before the TLS handshake or the request.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpSocket;

use super::namespace::Namespace;

const WAIT: Duration = Duration::from_secs(15);

/// Where to call, and how.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    address: SocketAddr,
    trust: Trust,
    preface: Vec<u8>,
    from: Option<IpAddr>,
}

/// How it speaks TLS, if it does.
#[derive(Clone, Debug)]
enum Trust {
    Authority(String),
    Blind,
    Configured(Arc<ClientConfig>),
    Plain,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Caller {
    /// Calls in plain HTTP.
    pub(crate) fn plain(address: &str) -> Self {
        Self { address: address.parse().unwrap(), trust: Trust::Plain, preface: Vec::new(), from: None }
    }

    /// Calls over TLS and trusts only this authority, in PEM.
    pub(crate) fn trusting(address: &str, authority: &str) -> Self {
        Self { trust: Trust::Authority(authority.to_owned()), ..Self::plain(address) }
    }

    /// Calls over TLS as this configuration says.
    pub(crate) fn speaking(address: &str, config: Arc<ClientConfig>) -> Self {
        Self { trust: Trust::Configured(config), ..Self::plain(address) }
    }

    /// Calls over TLS and believes any certificate, as one who asks only how he is seen.
    pub(crate) fn blind(address: &str) -> Self {
        Self { trust: Trust::Blind, ..Self::plain(address) }
    }

    /// Sends these bytes before anything else, as one who speaks the PROXY protocol does.
    pub(crate) fn with_preface(self, preface: &[u8]) -> Self {
        Self { preface: preface.to_vec(), ..self }
    }

    /// Calls from this address of its machine.
    pub(crate) fn from(self, from: IpAddr) -> Self {
        Self { from: Some(from), ..self }
    }

    /// A connection from where it calls.
    pub(crate) async fn dial(&self) -> io::Result<tokio::net::TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = self.from {
            socket.bind((from, 0).into())?;
        }
        socket.connect(self.address).await
    }

    /// A GET from that machine, which must be answered.
    pub(crate) fn get_on(&self, machine: &Namespace, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (caller, path) = (self.clone(), path.to_owned());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        machine.on(move || {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            caller.get(&path, &headers).unwrap()
        })
    }

    /// One GET, its `Host` our address unless `headers` hold another; an error if the connection ends without an answer.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        self.ask(&format!("GET {path}"), headers, b"")
    }

    /// One request, `what` its method and target, with this body, if it has one.
    pub(crate) fn ask(&self, what: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut request = format!("{what} HTTP/1.1\r\nConnection: close\r\n");
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let request = [request.as_bytes(), body].concat();

        let mut socket = self.connect()?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.set_write_timeout(Some(WAIT))?;
        socket.write_all(&self.preface)?;
        let answer = match self.tls() {
            None => exchange(socket, &request)?,
            Some(config) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                let client = ClientConnection::new(config, name).map_err(io::Error::other)?;
                exchange(StreamOwned::new(client, socket), &request)?
            }
        };
        parsed(&answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.connect_timeout(&self.address.into(), WAIT)?;
        Ok(socket.into())
    }

    /// What `/doorward/whoami` says of this caller.
    pub(crate) fn whoami(&self, headers: &[(&str, &str)]) -> Value {
        let answer = self.get("/doorward/whoami", headers).unwrap_or_else(|error| panic!("{self:?}: {error}"));
        assert_eq!(answer.status, 200, "{}\n{}", answer.head, answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
    }

    /// The address it dials.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says before anything else.
    pub(crate) fn preface(&self) -> &[u8] {
        &self.preface
    }

    /// How it speaks TLS, if it does.
    pub(crate) fn tls(&self) -> Option<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let authority = match &self.trust {
            Trust::Plain => return None,
            Trust::Configured(config) => return Some(Arc::clone(config)),
            Trust::Blind => {
                let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Blind(provider)));
                return Some(Arc::new(config.with_no_client_auth()));
            }
            Trust::Authority(authority) => authority,
        };
        Some(Arc::new(config.with_root_certificates(roots(authority)).with_no_client_auth()))
    }
}

/// Takes any certificate, but checks that its key signed the handshake.
#[derive(Debug)]
struct Blind(Arc<CryptoProvider>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Sends the request and reads until the other side ends.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server may end without close_notify once it has said everything.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        other => drop(other?),
    }
    Ok(answer)
}

fn parsed(answer: &[u8]) -> io::Result<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Ok(Answer { status, head: head.to_owned(), body })
}

fn unchunked(body: &str) -> String {
    let mut lines = body.split("\r\n");
    let mut whole = String::new();
    while let Some(size) = lines.next() {
        if size == "0" {
            break;
        }
        whole.push_str(lines.next().unwrap_or_default());
    }
    whole
}

/// The only authority that is trusted, from its PEM.
pub(crate) fn roots(authority: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    Arc::new(roots)
}
