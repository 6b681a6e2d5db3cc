//! HTTPS to an ACME server: every answer within a time and a size, and with the headers that say when to come back and
//! what time it is there.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::time::timeout;

use crate::base::clock::{Clock, UnixMillis, millis};
use crate::base::limits::{
    ACME_ANSWER_BYTES_MAX, ACME_ANSWER_WAIT, ACME_CHAIN_BYTES_MAX, ACME_CLOCK_SKEW_MAX, ACME_RENEWAL_INFO_PERIOD,
    ACME_RETRY_AFTER_MAX,
};
use crate::certificates::acme::failure::AcmeError;
use crate::certificates::acme::unreachable::Unreachable;
use crate::certificates::provider;
use crate::certificates::root;

/// What a chain is sent as (RFC 8555 §9.1).
const CHAIN: &[u8] = b"application/pem-certificate-chain";

type Https = Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

/// A client of one directory.
#[derive(Clone)]
pub struct Wire {
    https: Https,
    clock: Clock,
    heard: Arc<Mutex<Heard>>,
}

/// What answers said beside their bodies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Heard {
    /// How far its clock is ahead of ours, in milliseconds; negative when behind.
    pub ahead: Option<i64>,
    /// When it would have the question again that its last answer was to; never more than the limit.
    pub come_back: Option<Duration>,
    /// The same, where the answer was a refusal: until then it would be left alone.
    pub retry_after: Option<Duration>,
    /// The status of its last answer.
    pub status: Option<u16>,
}

impl Wire {
    /// For a directory that shows a certificate of one of the roots in `root_file`, or else of those that browsers have.
    ///
    /// # Errors
    /// When the file holds no roots.
    pub fn new(root_file: Option<&Path>, clock: Clock) -> Result<Self, AcmeError> {
        let builder = HttpsConnectorBuilder::new();
        let builder = match root_file {
            Some(file) => {
                let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
                let config = config.map_err(AcmeError::Tls)?;
                builder.with_tls_config(
                    config.with_root_certificates(root::read(file).map_err(AcmeError::RootFile)?).with_no_client_auth(),
                )
            }
            None => builder.with_provider_and_webpki_roots(provider()).map_err(AcmeError::Tls)?,
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(ACME_ANSWER_WAIT));
        let connector = builder.https_only().enable_http1().wrap_connector(tcp);
        // No connection is kept: the next question may be weeks away.
        let https = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Ok(Self { https, clock, heard: Arc::default() })
    }

    /// Looks at a directory, for what time it is there.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn look(&self, directory: &str) -> Result<(), AcmeError> {
        let request = Request::builder().uri(directory).body(BodyWrapper::default());
        // Never: the configuration takes nothing but urls.
        let request = request.map_err(|error| Unreachable::Strange(error.to_string()))?;
        self.request(request).await.map(drop).map_err(|error| AcmeError::of(error, None))
    }

    /// A clock that is far from the CA's is not believed: nothing is ordered by it.
    ///
    /// # Errors
    /// [`AcmeError::Clock`].
    pub fn check_clock(&self) -> Result<(), AcmeError> {
        let most = millis(ACME_CLOCK_SKEW_MAX);
        let ours = self.clock.now();
        match self.heard().ahead {
            Some(ahead) if ahead.saturating_abs() > most => {
                Err(AcmeError::Clock { ours, theirs: Some(ours.plus(ahead)) })
            }
            _ => Ok(()),
        }
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (https, clock, heard) = (self.https.clone(), self.clock.clone(), Arc::clone(&self.heard));
        let asked = request.method().clone();
        Box::pin(async move {
            let answered = timeout(ACME_ANSWER_WAIT, ask(&https, request)).await;
            let response = answered.unwrap_or(Err(Unreachable::Silent)).map_err(|error| Error::Other(error.into()))?;
            let said = hear(response.status().as_u16(), response.headers(), clock.now());
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = said;
            Ok(BytesResponse::from(bounded(response, said, &asked)))
        })
    }
}

async fn ask(https: &Https, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, Unreachable> {
    let asked = request.method().clone();
    let response = https.request(request).await.map_err(|error| Unreachable::of(&error))?;
    let (head, body) = response.into_parts();
    let is_chain = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(CHAIN));
    let most = if is_chain { ACME_CHAIN_BYTES_MAX } else { ACME_ANSWER_BYTES_MAX };
    let body = Limited::new(body, most).collect().await.map_err(|_| Unreachable::BrokenOff)?;
    let body = body.to_bytes();
    if asked == Method::GET && !has_addresses(&body) {
        return Err(Unreachable::Strange("its directory names what is no https url".to_owned()));
    }
    Ok(Response::from_parts(head, Full::new(body)))
}

