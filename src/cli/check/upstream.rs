//! `doorward check --upstream`: whether the gateway behind us is there and takes us, and what to set where it does not.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::admin::client::CallError;
use crate::admin::request::Request;
use crate::app::look_upstream;
use crate::cli::failure::Failure;
use crate::cli::instance::Instance;
use crate::cli::{Context, Form, print, print_json};
use crate::config::Config;
use crate::core::upstream::advice;

pub(super) fn check(config: &Config, context: &Context) -> Result<(), Failure> {
    let Some(settings) = &config.core.upstream else {
        return Err(Failure::usage("there is no [core.upstream] in the configuration", "name its url there"));
    };
    // Whoever runs knows whether it takes us; from here only its first word can be had without being somebody else there.
    let asked = Instance::of(config.clone(), context).call(&Request::Status);
    if let Err(error @ (CallError::Broken { .. } | CallError::Refused { .. })) = &asked {
        let _ = writeln!(io::stderr(), "warning: {error}; so this tells only whether a gateway answers");
    }
    let status = asked.unwrap_or_default();
    let running = of_running(&status, &settings.endpoint.to_string());
    let text = |key: &str| running.and_then(|upstream| upstream.get(key)).and_then(Value::as_str).map(str::to_owned);
    let (state, told, hint) = match text("state").zip(text("told")) {
        Some((state, told)) => (state, told, text("hint")),
        None => match look_upstream(settings).map_err(|error| Failure::failed(&error, error.hint()))? {
            Some(state) => (state.word().to_owned(), state.to_string(), advice::hint(&state, settings)),
            None => {
                let told = "answers; whether it takes us shows when doorward runs".to_owned();
                ("answers".to_owned(), told, None)
            }
        },
    };
    let (ok, lines) = (state == "up" || state == "answers", advice::openclaw_json(settings));
    match context.form {
        Form::Json => print_json(&json!({
            "ok": ok, "url": settings.endpoint.to_string(), "mode": settings.mode.as_str(), "state": state, "told": told,
            "hint": hint, "openclawJson": lines,
        }))?,
        Form::Text => {
            let hint = hint.map_or_else(String::new, |hint| format!("hint: {hint}\n"));
            let needs = if ok { "" } else { "its openclaw.json needs, and nothing else for doorward:\n" };
            let lines = if ok { String::new() } else { format!("{lines}\n") };
            print(&format!("upstream {}  {told}\n{hint}{needs}{lines}", settings.endpoint))?;
        }
    }
    if ok { Ok(()) } else { Err(Failure::told()) }
}

/// What the running doorward says of the gateway at `url`; nothing if it still goes by another one, as after an edit.
fn of_running<'a>(status: &'a Value, url: &str) -> Option<&'a Value> {
    status.get("upstream").filter(|upstream| upstream.get("url").is_some_and(|running| running == url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_speaks_only_for_the_gateway_that_it_has() {
        let status = json!({"upstream": {"url": "http://a:1", "state": "up", "told": "up"}});
        assert_eq!(of_running(&status, "http://a:1"), Some(&status["upstream"]));
        assert_eq!(of_running(&status, "http://b:1"), None, "the file was edited since");
        for none in [json!({"upstream": null}), json!({"upstream": {"state": "up"}}), Value::Null] {
            assert_eq!(of_running(&none, "http://a:1"), None, "{none}");
        }
    }
}
