//! A client of the gateway protocol that signs like the real ones, and may ask for anything.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::caller::Caller;
use super::namespace::Namespace;

const WAIT: Duration = Duration::from_secs(20);

/// The scopes that a dashboard asks for.
pub(crate) const ALL_SCOPES: [&str; 5] =
    ["operator.read", "operator.write", "operator.admin", "operator.approvals", "operator.pairing"];

/// A device: its key is its identity.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    key: SigningKey,
}

impl Device {
    /// One that nobody has seen before.
    pub(crate) fn new() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        Self { key: SigningKey::from_bytes(&seed) }
    }

    /// Lowercase hex of the SHA-256 of its public key.
    pub(crate) fn id(&self) -> String {
        let digest = Sha256::digest(self.key.verifying_key().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its public key, as it stands in the store.
    pub(crate) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// What it says of itself in `connect`, signed over this nonce at this time.
    pub(crate) fn claim(&self, ask: &Ask, nonce: &str, at: i64) -> Value {
        let token =
            [&ask.token, &ask.device_token, &ask.setup_code].into_iter().flatten().next().map_or("", String::as_str);
        let (id, scopes) = (self.id(), ask.scopes.join(","));
        let (client, mode) = ask.client;
        let mut payload = format!("{}|{id}|{client}|{mode}|{}|{scopes}|{at}|{token}|{nonce}", ask.payload, ask.role);
        if ask.payload == "v3" {
            payload.push_str(&format!("|{}|", ask.platform.to_ascii_lowercase()));
        }
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(payload.as_bytes()).to_bytes());
        json!({"id": id, "publicKey": self.public_key(), "signature": signature, "signedAt": at, "nonce": nonce})
    }
}

/// What a client asks for in `connect`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) client: (&'static str, &'static str),
    pub(crate) protocol: u32,
    pub(crate) payload: &'static str,
    pub(crate) role: &'static str,
    pub(crate) scopes: Vec<String>,
    pub(crate) token: Option<String>,
    pub(crate) device_token: Option<String>,
    pub(crate) setup_code: Option<String>,
    pub(crate) platform: &'static str,
    pub(crate) headers: Vec<(String, String)>,
}

impl Ask {
    /// A command line that asks for every operator scope with the shared secret.
    pub(crate) fn operator(token: &str) -> Self {
        Self {
            client: ("cli", "cli"),
            protocol: 4,
            payload: "v3",
            role: "operator",
            scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
            token: Some(token.to_owned()),
            device_token: None,
            setup_code: None,
            platform: "linux",
            headers: Vec::new(),
        }
    }

    /// The same, for these scopes only.
    pub(crate) fn with_scopes(self, scopes: &[&str]) -> Self {
        Self { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..self }
    }

    /// The same, with one more request header.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn auth(&self) -> Value {
        let mut auth = serde_json::Map::new();
        for (name, value) in
            [("token", &self.token), ("deviceToken", &self.device_token), ("bootstrapToken", &self.setup_code)]
        {
            if let Some(value) = value {
                auth.insert(name.to_owned(), json!(value));
            }
        }
        Value::Object(auth)
    }
}

/// How a `connect` ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Admitted.
    Hello(Box<Session>),
    /// Refused by the gateway protocol.
    Refused(Refusal),
    /// No WebSocket at all: the HTTP status and body, or 0 and the transport's error.
    NotUpgraded(u16, String),
}

/// The error of `connect` and the close that followed.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Value,
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Outcome {
    /// The session, or a failure that shows what came instead.
    pub(crate) fn hello(self) -> Session {
        match self {
            Self::Hello(session) => *session,
            other => panic!("no hello-ok: {other:#?}"),
        }
    }

    /// The refusal, or a failure that shows what came instead.
    pub(crate) fn refused(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            other => panic!("not refused: {other:#?}"),
        }
    }

    /// The HTTP status in place of a 101, or a failure that shows what came instead.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::NotUpgraded(status, _) => status,
            other => panic!("upgraded: {other:#?}"),
        }
    }
}

/// A WebSocket over whatever carries it.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An admitted client.
pub(crate) struct Session {
    pub(crate) hello: Value,
    pub(crate) socket: Socket,
    calls: u32,
    events: Vec<Value>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:#})", self.hello)
    }
}

impl Session {
    /// Calls a method; its payload, or its error.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.attempt(method, params).await.unwrap_or_else(|close| panic!("{method}: {close:?}"))
    }

    /// Calls a method on a server that may die meanwhile; then its close code and reason are all there is.
    pub(crate) async fn attempt(&mut self, method: &str, params: Value) -> Result<Result<Value, Value>, (u16, String)> {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        let frame = json!({"type": "req", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(frame.to_string())).await.map_err(|error| (1006, error.to_string()))?;
        loop {
            let frame = next_frame(&mut self.socket).await?;
            if frame["type"] == "event" {
                self.events.push(frame);
            } else if frame["id"] == id.as_str() {
                let ok = frame["ok"] == true;
                return Ok(if ok { Ok(frame["payload"].clone()) } else { Err(frame["error"].clone()) });
            }
        }
    }

    /// The payload of the next event of this name, also one that came while a call waited.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        if let Some(at) = self.events.iter().position(|event| event["event"] == name) {
            return self.events.remove(at)["payload"].clone();
        }
        loop {
            let frame = next_frame(&mut self.socket).await.unwrap_or_else(|close| panic!("{name}: {close:?}"));
            if frame["event"] == name {
                return frame["payload"].clone();
            }
            self.events.push(frame);
        }
    }

    /// The names of all events that came while calls waited.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }

    /// The payloads of events of this name that came while calls waited.
    pub(crate) fn heard(&self, name: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == name).map(|event| &event["payload"]).collect()
    }

    /// Says nothing and only hears (and answers pings) until that is over; the socket must stay open.
    pub(crate) async fn listen(&mut self, until: impl Future<Output = ()>) {
        let mut until = std::pin::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return,
                message = self.socket.next() => match message {
                    Some(Ok(Message::Close(close))) => panic!("closed: {close:?}"),
                    Some(Ok(_)) => {}
                    other => panic!("ended: {other:?}"),
                },
            }
        }
    }

    /// Waits until the other side closes; its code and reason.
    pub(crate) async fn closed(mut self) -> (u16, String) {
        loop {
            if let Err(close) = next_frame(&mut self.socket).await {
                return close;
            }
        }
    }

    /// Closes in good order.
    pub(crate) async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }
}

