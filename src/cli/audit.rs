//! `doorward audit`: who changed what about who may enter, and whether all of it is still there.

use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};
use time::{Date, Month};

use crate::admin::client::CallError;
use crate::admin::request::Request;
use crate::base::clock::{Clock, UnixMillis};
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::config::Config;
use crate::pairing::step;
use crate::store::{Act, FILE_NAME, Filter, Line, Store};

use super::failure::Failure;
use super::instance::{Instance, lock};
use super::status::utc;
use super::store::wait;
use super::{Context, Form, print, print_json};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// None older than this: an age such as 90m, 24h or 7d, or a day such as 2026-11-21 (UTC).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// About this device alone; the beginning of its id will do.
    #[arg(long, value_name = "DEVICE_ID")]
    device: Option<String>,
    /// With this word in what was done, for example approve, revoke or rotate.
    #[arg(long, value_name = "WORD")]
    action: Option<String>,
    /// At most so many, the latest.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Print no entries, but look whether any was edited, removed, moved or cut off.
    #[arg(long, conflicts_with_all = ["since", "device", "action"])]
    verify: bool,
}

pub(super) fn audit(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let instance = Instance::find(context)?;
    if arguments.verify {
        return verify(&instance, context);
    }
    let since = arguments.since.as_deref().map(|text| since(text, Clock::system().now())).transpose()?;
    let filter =
        Filter { since, device: arguments.device.clone(), action: arguments.action.clone(), most: arguments.limit };
    let Filter { device, action, most, .. } = filter.clone();
    let answer = match instance.call(&Request::Audit { since_ms: since.map(|at| at.0), device, action, most }) {
        Err(CallError::NotRunning { .. }) => {
            let entries = on_disk(instance.config()?, async |store| store.audit(&filter).await)?;
            json!({ "entries": entries.unwrap_or_default() })
        }
        answer => answer?,
    };
    let entries = answer.get("entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match context.form {
        Form::Json => print_json(&json!({ "entries": entries })),
        Form::Text if entries.is_empty() => print("No entries.\n"),
        Form::Text => print(&entries.iter().map(line).collect::<String>()),
    }
}

fn verify(instance: &Instance, context: &Context) -> Result<(), Failure> {
    let answer = match instance.call(&Request::VerifyAudit) {
        Err(CallError::NotRunning { .. }) => {
            let entries = on_disk(instance.config()?, async |store| store.verify_audit().await)?;
            json!({ "whole": true, "entries": entries.unwrap_or_default() })
        }
        answer => answer?,
    };
    match context.form {
        Form::Json => print_json(&answer),
        Form::Text => {
            let number = answer.get("entries").and_then(Value::as_i64).unwrap_or_default();
            print(&format!("ok: {number} entries, each follows from the one before\n"))
        }
    }
}

/// What `ask` finds in the store where no instance runs; nothing where there is no store yet.
fn on_disk<T>(
    config: &Config,
    ask: impl AsyncFnOnce(Store) -> Result<T, crate::store::StoreError>,
) -> Result<Option<T>, Failure> {
    let path = config.state_dir.join(FILE_NAME);
    if !config.state_dir.exists() {
        return Ok(None);
    }
    let _lock = lock(config)?;
    // No log is read of a store that is not whole: opening it says so.
    if Store::is_absent(&path).map_err(|error| Failure::failed(&error, error.hint()))? {
        return Ok(None);
    }
    wait(async { ask(Store::open(&path).await?).await }).map(Some)
}

/// Writes into the audit log what was asked of a doorward that does not run; the caller holds the lock of the state.
pub(super) fn record(config: &Config, name: &'static str, detail: Value) -> Result<(), Failure> {
    let path = config.state_dir.join(FILE_NAME);
    if Store::is_absent(&path).map_err(|error| Failure::failed(&error, error.hint()))? {
        return Ok(());
    }
    let act = Act::owner(name, Clock::system().now());
    wait(async { Store::open(&path).await?.record(&act, Line { change: name, detail, ..Line::default() }).await })
}

/// Ends the invite of a doorward that does not run; the caller holds the lock of the state.
pub(super) fn end_invite(config: &Config, name: &'static str) -> Result<(), Failure> {
    let path = config.state_dir.join(FILE_NAME);
    if Store::is_absent(&path).map_err(|error| Failure::failed(&error, error.hint()))? {
        return Ok(());
    }
    let act = Act::owner(name, Clock::system().now());
    wait(async {
        let store = Store::open(&path).await?;
        let invite = store.invite().await?;
        store.commit(&step::cancel_invite(invite.as_ref(), act.at).changes, &act).await
    })
}

/// A moment that somebody named.
fn since(text: &str, now: UnixMillis) -> Result<UnixMillis, Failure> {
    let unknown = || {
        let shown = printable(text, LABEL_CHARS_MAX);
        Failure::usage(format!("not a time: {shown}"), "say an age such as 90m, 24h or 7d, or a day such as 2026-11-21")
    };
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    for (unit, millis) in units {
        if let Some(number) = text.strip_suffix(unit) {
            let number: i64 = number.parse().ok().filter(|number| *number >= 0).ok_or_else(unknown)?;
            return Ok(now.plus(number.saturating_mul(millis).saturating_neg()));
        }
    }
    day(text).ok_or_else(unknown)
}

fn day(text: &str) -> Option<UnixMillis> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    Some(UnixMillis(date.midnight().assume_utc().unix_timestamp().saturating_mul(1_000)))
}

fn line(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("-");
    let at = entry.get("at").and_then(Value::as_i64).unwrap_or_default();
    let mut line = format!("{}  {}", utc(at), text("act"));
    if text("change") != text("act") {
        let _ = write!(line, "  {}", text("change"));
    }
    for (word, name) in [("by", "actor"), ("device", "device"), ("request", "request"), ("digest", "digest")] {
        if text(name) != "-" {
            let _ = write!(line, "  {word} {}", text(name));
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_age_or_a_day() {
        let now = UnixMillis(1_793_491_200_000);
        for (text, at) in [
            ("0s", now.0),
            ("90m", now.0 - 5_400_000),
            ("24h", now.0 - 86_400_000),
            ("7d", now.0 - 7 * 86_400_000),
            ("2026-11-01", now.0),
        ] {
            assert_eq!(since(text, now).unwrap().0, at, "{text}");
        }
        for bad in ["", "d", "-1d", "1w", "yesterday", "2026-13-01", "2026-11-31", "2026-11"] {
            assert!(since(bad, now).is_err(), "{bad}");
        }
    }
}
