//! One connect each: who, from where, saying what.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::gateway_client::{Ask, Device, Outcome, Refusal, Socket, connect_frame, next_frame, verdict};

/// Where a case calls from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seat {
    /// The gateway's own machine.
    Here,
    /// Another one on its network.
    There,
}

/// What a case says when it is challenged.
#[derive(Clone, Copy)]
pub(super) enum Say {
    /// `connect`, changed after it was signed.
    Changed(fn(&mut Value)),
    /// A message that is none.
    Raw(fn() -> Message),
    /// `connect`, its device's claim made anew by this: challenge, device, what it asks for.
    Signed(fn(&Value, &Device, &Ask) -> Value),
}

impl Say {
    /// Says it, and hears what comes of it.
    pub(super) async fn through(self, mut socket: Socket, device: Option<&Device>, ask: &Ask) -> Outcome {
        let challenge = match next_frame(&mut socket).await {
            Ok(frame) => frame["payload"].clone(),
            Err((code, reason)) => return Outcome::Refused(Refusal { error: Value::Null, code, reason }),
        };
        let mut frame = connect_frame(&challenge, device, ask);
        let message = match (self, device) {
            (Self::Raw(message), _) => message(),
            (Self::Changed(change), _) => {
                change(&mut frame["params"]);
                Message::text(frame.to_string())
            }
            (Self::Signed(claim), Some(device)) => {
                frame["params"]["device"] = claim(&challenge, device, ask);
                Message::text(frame.to_string())
            }
            (Self::Signed(_), None) => unreachable!("a claim needs a device"),
        };
        socket.send(message).await.unwrap();
        verdict(socket).await
    }
}

/// A case.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) seat: Seat,
    pub(super) ask: fn(&str) -> Ask,
    pub(super) device: bool,
    pub(super) say: Say,
}

const PLAIN: Say = Say::Changed(|_| ());

/// A device elsewhere with the secret that asks as a command line does, and says this.
fn said(name: &'static str, say: Say) -> Case {
    Case { name, seat: Seat::There, ask: Ask::operator, device: true, say }
}

/// The same, asking for this.
fn asked(name: &'static str, ask: fn(&str) -> Ask) -> Case {
    Case { ask, ..said(name, PLAIN) }
}

fn changed(name: &'static str, change: fn(&mut Value)) -> Case {
    said(name, Say::Changed(change))
}

fn here(case: Case) -> Case {
    Case { seat: Seat::Here, ..case }
}

fn alone(case: Case) -> Case {
    Case { device: false, ..case }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [asking(), malformed(), claims(), credentials(), pages()].into_iter().flatten().collect()
}

fn asking() -> Vec<Case> {
    vec![
        asked("new device", Ask::operator),
        asked("new device, payload v2", |token| Ask { payload: "v2", ..Ask::operator(token) }),
        asked("new device, payload v1", |token| Ask { payload: "v1", ..Ask::operator(token) }),
        asked("protocol 3", |token| Ask { protocol: 3, payload: "v2", ..Ask::operator(token) }),
        asked("protocol 5", |token| Ask { protocol: 5, ..Ask::operator(token) }),
        changed("protocols 3 to 5", |params| {
            params["minProtocol"] = json!(3);
            params["maxProtocol"] = json!(5);
        }),
        asked("node", |token| Ask {
            role: "node",
            client: ("node-host", "node"),
            ..Ask::operator(token).with_scopes(&[])
        }),
        asked("role admin", |token| Ask { role: "admin", ..Ask::operator(token) }),
        asked("role worker", |token| Ask { role: "worker", ..Ask::operator(token) }),
        asked("no scopes", |token| Ask::operator(token).with_scopes(&[])),
        asked("admin only", |token| Ask::operator(token).with_scopes(&["operator.admin"])),
        asked("unknown scope", |token| Ask::operator(token).with_scopes(&["operator.nonsense"])),
        asked("test client", |token| Ask { client: ("test", "test"), ..Ask::operator(token) }),
        here(asked("here: command line", Ask::operator)),
        here(asked("here: no scopes", |token| Ask::operator(token).with_scopes(&[]))),
        here(asked("here: node", |token| Ask {
            role: "node",
            client: ("node-host", "node"),
            ..Ask::operator(token).with_scopes(&[])
        })),
        here(asked("here: protocol 3", |token| Ask { protocol: 3, payload: "v2", ..Ask::operator(token) })),
        here(asked("here: backend", |token| Ask { client: ("gateway-client", "backend"), ..Ask::operator(token) })),
    ]
}

