//! A client in memory that trusts only what it is given.

use std::io::{Read, Write};
use std::time::Duration;

use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::*;

/// The end of TLS of a listener with these certificates.
pub(super) fn server(certificates: &Certificates, alpn: &[&str]) -> Arc<ServerConfig> {
    ServerTls::new(certificates.resolver(), alpn).unwrap().forwarded()
}

/// A client of this machine and of today.
pub(super) fn client_of(ca_pem: &str) -> Arc<ClientConfig> {
    client_with(ca_pem, &[&TLS13])
}

/// One that speaks only `versions`.
pub(super) fn client_with(ca_pem: &str, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots(ca_pem)).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// One that looks at its clock at `now`.
pub(super) fn client_at(ca_pem: &str, now: UnixMillis) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(At(now)));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap();
    Arc::new(builder.with_root_certificates(roots(ca_pem)).with_no_client_auth())
}

#[derive(Debug)]
struct At(UnixMillis);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.seconds())))
    }
}

fn roots(ca_pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    roots
}

/// The serial number of the certificate that is shown for `localhost`.
pub(super) fn serial_shown(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> String {
    let connection = shake_hands(client, server, "localhost").unwrap();
    x509::parse(&connection.peer_certificates().unwrap()[0]).unwrap().raw_serial_as_string()
}

/// How a client and a server came to trust each other for `name`, or why not.
pub(super) fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<HandshakeKind, String> {
    shake_hands(client, server, name)?.handshake_kind().ok_or_else(|| "no handshake".to_owned())
}

/// Shakes hands and exchanges a word each way, so that tickets arrive.
fn shake_hands(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<ClientConnection, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    client.writer().write_all(b"ping").unwrap();
    let mut said_pong = false;
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets().map_err(|error| format!("{error:?}"))?;
        }
        if !server.is_handshaking() && !said_pong {
            server.writer().write_all(b"pong").unwrap();
            said_pong = true;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets().map_err(|error| format!("{error:?}"))?;
        }
    }
    let mut heard = [0; 4];
    client.reader().read_exact(&mut heard).map_err(|error| error.to_string())?;
    assert_eq!(&heard, b"pong");
    Ok(client)
}