/// An answer with a Retry-After that the library can add to the time as it is, however large a number was sent.
fn bounded(mut response: Response<Full<Bytes>>, said: Heard, asked: &Method) -> Response<Full<Bytes>> {
    response.headers_mut().remove(RETRY_AFTER);
    // Only a directory and what is said of a renewal are asked for by GET; the latter must say when to come back.
    let default = (asked == Method::GET).then_some(ACME_RENEWAL_INFO_PERIOD);
    if let Some(wait) = said.come_back.or(default) {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
    }
    response
}

/// Whether a directory, if this is one, names addresses: the library takes its word for it.
fn has_addresses(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Directory {
        new_account: Option<String>,
        new_nonce: Option<String>,
        new_order: Option<String>,
    }
    let Ok(directory) = serde_json::from_slice::<Directory>(body) else { return true };
    let is_https = |text: &String| text.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https"));
    [directory.new_account, directory.new_nonce, directory.new_order].iter().flatten().all(is_https)
}

fn hear(status: u16, headers: &HeaderMap, now: UnixMillis) -> Heard {
    let date = |text: &str| {
        let time = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(UnixMillis(i64::try_from(time.as_millis()).ok()?))
    };
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).map(str::trim);
    // RFC 9110 §10.2.3: seconds, or a date.
    let wait = |text: &str| match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => u64::try_from(date(text)?.since(now)).ok().map(Duration::from_millis),
    };
    let come_back = text(RETRY_AFTER).and_then(wait).map(|wait| wait.min(ACME_RETRY_AFTER_MAX));
    Heard {
        ahead: text(DATE).and_then(date).map(|theirs| theirs.since(now)),
        come_back,
        retry_after: come_back.filter(|_| status >= 400),
        status: Some(status),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_refusal_says_when_to_come_back_in_either_form() {
        // 2026-11-21T00:00:00Z.
        let now = UnixMillis(1_795_219_200_000);
        for (status, text, seconds) in [
            (429, "86400", Some(86_400)),
            (503, " 5 ", Some(5)),
            (503, "Sat, 21 Nov 2026 00:02:00 GMT", Some(120)),
            (503, "Fri, 20 Nov 2026 00:02:00 GMT", None),
            (503, "-5", None),
            (503, "99999999999999999999999", None),
            (503, "soon", None),
            (200, "5", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(hear(status, &headers, now).retry_after, expected, "{status} {text}");
        }
    }

    #[test]
    fn no_number_of_a_ca_reaches_the_library_and_no_directory_without_addresses() {
        let now = UnixMillis(1_795_219_200_000);
        for (text, asked, expected) in [
            (Some("18446744073709551615"), Method::POST, Some("604800")),
            (Some("Fri, 31 Dec 9999 23:59:59 GMT"), Method::POST, Some("604800")),
            (Some("7"), Method::POST, Some("7")),
            (Some("99999999999999999999999"), Method::POST, None),
            (None, Method::POST, None),
            (None, Method::GET, Some("21600")),
        ] {
            let headers = text.map(|text| (RETRY_AFTER, HeaderValue::from_static(text)));
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.headers_mut() = HeaderMap::from_iter(headers);
            let said = hear(200, response.headers(), now);
            let bounded = bounded(response, said, &asked);
            assert_eq!(bounded.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), expected, "{text:?}");
        }
        for (directory, is_one) in [
            ("{\"newNonce\":\"https://ca.example/nonce\"}", true),
            ("{\"newNonce\":\"\"}", false),
            ("{\"newNonce\":\"https://ca.example/\u{1}\"}", true),
            ("{\"newNonce\":\"https://ca.example/ x\"}", false),
            ("{\"newNonce\":\"https://ca.example/n\",\"newOrder\":\"/relative\"}", false),
            ("not json: the library says so", true),
        ] {
            assert_eq!(has_addresses(directory.as_bytes()), is_one, "{directory}");
        }
    }

    #[test]
    fn the_cas_clock_is_read_where_it_is_shown() {
        let now = UnixMillis(1_795_219_200_000);
        let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static("Sat, 21 Nov 2026 02:00:00 GMT"))]);
        assert_eq!(hear(200, &headers, now).ahead, Some(7_200_000));
        assert_eq!(hear(200, &HeaderMap::new(), now).ahead, None);
    }
}
