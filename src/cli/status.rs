//! `doorward status`: how the running instance is.

use std::fmt::Write;

use serde_json::Value;
use time::OffsetDateTime;

use crate::admin::request::Request;

use super::ask::ask_anyway;
use super::devices;
use super::failure::Failure;
use super::{Context, Form, print, print_json};

pub(super) fn status(context: &Context) -> Result<(), Failure> {
    // A file that went wrong since says nothing about the instance, which runs on with what it took.
    let status = ask_anyway(&Request::Status, context)?;
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
            if published.get("closed").and_then(Value::as_bool) == Some(false) {
                let _ = writeln!(shown, "  nobody is local there; hint: {}", of("hint"));
            }
        }
    }
    shown
}

/// Which configuration holds, and what became of its file since.
fn configuration(status: &Value) -> String {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let file = text("/config").unwrap_or("built-in local profile");
    let loaded = status.pointer("/configuration/loadedAtMs").and_then(Value::as_i64).map_or_else(String::new, utc);
    let since = match text("/configuration/onDisk") {
        Some("newer") => "; the file is newer: doorward reload",
        Some("needs-restart") => "; the file is newer, and needs a restart",
        Some("invalid") => "; THE FILE IS INVALID NOW: doorward check",
        _ => "",
    };
    format!("{file}, loaded {loaded}{since}")
}

fn utc(millis: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", at.date())
}
