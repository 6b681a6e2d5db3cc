//! Where a JWK Set lies, and one look at it: bounded in bytes and time, no redirect followed, nothing believed without TLS.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::base::limits::{JWK_SET_BYTES_MAX, JWK_SET_DIAL_WAIT, JWK_SET_FETCH_WAIT};
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::certificates;
use crate::identity::provider::keys::{KeySet, KeySetError};

/// Where a set lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// On this machine.
    File(PathBuf),
    /// At its issuer's.
    Https {
        /// Where.
        url: HttpsUrl,
        /// The certificates to go by, in PEM; else those of this machine.
        root_file: Option<PathBuf>,
    },
}

impl Place {
    /// Looks once.
    pub(super) async fn read(&self) -> Result<KeySet, PlaceError> {
        let bytes = match self {
            Self::File(path) => {
                let path = path.clone();
                Bytes::from(spawn_blocking(move || read_file(&path, JWK_SET_BYTES_MAX)).await??)
            }
            Self::Https { url, root_file } => {
                let fetched = timeout(JWK_SET_FETCH_WAIT, fetch(url, root_file.clone())).await;
                fetched.unwrap_or(Err(PlaceError::Deadline))?
            }
        };
        Ok(KeySet::parse(&bytes)?)
    }
}

impl Place {
    /// Looks at what lies on this machine, and asks nobody else.
    ///
    /// # Errors
    /// What a look would fail by, as far as it shows here.
    pub fn judge(&self) -> Result<(), PlaceError> {
        match self {
            Self::File(path) => Ok(KeySet::parse(&read_file(path, JWK_SET_BYTES_MAX)?).map(drop)?),
            Self::Https { root_file, .. } => roots(root_file.as_deref()).map(drop),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Https { url, .. } => url.fmt(f),
        }
    }
}

/// An https address without user, password and fragment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpsUrl(Uri);

impl HttpsUrl {
    /// Reads one.
    ///
    /// # Errors
    /// [`UrlFault`] when it is none.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let uri: Uri = text.parse().map_err(|_| UrlFault)?;
        let is_plain = !text.contains(['@', '#']) && uri.host().is_some_and(|host| !host.is_empty());
        (is_plain && uri.scheme_str() == Some("https")).then_some(Self(uri)).ok_or(UrlFault)
    }

    fn host(&self) -> &str {
        // Never none: `parse` saw one.
        self.0.host().unwrap_or_default()
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not an https address.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an https address")]
pub struct UrlFault;

async fn fetch(url: &HttpsUrl, root_file: Option<PathBuf>) -> Result<Bytes, PlaceError> {
    // Read at each look: what signs certificates changes while we run.
    let roots = spawn_blocking(move || roots(root_file.as_deref())).await??;
    let mut config = ClientConfig::builder_with_provider(certificates::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned())?;
    let stream = dial(host, url.0.port_u16().unwrap_or(443)).await.map_err(PlaceError::Unreachable)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(PlaceError::Tls)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let target = url.0.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.0.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(target).header(HOST, authority).header(ACCEPT, "application/json");
    let request = request.header(USER_AGENT, "doorward").body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(PlaceError::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), JWK_SET_BYTES_MAX).collect().await;
        Ok(body.map_err(|error| PlaceError::Body(error.to_string()))?.to_bytes())
    };
    // The connection is driven here and dies here.
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // All that will come was read from the socket, and the rest is in memory: whether that is a whole answer is the
        // answer's to say. Servers end TLS abruptly after a whole one.
        _ = connection => answer.await,
    }
}

/// The first address of `host` that takes the connection; one that swallows it leaves time for the next.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_host((host, port)).await? {
        match timeout(JWK_SET_DIAL_WAIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// The certificates by which a server is known.
fn roots(file: Option<&Path>) -> Result<RootCertStore, PlaceError> {
    if let Some(file) = file {
        return certificates::root::read(file).map_err(PlaceError::RootFile);
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // One that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(PlaceError::NoRoots) } else { Ok(roots) }
}

/// A file in which nobody but us and root can put other keys.
fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, PlaceError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    let file = private_file::open_unwritable(path)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|cause| fail(Fault::Io(cause)))?;
    if bytes.len() > bytes_max { Err(PlaceError::TooLarge) } else { Ok(bytes) }
}

/// Why a set was not had. The operator's to mend, or its issuer's.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// The answer broke off, or is larger than any set.
    #[error("answer unreadable: {0}")]
    Body(String),
    /// It broke off: a fault of ours.
    #[error("the look broke off: {0}")]
    Broken(#[from] JoinError),
    /// Not in time.
    #[error("no answer in time")]
    Deadline,
    /// The file.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Not HTTP.
    #[error("not http: {0}")]
    Http(#[from] hyper::Error),
    /// A host that no certificate can be for.
    #[error("no name of a server: {0}")]
    Name(#[from] InvalidDnsNameError),
    /// This machine knows no certificates to go by.
    #[error("this machine has no root certificates")]
    NoRoots,
    /// Another status than 200: no redirect is followed.
    #[error("refused: {0}")]
    Refused(StatusCode),
    /// The question cannot be written.
    #[error("unwritable request: {0}")]
    Request(#[from] http::Error),
    /// The file of root certificates.
    #[error(transparent)]
    RootFile(PrivateFileError),
    /// Not a set to go by.
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// TLS, the server's certificate included.
    #[error("tls: {0}")]
    Tls(io::Error),
    /// TLS cannot be set up: a fault of ours.
    #[error("tls: {0}")]
    TlsSettings(#[from] rustls::Error),
    /// Larger than any.
    #[error("larger than {JWK_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
}

impl PlaceError {
    /// What to do about it.
    pub fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::File(error) | Self::RootFile(error) => return Cow::Owned(error.operators_hint()),
            Self::TooLarge => "does `keys_file` name the issuer's JWK Set, readable for this user?",
            Self::Name(_) | Self::Body(_) | Self::Http(_) | Self::Request(_) => {
                "does `keys_url` name the issuer's JWK Set?"
            }
            Self::NoRoots => "install ca-certificates, or name the issuer's root in `root_file`",
            Self::Refused(_) => {
                "open `keys_url` in a browser: it must answer 200 itself, and redirects are not followed"
            }
            Self::Set(_) => "the issuer must show an RS256, ES256 or Ed25519 key as a JWK Set (RFC 7517) there",
            Self::Tls(_) => "if its certificate is from a CA of your own, name that CA's certificate in `root_file`",
            Self::Broken(_) | Self::TlsSettings(_) => "please report it",
            Self::Deadline | Self::Unreachable(_) => "can this machine reach it? `curl` asks the same",
        })
    }
}
