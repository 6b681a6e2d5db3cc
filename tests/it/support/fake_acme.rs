//! A fake ACME directory, for what no real CA does on demand: it believes every challenge and checks no signature of a
//! request. Each first part of a path is a CA of its own, with orders and manners of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair, SerialNumber,
};
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::namespace::Namespace;

/// The running fake; it ends when dropped.
pub(crate) struct FakeAcme {
    port: u16,
    folder: TempDir,
    authority: Arc<CertifiedIssuer<'static, KeyPair>>,
    cas: Cas,
    ended: Arc<AtomicBool>,
}

type Cas = Arc<Mutex<BTreeMap<String, Ca>>>;

/// One CA.
#[derive(Default)]
pub(crate) struct Ca {
    pub(crate) manners: Manners,
    pub(crate) orders: Vec<Order>,
    /// What was asked, as `METHOD step`.
    pub(crate) asked: Vec<String>,
    nonces: u32,
}

/// How it behaves.
pub(crate) struct Manners {
    /// Seconds that its certificates live.
    pub(crate) life: i64,
    /// What it says of renewals, by the number of the order; nothing at all while empty.
    pub(crate) renewal: Option<fn(usize) -> Said>,
    /// What it answers at a step instead of what is right.
    pub(crate) instead: BTreeMap<&'static str, Said>,
    /// It holds its answer at this step until it is asked another manner.
    pub(crate) hold: Option<&'static str>,
    /// Nonces that it rejects before it takes one.
    pub(crate) bad_nonces: u32,
    /// The profiles of its directory.
    pub(crate) profiles: &'static [&'static str],
    /// Seconds that its clock is ahead.
    pub(crate) ahead: i64,
    /// It says of each certificate that is to be replaced that it was.
    pub(crate) is_replaced: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            life: 90 * 86_400,
            renewal: None,
            instead: BTreeMap::new(),
            hold: None,
            bad_nonces: 0,
            profiles: &[],
            ahead: 0,
            is_replaced: false,
        }
    }
}

/// An order as it was made.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// What was asked for.
    pub(crate) wanted: Value,
    chain: Option<String>,
    is_proven: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Said {
    /// With this status and body.
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A problem document.
    pub(crate) fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        Self::json(status, &json!({"type": kind, "detail": detail, "status": status}))
    }

    /// A window from so many seconds after now to so many, asked for again every minute.
    pub(crate) fn window(from: i64, to: i64) -> Self {
        let at = |seconds: i64| date(OffsetDateTime::now_utc() + time::Duration::seconds(seconds));
        let body =
            json!({"suggestedWindow": {"start": at(from), "end": at(to)}, "explanationURL": "https://ca.example/why"});
        Self::json(200, &body).with("Retry-After", "60")
    }

    /// With a header more.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string())
    }
}

impl FakeAcme {
    /// Starts it on a free port of this machine.
    pub(crate) fn start(machine: &Namespace) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = Arc::new(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap());
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &*authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap());
        let folder = tempfile::Builder::new().prefix("fake-acme-").tempdir().unwrap();
        std::fs::write(folder.path().join("root.crt"), authority.pem()).unwrap();
        let listener = machine.on(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        let (cas, ended) = (Cas::default(), Arc::new(AtomicBool::new(false)));
        let fake = Self { port, folder, authority, cas, ended };
        let (cas, ended, authority) = (Arc::clone(&fake.cas), Arc::clone(&fake.ended), Arc::clone(&fake.authority));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (cas, config, authority) = (Arc::clone(&cas), Arc::clone(&config), Arc::clone(&authority));
                // A caller that goes away is no fault of the fake.
                std::thread::spawn(move || drop(converse(socket, config, &cas, &authority, port)));
            }
        });
        fake
    }

    /// The directory of one of its CAs.
    pub(crate) fn directory(&self, ca: &str) -> String {
        format!("https://127.0.0.1:{}/{ca}/directory", self.port)
    }

    /// The file with the root that everything here leads to.
    pub(crate) fn root_file(&self) -> String {
        self.folder.path().join("root.crt").to_str().unwrap().to_owned()
    }

    /// That root, in PEM.
    pub(crate) fn root(&self) -> String {
        self.authority.pem()
    }

    /// One of its CAs, to be looked at or told something. It answers nobody meanwhile.
    pub(crate) fn ca<T>(&self, name: &str, look: impl FnOnce(&mut Ca) -> T) -> T {
        look(lock(&self.cas).entry(name.to_owned()).or_default())
    }

    /// The orders that were made at one of its CAs.
    pub(crate) fn orders(&self, name: &str) -> usize {
        self.ca(name, |ca| ca.orders.len())
    }

    /// How often a step was asked for.
    pub(crate) fn asked(&self, name: &str, step: &str) -> usize {
        self.ca(name, |ca| ca.asked.iter().filter(|asked| *asked == step).count())
    }
}

