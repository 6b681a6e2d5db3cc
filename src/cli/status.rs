//! `doorward status`: how the running instance is.

use std::fmt::Write;

use serde_json::Value;

use crate::admin::request::Request;

use super::ask::ask;
use super::devices;
use super::failure::Failure;
use super::{Context, Form, print, print_json};

pub(super) fn status(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let status = ask(&Request::Status, &config, context)?;
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
        "doorward {}, process {}: {}\nstate    {}\nstore    {}\ndevices  {} paired, {} pending\n",
        text("/version"),
        text("/pid"),
        text("/state"),
        text("/stateDir"),
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
    }
    shown
}
