//! `doorward certs list` and `doorward certs renew`, both answered by the running instance.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use crate::admin::client::CallError;
use crate::admin::request::Request;

use super::super::failure::Failure;
use super::super::instance::Instance;
use super::super::status::utc;
use super::super::{Context, Form, print, print_json};

#[derive(Args, Debug)]
pub(in crate::cli) struct Renewal {
    /// One of the certificate's names; without it, all but those from files.
    name: Option<String>,
}

pub(super) fn list(context: &Context) -> Result<(), Failure> {
    let listed = Instance::find(context)?.call(&Request::Certificates).map_err(|error| match error {
        CallError::NotRunning { .. } => Failure::failed(
            error,
            "which certificate is shown for which name, and what is in its way, only a running doorward knows: start it; \
             `doorward certs export NAME` prints the one that lies here, and `certs export --ca` the local ca's",
        ),
        error => error.into(),
    })?;
    match context.form {
        Form::Json => print_json(&listed),
        Form::Text => print(&shown(&listed)),
    }
}

pub(super) fn renew(arguments: &Renewal, context: &Context) -> Result<(), Failure> {
    let renewed = Instance::find(context)?.ask(&Request::RenewCertificates { name: arguments.name.clone() })?;
    match context.form {
        Form::Json => print_json(&renewed)?,
        Form::Text => print(&told(&renewed))?,
    }
    let failed = array(&renewed, "renewals").iter().any(|renewal| renewal.get("error").is_some());
    if failed { Err(Failure::told()) } else { Ok(()) }
}

fn shown(listed: &Value) -> String {
    let mut shown = String::new();
    for standing in array(listed, "certificates") {
        let of = |pointer: &str| standing.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let at = |pointer: &str| standing.pointer(pointer).and_then(Value::as_i64).map(utc);
        let _ = writeln!(shown, "{}", names(standing));
        let directory = of("/attempts/directory");
        let _ =
            writeln!(shown, "  from      {}{}{directory}", of("/source"), if directory.is_empty() { "" } else { ", " });
        let holds = at("/notBeforeMs").zip(at("/notAfterMs")).map(|(from, until)| format!("{from} to {until}"));
        let _ = writeln!(
            shown,
            "  holds     {}",
            holds.unwrap_or_else(|| "none yet; the local ca serves these names".to_owned())
        );
        if let Some(due) = at("/attempts/dueMs") {
            let _ = writeln!(shown, "  renewal   {due}");
        }
        if !["", "none"].contains(&of("/alarm")) {
            let _ = writeln!(shown, "  ALARM     {}", of("/alarm"));
        }
        if let Some(failed) = at("/attempts/failure/atMs") {
            let _ = writeln!(shown, "  failed    {failed}: {}", of("/attempts/failure/reason"));
        }
        if let Some(next) = at("/attempts/nextMs").filter(|_| of("/attempts/stage") == "waiting") {
            let _ = writeln!(shown, "  next      {next}");
        }
        if !of("/hint").is_empty() {
            let _ = writeln!(shown, "  hint: {}", of("/hint"));
        }
    }
    let ca = |pointer: &str| listed.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let in_use = listed.pointer("/localCa/inUse").and_then(Value::as_bool).unwrap_or_default();
    let _ = writeln!(
        shown,
        "\n{}{}\n  SHA-256   {}\n  SHA-1     {}",
        ca("/localCa/name"),
        if in_use { "" } else { " (of no use now: every name has another certificate)" },
        ca("/localCa/sha256"),
        ca("/localCa/sha1")
    );
    shown
}

fn told(renewed: &Value) -> String {
    let mut told = String::new();
    for renewal in array(renewed, "renewals") {
        let of = |key: &str| renewal.get(key).and_then(Value::as_str).unwrap_or_default();
        let what = match of("renewal") {
            "issued" => "issued anew; new connections see it",
            "ordered" => "is ordered; `doorward certs list` shows how it goes",
            "under-way" => "an order is under way; `doorward certs list` shows how it goes",
            _ => "",
        };
        if what.is_empty() {
            let _ = writeln!(told, "{}: not renewed: {}\nhint: {}", names(renewal), of("error"), of("hint"));
        } else {
            let _ = writeln!(told, "{}: {what}", names(renewal));
        }
    }
    told
}

fn names(value: &Value) -> String {
    array(value, "names").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_order_is_listed_with_its_cause_its_next_attempt_and_what_to_do() {
        let at = 1_800_000_000_000_i64;
        let listed = json!({
            "certificates": [{"names": ["a.example"], "source": "acme", "notBeforeMs": null, "notAfterMs": null, "alarm": "none",
                "hint": "open port 80", "attempts": {"stage": "waiting", "nextMs": at, "directory": "https://ca.example/dir",
                    "failure": {"reason": "the ca could not connect", "hint": "open port 80", "atMs": at}}}],
            "localCa": {"name": "doorward local CA 1", "sha256": "AB", "sha1": "CD", "inUse": false},
        });
        let shown = shown(&listed);
        for line in [
            "a.example\n  from      acme, https://ca.example/dir\n  holds     none yet",
            "  failed    2027-01-15 08:00:00 UTC: the ca could not connect\n  next      2027-01-15 08:00:00 UTC\n  hint: open port 80",
            "doorward local CA 1 (of no use now",
            "SHA-256   AB\n",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
    }
}
