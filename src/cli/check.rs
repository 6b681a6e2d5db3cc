//! `doorward check`: everything a start would refuse, without starting. It makes and changes nothing.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::lock::check_private;
use crate::base::clock::Clock;
use crate::certificates::files;
use crate::config::Config;
use crate::listener;
use crate::origin::{ClientIpHeader, LocalRule, ProxyProtocol};
use crate::store::keys::private_file;
use crate::store::keys::token::TokenSource;

use super::failure::Failure;
use super::{Context, Form, print, print_json};

pub(super) fn check(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let problems = problems(&config);
    match context.form {
        Form::Json => print_json(&json!({
            "ok": problems.is_empty(),
            "problems": problems.iter().map(|(error, hint)| json!({"error": error, "hint": hint})).collect::<Vec<_>>(),
            "warnings": config.warnings,
            "stateDir": config.state_dir,
            "listeners": config.listeners.iter().map(describe).collect::<Vec<_>>(),
        }))?,
        Form::Text => print(&shown(&config, &problems))?,
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::told()) }
}

/// What stands in the way of a start besides the configuration's own text: an error and a hint each.
fn problems(config: &Config) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let state = &config.state_dir;
    if state.exists()
        && let Err(error) = check_private(state)
    {
        problems.push((error.to_string(), error.hint()));
    }
    let token = TokenSource::of(config.token_file.as_deref(), state);
    // One of our own that is absent is made at the first start.
    let readable = matches!(token, TokenSource::Operator(_)) || token.path().exists();
    if readable && let Err(error) = token.open() {
        problems.push((error.to_string(), error.hint()));
    }
    for key in keys(state) {
        if let Err(error) = private_file::read(&key) {
            problems.push((error.to_string(), error.hint()));
        }
    }
    let now = Clock::system().now();
    for pair in &config.certificates.files {
        if let Err(error) = files::load(pair, now) {
            problems.push((error.to_string(), error.hint()));
        }
    }
    problems
}

/// The private keys that are kept: PEM files in the folders of the state folder.
fn keys(state: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let inside = entries(state).filter(|path| path.is_dir()).flat_map(|folder| entries(&folder).collect::<Vec<_>>());
    let mut keys: Vec<_> = inside.filter(|path| path.extension().is_some_and(|end| end == "pem")).collect();
    keys.sort();
    keys
}

fn shown(config: &Config, problems: &[(String, String)]) -> String {
    let mut shown = String::new();
    for (error, hint) in problems {
        let _ = writeln!(shown, "{error}\nhint: {hint}");
    }
    for warning in &config.warnings {
        let _ = writeln!(shown, "warning: {warning}");
    }
    if !problems.is_empty() {
        return shown;
    }
    let file =
        config.file.as_deref().map_or_else(|| "built-in local profile".to_owned(), |file| file.display().to_string());
    let _ = writeln!(shown, "ok: {file}\nstate    {}{}", config.state_dir.display(), new(&config.state_dir));
    for listener in &config.listeners {
        let addresses: Vec<_> = listener.bind.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            shown,
            "listener {}  {}, serves {}, {}  {}",
            listener.name,
            listener.protocol.as_str(),
            listener.serve.as_str(),
            believes(listener),
            addresses.join(" ")
        );
    }
    shown
}

fn new(folder: &Path) -> &'static str {
    if folder.exists() { "" } else { " (will be made)" }
}

/// What a listener takes as the origin of a call.
fn believes(listener: &listener::Settings) -> String {
    let origin = &listener.origin;
    let mut words = vec![match origin.proxy_protocol {
        ProxyProtocol::Off => "the socket's peer",
        ProxyProtocol::Required { .. } => "the PROXY header",
    }];
    match origin.client_ip_header {
        ClientIpHeader::None => {}
        ClientIpHeader::XForwardedFor => words.push("x-forwarded-for of trusted proxies"),
    }
    match origin.local {
        LocalRule::Never => {}
        LocalRule::Loopback { .. } => words.push("loopback may be local"),
    }
    format!("reads {}", words.join(", "))
}

fn describe(listener: &listener::Settings) -> Value {
    json!({
        "name": listener.name,
        "addresses": listener.bind.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "protocol": listener.protocol.as_str(),
        "serve": listener.serve.as_str(),
        "local": matches!(listener.origin.local, LocalRule::Loopback { .. }),
    })
}
