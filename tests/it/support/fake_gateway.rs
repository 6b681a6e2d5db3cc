//! A gateway that does what a test says: speaks the protocol as far as a bridge sees it, and notes what reaches it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use super::namespace::Namespace;
use super::wait::wait_until;

const FRAME_BYTES_MAX: usize = 26_214_400;

/// What it makes of a `connect`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Conduct {
    /// It takes everybody.
    Accepts,
    /// It refuses with this error code, message and details.
    Refuses(&'static str, &'static str, Value),
    /// It answers the upgrade with this status and body.
    Http(u16, &'static str),
}

/// What reached it.
#[derive(Debug)]
struct Seen {
    conduct: Conduct,
    connects: Vec<Value>,
    calls: Vec<String>,
    ended: VecDeque<Instant>,
    /// Events of a flood.
    sent: u64,
}

/// The gateway, on 127.0.0.1:18789 of a machine.
#[derive(Clone, Debug)]
pub(crate) struct FakeGateway(Arc<Mutex<Seen>>);

impl FakeGateway {
    /// Serves until the test ends.
    pub(crate) fn start(machine: &Namespace, conduct: Conduct) -> Self {
        let seen = Seen { conduct, connects: Vec::new(), calls: Vec::new(), ended: VecDeque::new(), sent: 0 };
        let fake = Self(Arc::new(Mutex::new(seen)));
        let (serving, (ready, is_ready)) = (fake.clone(), std::sync::mpsc::channel());
        machine.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:18789").await.unwrap();
                ready.send(()).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    tokio::spawn(serving.clone().serve(socket));
                }
            });
        });
        is_ready.recv().unwrap();
        fake
    }

    /// Does otherwise from now on.
    pub(crate) fn turn(&self, conduct: Conduct) {
        self.0.lock().unwrap().conduct = conduct;
    }

    /// The parameters of each `connect` of this program so far.
    pub(crate) fn connects_of(&self, program: &str) -> Vec<Value> {
        let seen = self.0.lock().unwrap();
        seen.connects.iter().filter(|params| params["client"]["version"] == program).cloned().collect()
    }

    /// The methods that were called.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// How many events of a flood it could send.
    pub(crate) fn sent(&self) -> u64 {
        self.0.lock().unwrap().sent
    }

    /// When the next socket of a client ended there.
    pub(crate) fn end(&self) -> Instant {
        wait_until(|| !self.0.lock().unwrap().ended.is_empty());
        self.0.lock().unwrap().ended.pop_front().unwrap()
    }

    async fn serve(self, mut socket: TcpStream) {
        let conduct = self.0.lock().unwrap().conduct.clone();
        let mut head = [0; 4096];
        let length = socket.peek(&mut head).await.unwrap_or_default();
        let is_upgrade = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase().contains("upgrade: websocket");
        let answer = match &conduct {
            Conduct::Http(status, body) if is_upgrade => Some((*status, *body)),
            _ if !is_upgrade => Some((404, "no dashboard")),
            _ => None,
        };
        if let Some((status, body)) = answer {
            let text =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = socket.write_all(text.as_bytes()).await;
            let _ = socket.shutdown().await;
            // What was asked is read, or our end would be a reset.
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
            return;
        }
        let config =
            WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
        let Ok(mut socket) = accept_async_with_config(socket, Some(config)).await else { return };
        let challenge = json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n-1", "ts": 7}});
        let _ = socket.send(Message::text(challenge.to_string())).await;
        let Some(connect) = next(&mut socket).await else { return };
        let params = connect["params"].clone();
        let is_client = params["client"]["displayName"].is_null();
        self.0.lock().unwrap().connects.push(params.clone());
        if let Conduct::Refuses(code, message, details) = conduct {
            let error = json!({"code": code, "message": message, "details": details});
            let refused = json!({"type": "res", "id": connect["id"], "ok": false, "error": error});
            let _ = socket.send(Message::text(refused.to_string())).await;
            let _ = socket.close(Some(CloseFrame { code: 1008.into(), reason: message.into() })).await;
            return;
        }
        let hello = json!({
            "type": "hello-ok", "protocol": 4, "server": {"version": "fake-1", "connId": "u"},
            "features": {"methods": ["echo", "device.pair.list"], "events": ["tick"]}, "snapshot": {},
            "auth": {"role": "operator", "scopes": params["scopes"], "deviceToken": "token-of-our-own-device"},
            "policy": {"maxPayload": FRAME_BYTES_MAX, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000},
        });
        let hello = json!({"type": "res", "id": connect["id"], "ok": true, "payload": hello});
        let _ = socket.send(Message::text(hello.to_string())).await;
        while let Some(call) = next(&mut socket).await {
            self.0.lock().unwrap().calls.push(call["method"].as_str().unwrap_or_default().to_owned());
            if self.answer_one(&mut socket, &call, &params).await.is_none() {
                break;
            }
        }
        if is_client {
            self.0.lock().unwrap().ended.push_back(Instant::now());
        }
    }

    /// Does what a call asks for; nothing once the socket is to end.
    async fn answer_one(&self, socket: &mut WebSocketStream<TcpStream>, call: &Value, connect: &Value) -> Option<()> {
        let (id, params) = (&call["id"], &call["params"]);
        let payload = match call["method"].as_str()? {
            "echo" => params.clone(),
            "leak" => json!({"mine": connect["auth"]["token"], "device": "token-of-our-own-device"}),
            "tell" => {
                for event in params["events"].as_array()? {
                    socket.send(Message::text(event.to_string())).await.ok()?;
                }
                json!({})
            }
            "flood" => {
                let text = "x".repeat(usize::try_from(params["bytes"].as_u64()?).ok()?);
                for number in 0..params["count"].as_u64()? {
                    let event = json!({"type": "event", "event": "flood", "payload": {"number": number, "text": text}});
                    socket.send(Message::text(event.to_string())).await.ok()?;
                    self.0.lock().unwrap().sent += 1;
                }
                json!({})
            }
            "close" => {
                let code = u16::try_from(params["code"].as_u64()?).ok()?;
                let reason = params["reason"].as_str()?.to_owned();
                let _ = socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await;
                while next(socket).await.is_some() {}
                return None;
            }
            "drop" => return None,
            _ => json!({}),
        };
        let answer = json!({"type": "res", "id": id, "ok": true, "payload": payload});
        socket.send(Message::text(answer.to_string())).await.ok()
    }
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Value> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
