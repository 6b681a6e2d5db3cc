//! `doorward status`: how the running instance is. Exit code 0 says that every listener is bound and the store is open; of
//! a file that went wrong since it tells in words, for whoever calls is served as before.

use std::fmt::Write;

use serde_json::Value;
use time::OffsetDateTime;

use crate::admin::request::Request;
use crate::base::clock::Clock;

use super::devices;
use super::failure::Failure;
use super::instance::Instance;
use super::invite;
use super::{Context, Form, print, print_json};

pub(super) fn status(context: &Context) -> Result<(), Failure> {
    let status = Instance::find_untold(context)?.ask(&Request::Status)?;
    match context.form {
        Form::Json => print_json(&status)?,
        Form::Text => print(&shown(&status))?,
    }
    if status.get("ready").and_then(Value::as_bool).unwrap_or_default() { Ok(()) } else { Err(Failure::told()) }
}

fn shown(status: &Value) -> String {
    let text = |pointer: &str| match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    let mut shown = format!(
        "doorward {}, process {}: {}\nstate    {}\nconfig   {}\nstore    {}\ndevices  {} paired, {} pending\n",
        text("/version"),
        text("/pid"),
        text("/state"),
        text("/stateDir"),
        configuration(status),
        text("/store"),
        text("/devices/paired"),
        text("/devices/pending"),
    );
    if let Some(invite) = status.get("invite").filter(|invite| invite.is_object()) {
        let (left, scopes) = (invite::left(invite, Clock::system().now()), invite::scopes(invite));
        let _ = writeln!(shown, "invite   open for {left}: {scopes}");
    }
    let listeners = status.get("listeners").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for listener in listeners {
        let of = |key: &str| devices::text(listener.get(key));
        let bound = listener.get("bound").and_then(Value::as_bool).unwrap_or_default();
        let addresses = listener.get("addresses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let addresses: Vec<_> = addresses.iter().filter_map(Value::as_str).collect();
        let _ = writeln!(
            shown,
            "listener {}  {} {}{}",
            of("name"),
            of("protocol"),
            addresses.join(" "),
            if bound { "" } else { "  NOT BOUND" }
        );
        if let Some(published) = listener.get("published").filter(|published| published.is_object()) {
            let of = |key: &str| devices::text(published.get(key));
            let _ = writeln!(shown, "  published port {}: {}", of("port"), of("found"));
            shown.push_str(&dialled(published));
            if published.get("closed").and_then(Value::as_bool) == Some(false) {
                let _ = writeln!(shown, "  nobody is local there; hint: {}", of("hint"));
            }
        }
    }
    for address in status.get("metrics").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(shown, "metrics  http://{address}/metrics");
    }
    shown.push_str(&upstream(status));
    let certificates = status.get("certificates").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    certificates.iter().for_each(|standing| shown.push_str(&certificate(standing)));
    shown
}

/// How the gateway behind us is, if there is one, and what to do about it.
pub(super) fn upstream(status: &Value) -> String {
    let of = |key: &str| status.pointer(&format!("/upstream/{key}")).and_then(Value::as_str);
    let Some((url, told)) = of("url").zip(of("told")) else { return String::new() };
    let hint = of("hint").map_or_else(String::new, |hint| format!("  hint: {hint}\n"));
    format!("upstream {url}  {told}\n{hint}")
}

/// How one certificate stands: until when it holds or what is done to get it, and what is in the way.
fn certificate(standing: &Value) -> String {
    let of = |pointer: &str| standing.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let at = |pointer: &str| standing.pointer(pointer).and_then(Value::as_i64).map(utc);
    let names: Vec<_> =
        standing.get("names").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let until = at("/notAfterMs").map_or_else(|| "none yet".to_owned(), |until| format!("until {until}"));
    let mut shown = format!("certificate {}  {}  {until}", names.join(" "), of("/source"));
    let stage = match of("/attempts/stage") {
        "clock" => "; nothing is ordered before this machine's clock is right",
        "issuing" => "; the ca is signing",
        "ordering" => "; the ca is being asked",
        "proving" => "; the ca is looking whether the names are ours",
        "waiting" => "; the last attempt failed",
        _ => "",
    };
    shown.push_str(stage);
    if let Some(next) = at("/attempts/nextMs").filter(|_| of("/attempts/stage") == "waiting") {
        let _ = write!(shown, "; the next is at {next}");
    }
    if !["", "none"].contains(&of("/alarm")) {
        let _ = write!(shown, "  ALARM: {}", of("/alarm"));
    }
    shown.push('\n');
    if !of("/attempts/failure/reason").is_empty() {
        let _ = writeln!(shown, "  {}\n  hint: {}", of("/attempts/failure/reason"), of("/attempts/failure/hint"));
    }
    shown
}

/// By what it was found: each address that was dialled, and what it answered.
fn dialled(published: &Value) -> String {
    let dials = published.get("dialled").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = dials.iter().map(|dial| {
        let of = |key: &str| devices::text(dial.get(key));
        format!("{} at {}", of("answer"), of("address"))
    });
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() { String::new() } else { format!("  dialled from here: {told}\n") }
}

/// Which configuration holds, and what became of its file since.
fn configuration(status: &Value) -> String {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let file = text("/config").unwrap_or("built-in local profile");
    let loaded = status.pointer("/configuration/loadedAtMs").and_then(Value::as_i64).map_or_else(String::new, utc);
    let since = match text("/configuration/onDisk") {
        Some("newer") => "; the file is newer: doorward reload",
        Some("needs-restart") => "; the file is newer, and needs a restart",
        Some("deleted") => {
            "\n  THE FILE IS DELETED: this instance goes on with what it read then; put it back before a restart"
        }
        Some("invalid") => {
            "\n  THE FILE IS INVALID NOW: this instance goes on with what it read then, and a restart would fail; \
             doorward check tells why"
        }
        Some("unreadable") => {
            "\n  THE FILE CANNOT BE READ NOW: this instance goes on with what it read then, and a restart would fail; \
             doorward check tells why"
        }
        _ => "",
    };
    let reloading = status.pointer("/configuration/reloading").and_then(Value::as_bool) == Some(true);
    let reloading = if reloading { "; a reload is under way" } else { "" };
    format!("{file}, loaded {loaded}{reloading}{since}")
}

pub(super) fn utc(millis: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", at.date())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_certificate_is_told_with_its_end_or_with_what_is_in_the_way() {
        let held = json!({"names": ["a.example", "b.example"], "source": "acme", "notAfterMs": 1_800_000_000_000_i64,
            "alarm": "week", "attempts": {"stage": "idle", "failure": null}});
        assert_eq!(
            certificate(&held),
            "certificate a.example b.example  acme  until 2027-01-15 08:00:00 UTC  ALARM: week\n"
        );
        let failed = json!({"names": ["a.example"], "source": "acme", "notAfterMs": null, "alarm": "none",
            "attempts": {"stage": "waiting", "nextMs": 1_800_000_000_000_i64,
                "failure": {"reason": "the ca could not connect", "hint": "open port 80"}}});
        assert_eq!(
            certificate(&failed),
            "certificate a.example  acme  none yet; the last attempt failed; the next is at 2027-01-15 08:00:00 UTC\n  \
             the ca could not connect\n  hint: open port 80\n"
        );
    }
}