impl Drop for FakeAcme {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn lock(cas: &Cas) -> MutexGuard<'_, BTreeMap<String, Ca>> {
    cas.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn converse(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    cas: &Cas,
    authority: &CertifiedIssuer<'static, KeyPair>,
    port: u16,
) -> std::io::Result<()> {
    let stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(':') {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap()
            }
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(sent["payload"].as_str().unwrap_or_default()).unwrap_or_default();
    let payload = serde_json::from_slice(&payload).unwrap_or_default();
    let mut parts = path.split('/').skip(1).map(str::to_owned);
    let (name, step, rest) = (parts.next(), parts.next(), parts.next());
    let (name, step) = (name.unwrap_or_default(), step.unwrap_or_default());
    lock(cas).entry(name.clone()).or_default().asked.push(step.clone());
    while lock(cas).get(&name).is_some_and(|ca| ca.manners.hold == Some(step.as_str())) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let base = format!("https://127.0.0.1:{port}/{name}");
    let said = lock(cas).entry(name).or_default().answer(&method, &step, rest.as_deref(), &payload, &base, authority);
    let mut head =
        format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n", said.status, said.body.len());
    for (name, value) in &said.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if method != "HEAD" {
        stream.write_all(&said.body)?;
    }
    stream.conn.send_close_notify();
    stream.flush()
}

impl Ca {
    fn answer(
        &mut self,
        method: &str,
        step: &str,
        rest: Option<&str>,
        payload: &Value,
        base: &str,
        authority: &CertifiedIssuer<'static, KeyPair>,
    ) -> Said {
        self.nonces += 1;
        let date = httpdate_of(OffsetDateTime::now_utc() + time::Duration::seconds(self.manners.ahead));
        let (nonce, link) = (format!("nonce-{}", self.nonces), format!("<{base}/directory>;rel=\"index\""));
        let said = match self.manners.instead.get(step) {
            Some(said) => said.clone(),
            None if method == "POST" && self.manners.bad_nonces > 0 => {
                self.manners.bad_nonces -= 1;
                Said::problem(400, "badNonce", "another one")
            }
            None => self.right(step, rest, payload, base, authority),
        };
        said.with("Date", &date).with("Replay-Nonce", &nonce).with("Link", &link)
    }