fn malformed() -> Vec<Case> {
    vec![
        changed("no minProtocol", |params| drop(params.as_object_mut().unwrap().remove("minProtocol"))),
        changed("protocol 0", |params| params["minProtocol"] = json!(0)),
        changed("protocol as text", |params| params["maxProtocol"] = json!("4")),
        changed("no client", |params| drop(params.as_object_mut().unwrap().remove("client"))),
        changed("unknown client id", |params| params["client"]["id"] = json!("curl")),
        changed("unknown client mode", |params| params["client"]["mode"] = json!("spy")),
        changed("no client version", |params| drop(params["client"].as_object_mut().unwrap().remove("version"))),
        changed("no platform", |params| drop(params["client"].as_object_mut().unwrap().remove("platform"))),
        changed("empty platform", |params| params["client"]["platform"] = json!("")),
        changed("unknown parameter", |params| params["surprise"] = json!(1)),
        changed("unknown client field", |params| params["client"]["surprise"] = json!(1)),
        changed("unknown credential", |params| params["auth"]["surprise"] = json!("x")),
        changed("scopes as text", |params| params["scopes"] = json!("operator.admin")),
        changed("empty role", |params| params["role"] = json!("")),
        changed("parameters as list", |params| *params = json!([])),
        said("another method first", Say::Raw(|| Message::text(r#"{"type":"req","id":"1","method":"health"}"#))),
        said("no request", Say::Raw(|| Message::text("[]"))),
        said("no json", Say::Raw(|| Message::text("{"))),
        said("65 KiB", Say::Raw(|| Message::text("x".repeat(65 * 1024)))),
    ]
}

fn claims() -> Vec<Case> {
    fn at(offset: i64) -> impl Fn(&Value, &Device, &Ask) -> Value {
        move |challenge, device, ask| {
            let at = challenge["ts"].as_i64().unwrap() + offset;
            device.claim(ask, challenge["nonce"].as_str().unwrap(), at)
        }
    }
    vec![
        changed("no nonce", |params| drop(params["device"].as_object_mut().unwrap().remove("nonce"))),
        changed("blank nonce", |params| params["device"]["nonce"] = json!(" ")),
        said(
            "another nonce",
            Say::Signed(|challenge, device, ask| {
                device.claim(ask, "11111111-2222-4333-8444-555555555555", challenge["ts"].as_i64().unwrap())
            }),
        ),
        said("signed long ago", Say::Signed(|challenge, device, ask| at(-130_000)(challenge, device, ask))),
        said("signed in the future", Say::Signed(|challenge, device, ask| at(130_000)(challenge, device, ask))),
        said("signed a minute ago", Say::Signed(|challenge, device, ask| at(-60_000)(challenge, device, ask))),
        changed("signedAt negative", |params| params["device"]["signedAt"] = json!(-1)),
        changed("signedAt as text", |params| params["device"]["signedAt"] = json!("now")),
        changed("signedAt with a fraction", |params| params["device"]["signedAt"] = json!(1.5)),
        changed("another device's id", |params| params["device"]["id"] = json!(Device::new().id())),
        changed("id in capitals", |params| {
            params["device"]["id"] = json!(params["device"]["id"].as_str().unwrap().to_uppercase());
        }),
        changed("empty id", |params| params["device"]["id"] = json!("")),
        changed("key of three bytes", |params| params["device"]["publicKey"] = json!("AAAA")),
        changed("key that is none", |params| params["device"]["publicKey"] = json!("%%%")),
        changed("signature that is none", |params| params["device"]["signature"] = json!("%%%")),
        changed("another signature", |params| params["device"]["signature"] = json!("A".repeat(86))),
        changed("scopes changed after signing", |params| params["scopes"] = json!(["operator.admin"])),
        changed("unknown device field", |params| params["device"]["surprise"] = json!(1)),
    ]
}

fn credentials() -> Vec<Case> {
    fn without(_: &str) -> Ask {
        Ask { token: None, ..Ask::operator("") }
    }
    fn wrong(_: &str) -> Ask {
        Ask::operator("wrong")
    }
    fn wrong_device_token(_: &str) -> Ask {
        Ask { token: None, device_token: Some("wrong".to_owned()), ..Ask::operator("") }
    }
    vec![
        asked("no secret", without),
        asked("wrong secret", wrong),
        alone(asked("no device, no secret", without)),
        alone(asked("no device, wrong secret", wrong)),
        alone(asked("no device, right secret", Ask::operator)),
        asked("wrong device token", wrong_device_token),
        asked("wrong secret and device token", |_| Ask {
            device_token: Some("wrong".to_owned()),
            ..Ask::operator("wrong")
        }),
        asked("wrong setup code", |_| Ask { token: None, setup_code: Some("wrong".to_owned()), ..Ask::operator("") }),
        Case { ask: without, ..changed("wrong password", |params| params["auth"]["password"] = json!("wrong")) },
        here(asked("here: no secret", without)),
        here(asked("here: wrong secret", wrong)),
        here(asked("here: wrong device token", wrong_device_token)),
        here(alone(asked("here: no device, right secret", |token| {
            Ask::operator(token).with_scopes(&["operator.read", "operator.pairing"])
        }))),
        here(alone(asked("here: no device, wrong secret", wrong))),
        here(alone(asked("here: no device, no secret", without))),
    ]
}

fn pages() -> Vec<Case> {
    fn dashboard(token: &str) -> Ask {
        Ask { client: ("openclaw-control-ui", "webchat"), ..Ask::operator(token) }
    }
    vec![
        alone(asked("dashboard without a device", dashboard)),
        asked("dashboard that names no page", dashboard),
        asked("a page of somebody else's", |token| Ask::operator(token).with_header("origin", "https://evil.example")),
        asked("dashboard on a page of somebody else's", |token| {
            dashboard(token).with_header("origin", "https://evil.example")
        }),
        here(Case {
            ask: |token| dashboard(token).with_header("origin", "http://127.0.0.1:18789"),
            // The real gateway serves its own dashboard, and asks others for this build.
            ..changed("here: dashboard", |params| params["client"]["buildId"] = json!("dev"))
        }),
        here(asked("here: dashboard, wrong secret", |_| {
            dashboard("wrong").with_header("origin", "http://127.0.0.1:18789")
        })),
        here(asked("here: terminal interface", |token| Ask { client: ("openclaw-tui", "ui"), ..Ask::operator(token) })),
    ]
}
