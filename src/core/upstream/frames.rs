//! What passes between a client and the upstream after `hello-ok`, and what does not. Pure.
//!
//! Promise: what passes, passes as the very same text, but for the upstream's secrets, which never pass.

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::base::clock::UnixMillis;
use crate::base::limits::UPSTREAM_SECRETS_MAX;
use crate::base::secret::Secret;
use crate::core::upstream::hello::is_ours;
use crate::protocol::event;
use crate::protocol::frame;
use crate::protocol::refusal::ClientRefused;

/// What stands in a secret's place.
const REDACTED: &str = "(redacted)";

/// The one thing that is read of a client's message. Two of one key have no reading, so they are an error.
#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    method: Option<String>,
}

/// The one thing that is read of the upstream's message.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
}

/// Whose a client's message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum Addressee {
    /// Nobody's: it cannot be read, or has several readings.
    Nobody,
    /// Our core's.
    Ours,
    /// The upstream's.
    Upstream,
}

/// Whose `text` is.
pub(in crate::core) fn addressee(text: &str) -> Addressee {
    match serde_json::from_str::<Called>(text) {
        Ok(Called { method: Some(method) }) if is_ours(&method) || method.trim() == "connect" => Addressee::Ours,
        Ok(Called { method: Some(_) }) => Addressee::Upstream,
        // What calls nothing is none of the protocol.
        Ok(Called { method: None }) | Err(_) => Addressee::Nobody,
    }
}

/// What becomes of the upstream's `text`: the same, another in its place, or nothing.
pub(in crate::core) fn passed(text: Utf8Bytes, secrets: &Secrets, now: UnixMillis) -> Option<Utf8Bytes> {
    let text = secrets.scrub(text);
    // What the upstream writes has no escapes in such names; this spares the others a second look.
    let suspect = |word: &str| memmem::find(text.as_bytes(), word.as_bytes()).is_some();
    if !suspect("\"device.") && !suspect("\"connect.challenge\"") {
        return Some(text);
    }
    match serde_json::from_str::<Told>(&text) {
        Ok(Told { event: Some(name), seq }) if is_ours(&name) || name == event::CONNECT_CHALLENGE => {
            // A hole in the numbers would make the client load everything anew.
            let tick = frame::event(event::TICK, &event::tick(now), Some(seq?), None);
            tick.ok().map(Into::into)
        }
        _ => Some(text),
    }
}

/// Secrets of the upstream that must not reach a client.
#[derive(Clone, Debug, Default)]
pub(in crate::core) struct Secrets {
    /// Its token, as its file has it.
    token: Option<Secret<String>>,
    /// The tokens that it gave to our own device, and those that its file had before; the newest last.
    others: Vec<Secret<String>>,
}

impl Secrets {
    /// These, with the token that its file has now. The one before is one of the others from then on.
    pub(super) fn with_token(&self, token: &Secret<String>) -> Self {
        if token.expose().is_empty() || self.token.as_ref().is_some_and(|known| known.is(token.expose())) {
            return self.clone();
        }
        let others = self.others.iter().filter(|known| !known.is(token.expose())).cloned().collect();
        let now = Self { token: Some(token.clone()), others };
        self.token.as_ref().map_or_else(|| now.clone(), |before| now.with(before))
    }

    /// These, and one more; the oldest is forgotten beyond the limit, the token never.
    pub(super) fn with(&self, secret: &Secret<String>) -> Self {
        if secret.expose().is_empty() || self.all().any(|known| known.is(secret.expose())) {
            return self.clone();
        }
        let mut others = self.others.clone();
        if others.len() >= UPSTREAM_SECRETS_MAX {
            others.remove(0);
        }
        others.push(secret.clone());
        Self { token: self.token.clone(), others }
    }

    fn all(&self) -> impl Iterator<Item = &Secret<String>> {
        self.token.iter().chain(&self.others)
    }

    /// The JSON `text` without them.
    pub(in crate::core) fn scrub(&self, text: Utf8Bytes) -> Utf8Bytes {
        self.all().fold(text, |text, secret| without(text, &escaped(secret.expose())))
    }

    /// All that may not be seen: each as it is, and as JSON has it where that differs.
    pub(super) fn spelled(&self) -> Vec<Secret<String>> {
        let spellings = |secret: &Secret<String>| {
            let (plain, inner) = (secret.expose().clone(), escaped(secret.expose()));
            let other = (inner != plain).then_some(inner);
            std::iter::once(plain).chain(other)
        };
        self.all().flat_map(spellings).map(Secret::new).collect()
    }

    /// A text that is no JSON without them, as a reason to close.
    pub(in crate::core) fn scrub_text(&self, text: &str) -> String {
        self.all().fold(text.into(), |text, secret| without(text, secret.expose())).to_string()
    }

    /// The upstream's words to a client without them.
    pub(super) fn scrub_refused(&self, refused: ClientRefused) -> ClientRefused {
        let ClientRefused { message, details } = refused;
        let details = self.scrub(Value::Object(details).to_string().into());
        // Never the other: what takes the place of a secret stands in a string as well as it.
        let details = serde_json::from_str(&details).unwrap_or_default();
        ClientRefused { message: self.scrub_text(&message), details }
    }
}

fn without(text: Utf8Bytes, spelling: &str) -> Utf8Bytes {
    if memmem::find(text.as_bytes(), spelling.as_bytes()).is_none() {
        return text;
    }
    text.replace(spelling, REDACTED).into()
}

