//! A listener on a loopback port, with a certificate and a client that trusts it: for the tests here and of the edge.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::accept::{Serve, accept};
use super::caps::{Caps, Limits};
use super::connection::Door;
use super::live::Live;
use super::{Protocol, Settings, bind};
use crate::base::clock::Clock;
use crate::base::limits::IDLE_WAIT;
use crate::certificates::server_tls::ServerTls;
use crate::certificates::{self, Certificates};
use crate::net::host::Host;
use crate::origin;

/// Longer than anything here may take, on a clock that stands too.
const WAIT: Duration = IDLE_WAIT.saturating_mul(2);

/// A listener and what it takes to call it.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) caps: Caps,
    authority: CertificateDer<'static>,
    _closing: watch::Sender<bool>,
    _state: TempDir,
}

impl Rig {
    /// Listens, with what `service` makes of the news that the listener closes.
    pub(crate) fn start<S: Serve>(
        protocol: Protocol,
        origin: origin::Settings,
        limits: Limits,
        service: impl FnOnce(watch::Receiver<bool>) -> S,
    ) -> Self {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("certs");
        let names = ["claw.example.com", "claw.local"].map(|name| Host::parse(name).unwrap()).into();
        let files = certificates::Settings { names, state_dir: state.path().into(), dir, ..Default::default() };
        let certificates = Certificates::open(files, Clock::system().now()).unwrap();
        let tls = Some(ServerTls::new(certificates.resolver(), &["h2", "http/1.1", "acme-tls/1"]).unwrap());
        let authority = CertificateDer::from_pem_slice(certificates.ca_pem().as_bytes()).unwrap();
        let bind = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let settings = Settings { name: "test".to_owned(), bind, protocol, serve: super::Serve::All, origin };
        let mut bound = bind::bind(&settings.bind, 1).unwrap().remove(0);
        let socket = TcpListener::from_std(bound.sockets.remove(0)).unwrap();
        let caps = Caps::new(limits);
        let (closing, closed) = watch::channel(false);
        let door = Door { tls, ..Door::plain(Live::new(settings)) };
        tokio::spawn(accept(socket, door, caps.clone(), service(closed.clone()), closed));
        Self { address: bound.address, caps, authority, _closing: closing, _state: state }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Shakes hands on `stream` as a client that trusts this listener alone.
    pub(crate) async fn tls(
        &self,
        stream: TcpStream,
        name: &'static str,
        alpn: &[u8],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(certificates::provider());
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
    }

    /// Waits until nobody is connected.
    pub(crate) async fn idle(&self) {
        timeout(WAIT, self.caps.idle()).await.expect("somebody stays connected");
    }

    /// Sends `bytes` on a new connection and reads to its end.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(&mut stream).await
    }
}

/// What comes until the connection ends; a reset is an end too, and what came before it counts.
pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = timeout(WAIT, stream.read_to_end(&mut answer)).await.expect("the connection does not end");
    answer
}

impl Door {
    /// Of a plain listener, with nothing beside its settings.
    pub(crate) fn plain(settings: Live) -> Self {
        let (network, knocks, tally) = Default::default();
        Self { settings, network, knocks, tls: None, tailscale: None, tally }
    }
}
