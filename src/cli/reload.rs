//! `doorward reload`: the running instance reads its configuration again.

use serde_json::Value;

use crate::admin::request::Request;

use super::failure::Failure;
use super::instance::Instance;
use super::{Context, Form, print, print_json};

pub(super) fn reload(context: &Context) -> Result<(), Failure> {
    // The instance judges the file, not we: it knows what a reload would change, and what it cannot.
    let answer = Instance::find_untold(context)?.ask(&Request::Reload)?;
    match context.form {
        Form::Json => print_json(&answer),
        Form::Text => print(&shown(&answer)),
    }
}

fn shown(answer: &Value) -> String {
    let texts = |key: &str| {
        let list = answer.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = texts("warnings").into_iter().map(|warning| format!("warning: {warning}")).collect();
    match texts("changed") {
        changed if changed.is_empty() => lines.push("reloaded: nothing has changed".to_owned()),
        changed => lines.extend(changed.into_iter().map(|key| format!("changed: {key}"))),
    }
    lines.join("\n") + "\n"
}