/// As JSON has it between its quotes.
fn escaped(secret: &str) -> String {
    let quoted = Value::from(secret).to_string();
    // One at each end: the others are the secret's own.
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    bare.unwrap_or(&quoted).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(9);

    #[test]
    fn device_methods_are_ours_however_they_are_spelled() {
        for (text, expected) in [
            (r#"{"type":"req","id":"1","method":"sessions.list","params":{}}"#, Addressee::Upstream),
            (r#"{"type":"req","id":"1","method":"sessions.list","newer":1}"#, Addressee::Upstream),
            (
                r#"{"type":"req","id":"1","method":"chat.send","params":{"text":"device.pair.list \ud800"}}"#,
                Addressee::Upstream,
            ),
            (r#"{"type":"req","id":"1","method":"device.pair.list"}"#, Addressee::Ours),
            (r#"{"type":"req","id":"1","method":"\u0064evice.pair.list"}"#, Addressee::Ours),
            (r#"{"type":"req","id":"1","m\u0065thod":"device.pair.list"}"#, Addressee::Ours),
            (r#"{"type":"req","id":"1","method":" device.new"}"#, Addressee::Ours),
            (r#"{"type":"req","id":"1","method":"connect"}"#, Addressee::Ours),
            (r#"{"method":"sessions.list","id":"1","method":"device.pair.list"}"#, Addressee::Nobody),
            (r#"{"method":"device.pair.list","id":"1","m\u0065thod":"sessions.list"}"#, Addressee::Nobody),
            (r#"{"type":"res","id":"1","ok":true}"#, Addressee::Nobody),
            (r#"[{"method":"device.pair.list"}]"#, Addressee::Nobody),
            (r#"{"method":7}"#, Addressee::Nobody),
            ("{", Addressee::Nobody),
        ] {
            assert_eq!(addressee(text), expected, "{text}");
        }
    }

    #[test]
    fn the_upstreams_words_pass_but_those_about_devices() {
        let secrets = Secrets::default();
        for same in [
            r#"{"type":"event","event":"chat","payload":{"x":"device.pair.changed"},"seq":4}"#,
            r#"{"type":"res","id":"device.1","ok":true,"payload":{"name":"device.x"}}"#,
            r#"{"type":"event","event":"node.pair.requested","payload":{}}"#,
        ] {
            assert_eq!(passed(same.into(), &secrets, NOW).as_deref(), Some(same));
        }
        let dropped = r#"{"type":"event","event":"device.pair.requested","payload":{"requestId":"r"}}"#;
        assert_eq!(passed(dropped.into(), &secrets, NOW), None);
        let challenge = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}"#;
        assert_eq!(passed(challenge.into(), &secrets, NOW), None);
        let counted = r#"{"type":"event","event":"device.pair.changed","payload":{},"seq":12}"#;
        assert_eq!(
            passed(counted.into(), &secrets, NOW).as_deref(),
            Some(r#"{"type":"event","event":"tick","payload":{"ts":9},"seq":12}"#)
        );
    }

    #[test]
    fn no_secret_of_the_upstream_passes() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let secrets = Secrets::default().with_token(&secret("up\"tok")).with(&secret("devtok")).with(&secret(""));
        let told = r#"{"type":"res","payload":{"a":"up\"tok","b":"xdevtoky","c":"up\\\"tok"}}"#;
        let shown = passed(told.into(), &secrets, NOW).unwrap();
        assert_eq!(&*shown, r#"{"type":"res","payload":{"a":"(redacted)","b":"x(redacted)y","c":"up\\\"tok"}}"#);
        assert_eq!(secrets.scrub_text("unauthorized up\"tok"), "unauthorized (redacted)");
        let spelled: Vec<String> = secrets.spelled().iter().map(|secret| secret.expose().clone()).collect();
        assert_eq!(spelled, ["up\"tok", "up\\\"tok", "devtok"]);
        // It was replaced in its file, which is read again at each connection.
        let mut many = secrets.with_token(&secret("second")).with_token(&secret("devtok")).with_token(&secret("third"));
        assert_eq!(many.scrub_text("up\"tok second devtok third"), [REDACTED; 4].join(" "));
        for number in 0..2 * UPSTREAM_SECRETS_MAX {
            many = many.with(&secret(&format!("token-{number:04}-"))).with_token(&secret("third"));
        }
        assert_eq!(many.others.len(), UPSTREAM_SECRETS_MAX);
        assert_eq!(many.scrub_text("third up\"tok"), "(redacted) up\"tok", "the token is never forgotten");
    }

    #[test]
    fn a_secret_that_ends_in_a_quote_is_seen_and_breaks_no_message() {
        let secrets = Secrets::default().with_token(&Secret::new("tok\"".to_owned()));
        let told = json!({ "a": "tok\"", "b": "atok", "c": ["\"tok\"\""] }).to_string();
        let shown: Value = serde_json::from_str(&passed(told.into(), &secrets, NOW).unwrap()).unwrap();
        assert_eq!(shown, json!({ "a": "(redacted)", "b": "atok", "c": ["\"(redacted)\""] }));
    }

    #[test]
    fn the_upstreams_words_to_a_client_have_no_secret_either() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let secrets = Secrets::default().with_token(&secret("tok\"")).with(&secret("devtok"));
        let Value::Object(details) = json!({ "code": "X", "a": { "tok\"": "see devtok" } }) else { panic!() };
        let told = secrets.scrub_refused(ClientRefused { message: "not tok\" nor devtok".to_owned(), details });
        assert_eq!(told.message, "not (redacted) nor (redacted)");
        assert_eq!(Value::Object(told.details), json!({ "code": "X", "a": { "(redacted)": "see (redacted)" } }));
    }
}
