//! How one listener ends TLS: versions, cryptography, tickets of its own, and the certificate for what was dialled.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

use crate::certificates::resolver::{Dialled, Resolver};
use crate::certificates::{CertificateError, provider};

/// One listener's end of TLS; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
}

impl ServerTls {
    /// TLS 1.2 and 1.3, the certificates of `resolver`, `alpn` in order of preference, no early data, and tickets that
    /// only this listener can read.
    ///
    /// # Errors
    /// When the kernel gives no random bytes for the ticketer.
    pub fn new(resolver: Arc<Resolver>, alpn: &[&str]) -> Result<Self, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(CertificateError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&resolver) as _);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(CertificateError::Tls)?;
        // Stateless tickets only: a session cache would grow with strangers.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), resolver })
    }

    /// For a connection whose other end was reached through somebody else: what the caller dialled is not known.
    pub fn forwarded(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// For a connection whose own end has `address`: a caller that sends no name dialled that.
    pub fn dialled(&self, address: IpAddr) -> Arc<ServerConfig> {
        let resolver = Dialled { address, resolver: Arc::clone(&self.resolver) };
        // Some pointers: small beside the handshake. The tickets stay the listener's own.
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(resolver);
        Arc::new(config)
    }
}
