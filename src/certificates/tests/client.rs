//! A client in memory that trusts only what it is given.

use std::io::{Read, Write};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
    SupportedProtocolVersion,
};

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

/// The same for `name`, or why nothing is.
pub(super) fn serial_for(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<String, String> {
    let connection = shake_hands(client, server, name)?;
    Ok(x509::parse(&connection.peer_certificates().unwrap()[0]).unwrap().raw_serial_as_string())
}

/// One that trusts no root.
pub(super) fn trusting_nobody() -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).unwrap();
    Arc::new(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The names in the certificate that is shown to whoever sends no name.
pub(super) fn names_shown(server: &Arc<ServerConfig>) -> String {
    names_of(server, None)
}

/// The same for a caller that sends `name`.
pub(super) fn names_shown_for(server: &Arc<ServerConfig>, name: &str) -> String {
    names_of(server, Some(name))
}

fn names_of(server: &Arc<ServerConfig>, name: Option<&str>) -> String {
    let mut config = Arc::unwrap_or_clone(trusting_nobody());
    let shown = Arc::new(Looking::default());
    config.enable_sni = name.is_some();
    config.dangerous().set_certificate_verifier(Arc::clone(&shown) as _);
    let config = Arc::new(config);
    let _ = shake_hands(&config, server, name.unwrap_or("x.example"));
    let der = shown.0.lock().unwrap().clone();
    x509::Names::of(&x509::parse(&der).unwrap()).to_string()
}

/// Looks at what is shown, and refuses it.
#[derive(Debug, Default)]
struct Looking(std::sync::Mutex<Vec<u8>>);

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = end_entity.to_vec();
        Err(rustls::Error::General("only looking".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only looking".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
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
