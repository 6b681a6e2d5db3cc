//! How one listener ends TLS: versions, cryptography, tickets of its own, the certificate for what was dialled, and whose
//! certificate it asks for.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use tokio::sync::watch;

use crate::certificates::client_auth::{self, ClientAuth, ClientCertificateFault};
use crate::certificates::resolver::{Dialled, Resolver};
use crate::certificates::{CertificateError, provider};

/// One listener's end of TLS; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    end: Arc<ArcSwap<End>>,
    changes: Arc<watch::Sender<()>>,
    resolver: Arc<Resolver>,
}

/// What its next handshakes go by.
#[derive(Debug)]
pub(super) struct End {
    config: Arc<ServerConfig>,
    /// Of what callers are asked for, where they are.
    asks: Option<[u8; 32]>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl ServerTls {
    /// TLS 1.2 and 1.3, the certificates of `resolver`, `alpn` in order of preference, no early data, and tickets that
    /// only this listener can read. No certificate is asked for.
    ///
    /// # Errors
    /// When the kernel gives no random bytes for the ticketer.
    pub fn new(resolver: Arc<Resolver>, alpn: &[&str]) -> Result<Self, CertificateError> {
        Self::asking(resolver, alpn, None)
    }

    /// The same; callers are asked for a certificate where `asks` says whose.
    pub(super) fn asking(
        resolver: Arc<Resolver>,
        alpn: &[&str],
        asks: Option<ClientAuth>,
    ) -> Result<Self, CertificateError> {
        let alpn = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let end = Arc::new(ArcSwap::from_pointee(End::new(&resolver, alpn, asks)?));
        Ok(Self { end, changes: Arc::new(watch::Sender::new(())), resolver })
    }

    /// An end that asks callers for a certificate as `asks` says; none where that is asked already. What was agreed with
    /// callers before is not resumed: the tickets are new too.
    pub(super) fn prepare(&self, asks: Option<ClientAuth>) -> Result<Option<Arc<End>>, CertificateError> {
        let end = self.end.load();
        if end.asks == asks.as_ref().map(|asks| asks.digest) {
            return Ok(None);
        }
        End::new(&self.resolver, end.config.alpn_protocols.clone(), asks).map(|end| Some(Arc::new(end)))
    }

    /// Goes by `end` from the next handshake on; open connections are judged again.
    pub(super) fn take(&self, end: Arc<End>) {
        self.end.store(end);
        self.changes.send_replace(());
    }

    /// Tells each time when something else is asked of callers. To be had before the handshake begins.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Judges what a caller has `shown` by what is asked of callers now.
    ///
    /// # Errors
    /// [`ClientCertificateFault`].
    pub fn takes(&self, shown: &[CertificateDer<'_>]) -> Result<(), ClientCertificateFault> {
        let end = self.end.load();
        let Some(verifier) = &end.verifier else { return Ok(()) };
        // The clock of the handshakes. Never an error: it is the system's.
        let now = end.config.time_provider.current_time().ok_or(ClientCertificateFault::NotYet)?;
        client_auth::judge(verifier.as_ref(), shown, now)
    }

    /// Who picks its certificates.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// For a connection whose other end was reached through somebody else: what the caller dialled is not known.
    pub fn forwarded(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.end.load().config)
    }

    /// For a connection whose own end has `address`: a caller that sends no name dialled that.
    pub fn dialled(&self, address: IpAddr) -> Arc<ServerConfig> {
        let resolver = Dialled { address, resolver: Arc::clone(&self.resolver) };
        // Some pointers: small beside the handshake. The tickets stay the listener's own.
        let mut config = ServerConfig::clone(&self.end.load().config);
        config.cert_resolver = Arc::new(resolver);
        Arc::new(config)
    }
}

impl End {
    fn new(resolver: &Arc<Resolver>, alpn: Vec<Vec<u8>>, asks: Option<ClientAuth>) -> Result<Self, CertificateError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(CertificateError::Tls)?;
        let digest = asks.as_ref().map(|asks| asks.digest);
        let is_asking = asks.is_some();
        let verifier = asks.map(|asks| asks.verifier);
        let builder = match &verifier {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(resolver) as _);
        config.alpn_protocols = alpn;
        // All of them are good; scanners and some rules want it to be us who chooses.
        config.ignore_client_order = true;
        // Stateless tickets only: a session cache would grow with strangers.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if is_asking {
            // A ticket would outlive what was checked: the certificate's end, and the list of those taken back.
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(CertificateError::Tls)?;
            config.send_tls13_tickets = 1;
        }
        Ok(Self { config: Arc::new(config), asks: digest, verifier })
    }
}