    fn right(
        &mut self,
        step: &str,
        rest: Option<&str>,
        payload: &Value,
        base: &str,
        authority: &CertifiedIssuer<'static, KeyPair>,
    ) -> Said {
        let number: usize = rest.and_then(|rest| rest.split('-').next()?.parse().ok()).unwrap_or(0);
        match step {
            "directory" => {
                let mut directory = json!({
                    "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"),
                    "newOrder": format!("{base}/new-order"), "revokeCert": format!("{base}/revoke"),
                    "keyChange": format!("{base}/key-change"),
                });
                if self.manners.renewal.is_some() {
                    directory["renewalInfo"] = format!("{base}/renewal-info").into();
                }
                let profiles = self.manners.profiles.iter().map(|name| ((*name).to_owned(), "of this fake".into()));
                directory["meta"] = json!({"profiles": Value::Object(profiles.collect())});
                Said::json(200, &directory)
            }
            "nonce" => Said::new(200, ""),
            "account" => Said::json(201, &json!({"status": "valid"})).with("Location", &format!("{base}/account/1")),
            "new-order" if self.manners.is_replaced && payload.get("replaces").is_some() => {
                Said::problem(409, "alreadyReplaced", "by another order")
            }
            "new-order" => {
                self.orders.push(Order { wanted: payload.clone(), chain: None, is_proven: false });
                let number = self.orders.len() - 1;
                let order = Said::json(201, &self.order(number, base));
                order.with("Location", &format!("{base}/order/{number}"))
            }
            "order" => Said::json(200, &self.order(number, base)),
            "authorization" | "challenge" => {
                self.orders[number].is_proven |= step == "challenge";
                let status = if self.orders[number].is_proven { "valid" } else { "pending" };
                let challenge = json!({"type": "http-01", "url": format!("{base}/challenge/{number}-0"),
                    "status": status, "token": "a-token-of-twenty-characters"});
                match step {
                    "challenge" => Said::json(200, &challenge),
                    _ => Said::json(
                        200,
                        &json!({"status": status, "challenges": [challenge],
                        "identifier": self.orders[number].wanted["identifiers"][0]}),
                    ),
                }
            }
            "finalize" => {
                let request = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap()).unwrap();
                self.orders[number].chain = Some(signed(request, self.manners.life, number, authority));
                Said::json(200, &self.order(number, base))
            }
            "certificate" => {
                let chain = self.orders[number].chain.clone().unwrap_or_default();
                Said::new(200, chain).with("Content-Type", "application/pem-certificate-chain")
            }
            "renewal-info" => {
                // The serial number is that of the order.
                let serial = rest.and_then(|rest| rest.split_once('.')).map(|(_, serial)| serial).unwrap_or_default();
                let serial = URL_SAFE_NO_PAD.decode(serial).unwrap_or_default();
                let number = usize::from(serial.last().copied().unwrap_or_default()) - 1;
                self.manners.renewal.map_or_else(|| Said::new(404, ""), |renewal| renewal(number))
            }
            _ => Said::problem(404, "malformed", "no such step"),
        }
    }

    fn order(&self, number: usize, base: &str) -> Value {
        let order = &self.orders[number];
        let status = match (&order.chain, order.is_proven) {
            (Some(_), _) => "valid",
            (None, true) => "ready",
            (None, false) => "pending",
        };
        let mut shown = order.wanted.clone();
        shown["status"] = status.into();
        shown["authorizations"] = json!([format!("{base}/authorization/{number}-0")]);
        shown["finalize"] = format!("{base}/finalize/{number}").into();
        if order.chain.is_some() {
            shown["certificate"] = format!("{base}/certificate/{number}").into();
        }
        shown
    }
}

/// A certificate as `request` wants it, and the root above it.
fn signed(request: Vec<u8>, life: i64, number: usize, authority: &CertifiedIssuer<'static, KeyPair>) -> String {
    let mut request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request)).unwrap();
    let now = OffsetDateTime::now_utc();
    (request.params.not_before, request.params.not_after) = (now, now + time::Duration::seconds(life));
    request.params.serial_number = Some(SerialNumber::from(u64::try_from(number).unwrap() + 1));
    request.params.use_authority_key_identifier_extension = true;
    format!("{}{}", request.signed_by(authority).unwrap().pem(), authority.pem())
}

fn date(at: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.format(&format).unwrap()
}

fn httpdate_of(at: OffsetDateTime) -> String {
    httpdate::fmt_http_date(at.into())
}