/// Connects as `device`, or as nobody, and reads the verdict.
pub(crate) async fn connect(caller: &Caller, device: Option<&Device>, ask: &Ask) -> Outcome {
    let socket = match upgrade(caller, ask).await {
        Ok(socket) => socket,
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            return Outcome::NotUpgraded(answer.status().as_u16(), String::from_utf8_lossy(body).into_owned());
        }
        Err(error) => return Outcome::NotUpgraded(0, error.to_string()),
    };
    handshake(socket, device, ask).await
}

/// The same over a WebSocket that is open already.
pub(crate) async fn handshake(mut socket: Socket, device: Option<&Device>, ask: &Ask) -> Outcome {
    let challenge = match next_frame(&mut socket).await {
        Ok(frame) => frame["payload"].clone(),
        Err((code, reason)) => return Outcome::Refused(Refusal { error: Value::Null, code, reason }),
    };
    socket.send(Message::text(connect_frame(&challenge, device, ask).to_string())).await.unwrap();
    verdict(socket).await
}

/// The `connect` request that answers `challenge`.
pub(crate) fn connect_frame(challenge: &Value, device: Option<&Device>, ask: &Ask) -> Value {
    let (nonce, at) = (challenge["nonce"].as_str().unwrap(), challenge["ts"].as_i64().unwrap());
    let (id, mode) = ask.client;
    let mut params = json!({
        "minProtocol": ask.protocol, "maxProtocol": ask.protocol, "role": ask.role, "scopes": ask.scopes, "caps": [],
        "client": {"id": id, "version": "2026.9.6", "platform": ask.platform, "mode": mode}, "auth": ask.auth(),
    });
    if let Some(device) = device {
        params["device"] = device.claim(ask, nonce, at);
    }
    json!({"type": "req", "id": "connect", "method": "connect", "params": params})
}

/// Reads what came of a `connect`.
pub(crate) async fn verdict(mut socket: Socket) -> Outcome {
    let answer = match next_frame(&mut socket).await {
        Ok(answer) => answer,
        Err((code, reason)) => return Outcome::Refused(Refusal { error: Value::Null, code, reason }),
    };
    if answer["ok"] == true {
        let hello = answer["payload"].clone();
        return Outcome::Hello(Box::new(Session { hello, socket, calls: 0, events: Vec::new() }));
    }
    let error = answer["error"].clone();
    let (code, reason) = loop {
        if let Err(close) = next_frame(&mut socket).await {
            break close;
        }
    };
    Outcome::Refused(Refusal { error, code, reason })
}

/// [`connect`] from a machine, on a runtime that ends with the verdict: what counts is what was said.
pub(crate) fn call(machine: &Namespace, caller: &Caller, device: &Device, ask: Ask) -> Outcome {
    let (caller, device) = (caller.clone(), device.clone());
    machine.block_on(move || async move { connect(&caller, Some(&device), &ask).await })
}

/// Opens the WebSocket as the caller calls: plain or TLS, with what it says first and the headers it sends.
pub(crate) async fn upgrade(caller: &Caller, ask: &Ask) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/", caller.address()).into_client_request()?;
    for (name, value) in &ask.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    let mut socket = timeout(WAIT, caller.dial()).await.expect("no connection in time")?;
    socket.write_all(caller.preface()).await?;
    let stream: Box<dyn Stream> = match caller.tls() {
        None => Box::new(socket),
        Some(config) => {
            let name = ServerName::IpAddress(caller.address().ip().into());
            Box::new(TlsConnector::from(Arc::clone(&config)).connect(name, socket).await?)
        }
    };
    let config = WebSocketConfig::default().max_frame_size(Some(26_214_400));
    let (socket, _) = timeout(WAIT, client_async_with_config(request, stream, Some(config)))
        .await
        .expect("no answer to the upgrade in time")?;
    Ok(socket)
}

/// The next frame as JSON, or the close code and reason (1006 when the connection just ended).
pub(crate) async fn next_frame(socket: &mut Socket) -> Result<Value, (u16, String)> {
    loop {
        match timeout(WAIT, socket.next()).await.expect("nothing came in time") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(Some(close)))) => return Err((close.code.into(), close.reason.to_string())),
            Some(Ok(Message::Close(None))) => return Err((1005, String::new())),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err((1006, error.to_string())),
            None => return Err((1006, String::new())),
        }
    }
}
