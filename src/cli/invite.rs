//! `doorward invite`: a one-time link, and its QR code, that pairs the device which opens it first. It is shown on the
//! terminal of whoever asks and nowhere else: never in a log, never in an argument list.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::Value;

use crate::admin::request::Request;
use crate::app::qr;
use crate::base::clock::{Clock, UnixMillis};
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::OwnerCommand;
use crate::base::printable::printable;
use crate::protocol::scope::Scope;

use super::devices::text;
use super::failure::Failure;
use super::instance::Instance;
use super::{Context, Form, print, print_json};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What the device gets; without it: operator.read, operator.write and operator.approvals.
    #[arg(long, alias = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Scope>,
    /// For how long the link counts, such as 90s or 5m; at most, and without it, 10m.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    ttl: Option<u64>,
    /// The address in the link; without it: the first configured name, else the dashboard's address.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Take the open invite back, and make none.
    #[arg(long, alias = "revoke", conflicts_with_all = ["scopes", "ttl", "url"])]
    cancel: bool,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number.parse().map_err(|_| "say a time such as 90s or 5m")?;
    number.checked_mul(unit).ok_or("say a time such as 90s or 5m")
}

pub(super) fn invite(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let instance = Instance::find(context)?;
    if arguments.cancel {
        let answer = instance.ask(&Request::CancelInvite)?;
        let was_open = answer.get("cancelled").and_then(Value::as_bool).unwrap_or_default();
        return match context.form {
            Form::Json => print_json(&answer),
            Form::Text if was_open => print("The invite is void.\n"),
            Form::Text => print("No invite was open.\n"),
        };
    }
    // Asked first: none is made that nobody may see.
    if context.form == Form::Text && !io::stdout().is_terminal() {
        return Err(Failure::failed(
            "an invite is shown on a terminal only",
            "in a container: `docker exec -it CONTAINER doorward invite`; a script asks for it with --json",
        ));
    }
    let scopes = (!arguments.scopes.is_empty()).then(|| arguments.scopes.iter().cloned().collect());
    let request = Request::Invite { scopes, seconds: arguments.ttl, url: arguments.url.clone() };
    let answer = instance.ask(&request)?;
    match context.form {
        Form::Json => print_json(&answer),
        Form::Text => print(&shown(&answer, &instance.owner_command(), Clock::system().now())),
    }
}

fn shown(answer: &Value, owner: &OwnerCommand, now: UnixMillis) -> String {
    let of = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut shown = String::new();
    let is = |key: &str| answer.get(key).and_then(Value::as_bool).unwrap_or_default();
    if let Some(code) = qr::code(of("url")).filter(|_| !is("thisMachineOnly")) {
        let _ = writeln!(shown, "{code}\n");
    }
    let _ = writeln!(
        shown,
        "{}\n\nWhoever opens it first, within {}, is paired with {}.\nA page that asks for the gateway token takes this \
         in its place:\n{}\nTake it back: {}",
        of("url"),
        left(answer, now),
        scopes(answer),
        of("secret"),
        owner.with("invite --cancel")
    );
    // Last: what stands before the code has left the screen.
    if is("replaced") {
        shown.push_str("The invite that was open before is void now.\n");
    }
    let warnings = answer.get("warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for warning in warnings.iter().filter_map(Value::as_str) {
        let _ = writeln!(shown, "warning: {}", printable(warning, 4 * LABEL_CHARS_MAX));
    }
    shown
}

/// For how long an invite still counts, in words.
pub(super) fn left(invite: &Value, now: UnixMillis) -> String {
    let until = invite.get("expiresAtMs").and_then(Value::as_i64).map_or(now, UnixMillis);
    let seconds = until.since(now).max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", (seconds + 30) / 60),
    }
}

/// What it gives, in words.
pub(super) fn scopes(invite: &Value) -> String {
    let scopes = invite.get("scopes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    scopes.iter().map(|scope| text(Some(scope))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_time_is_said_in_seconds_or_minutes() {
        for (said, read) in
            [("90s", Some(90)), ("5m", Some(300)), ("45", Some(45)), ("1h", None), ("-1s", None), ("", None)]
        {
            assert_eq!(seconds(said).ok(), read, "{said}");
        }
        assert!(seconds("999999999999999999m").is_err());
    }

    #[test]
    fn a_link_that_leads_a_phone_to_itself_is_no_code_to_scan() {
        let answer = json!({"url": "http://127.0.0.1:18789/#bootstrapToken=doorward-invite-x", "secret": "doorward-invite-x",
            "expiresAtMs": 600_000, "scopes": ["operator.read"], "thisMachineOnly": true, "warnings": ["for this machine"]});
        let shown = shown(&answer, &OwnerCommand::default(), UnixMillis(0));
        assert!(!shown.contains("\x1b[30;107m") && shown.starts_with("http://127.0.0.1"), "{shown}");
    }

    #[test]
    fn everything_to_hand_on_and_to_beware_of_is_shown() {
        let answer = json!({"url": "https://a.example/#bootstrapToken=doorward-invite-x", "secret": "doorward-invite-x",
            "expiresAtMs": 600_000, "scopes": ["operator.read"], "replaced": true, "warnings": ["beware"]});
        let shown = shown(&answer, &OwnerCommand::default(), UnixMillis(0));
        for part in [
            "warning: beware",
            "void now",
            "https://a.example/#bootstrapToken=doorward-invite-x\n",
            "10 minutes",
            "operator.read",
            "\ndoorward-invite-x\n",
            "doorward invite --cancel",
            "\x1b[30;107m",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let (code, end) = (shown.find("\x1b[30;107m").unwrap(), shown.find("void now").unwrap());
        assert!(code < end && shown.ends_with("warning: beware\n"), "what is new scrolls away: {shown}");
        assert_eq!(left(&answer, UnixMillis(500_000)), "100 seconds");
        assert_eq!(left(&answer, UnixMillis(700_000)), "0 seconds");
    }
}
