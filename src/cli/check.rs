//! `doorward check`: everything a start would refuse, without starting. It makes and changes nothing.

mod upstream;

use std::fmt::Write;
use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::admin::request::Request;
use crate::app::AppError;
use crate::app::{exposed, judge, look_around};
use crate::certificates::acme;
use crate::config::Config;
use crate::listener;
use crate::listener::bind::BindError;
use crate::origin::{ClientIpHeader, LocalRule, ProxyProtocol};

use super::failure::Failure;
use super::instance::Instance;
use super::{Context, Form, print, print_json};

/// What is judged besides.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Judge the gateway behind us alone: whether it is there and takes us, and what its openclaw.json needs.
    #[arg(long)]
    upstream: bool,
}

pub(super) fn check(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let mut config = context.config()?;
    if arguments.upstream {
        return upstream::check(&config, context);
    }
    let (known, exposed) = ask_of_ports(&config, context);
    config.warnings.extend(exposed.into_iter().chain(look_around(&config, &known)));
    let (absent, problems): (Vec<_>, Vec<_>) = judge(&config, &context.environment).into_iter().partition(may_come);
    let absent = absent.iter().map(|error| format!("{error}: a start is refused until it has; {}", error.hint()));
    let warnings: Vec<String> = config.warnings.iter().cloned().chain(absent).collect();
    match context.form {
        Form::Json => print_json(&json!({
            "ok": problems.is_empty(),
            "problems": problems.iter().map(|error| json!({"error": error.to_string(), "hint": error.hint()})).collect::<Vec<_>>(),
            "notes": config.notes,
            "warnings": warnings,
            "stateDir": config.state_dir,
            "listeners": config.listeners.iter().map(describe).collect::<Vec<_>>(),
            "acme": config.certificates.acme.iter().map(|order| json!(Order::of(order))).collect::<Vec<_>>(),
            "metrics": config.metrics.bind.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?,
        Form::Text => print(&shown(&config, &problems, &warnings))?,
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::told()) }
}

/// The published ports that a running instance looks after, and what it found of those that are not proven closed.
fn ask_of_ports(config: &Config, context: &Context) -> (Vec<u16>, Vec<String>) {
    let status = Instance::of(config.clone(), context).call(&Request::Status).unwrap_or_default();
    let listeners = status.get("listeners").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (mut known, mut shown) = (Vec::new(), Vec::new());
    for published in listeners.iter().filter_map(|listener| listener.get("published")) {
        let port = published.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let text = |key: &str| published.get(key).and_then(Value::as_str);
        let Some((port, found)) = port.zip(text("found")) else { continue };
        known.push(port);
        if published.get("closed") != Some(&Value::Bool(true)) {
            shown.push(exposed(port, found, text("hint").unwrap_or_default()));
        }
    }
    (known, shown)
}

/// An address that this machine does not have may come with a cable, a lease or a tunnel.
fn may_come(error: &AppError) -> bool {
    matches!(error, AppError::Bind(BindError::Unavailable { .. }))
}

fn shown(config: &Config, problems: &[AppError], warnings: &[String]) -> String {
    let mut shown = String::new();
    for error in problems {
        let _ = writeln!(shown, "{error}\nhint: {}", error.hint());
    }
    for warning in warnings {
        let _ = writeln!(shown, "warning: {warning}");
    }
    if !problems.is_empty() {
        return shown;
    }
    let file =
        config.file.as_deref().map_or_else(|| "built-in local profile".to_owned(), |file| file.display().to_string());
    let _ = writeln!(shown, "ok: {file}\nstate    {}{}", config.state_dir.display(), new(&config.state_dir));
    for note in &config.notes {
        let _ = writeln!(shown, "note     {note}");
    }
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
    for Order { names, directories, challenges } in config.certificates.acme.iter().map(Order::of) {
        let (names, challenges, directories) = (names.join(", "), challenges.join(", "), directories.join(", else "));
        let _ = writeln!(shown, "acme     {names}  shown to be yours by {challenges}  from {directories}");
    }
    for address in &config.metrics.bind {
        let _ = writeln!(shown, "metrics  http://{address}/metrics");
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
        ProxyProtocol::Off => "the socket's peer".to_owned(),
        ProxyProtocol::Required { .. } => "the PROXY header".to_owned(),
    }];
    if origin.client_ip_header != ClientIpHeader::None {
        words.push(format!("{} of trusted proxies", origin.client_ip_header.as_str()));
    }
    match origin.local {
        LocalRule::Never => {}
        LocalRule::Loopback { .. } => words.push("loopback may be local".to_owned()),
        LocalRule::PublishedLoopback { .. } => words.push("the host's loopback may be local".to_owned()),
    }
    format!("reads {}", words.join(", "))
}

/// What is ordered of a public CA.
#[derive(Serialize)]
struct Order<'a> {
    names: Vec<String>,
    /// In the order in which they are asked.
    directories: &'a [String],
    /// Those that some listener answers, in turns.
    challenges: Vec<&'static str>,
}

impl<'a> Order<'a> {
    fn of(wanted: &'a acme::Settings) -> Self {
        let names = wanted.names.iter().map(ToString::to_string).collect();
        let challenges = wanted.challenges.iter().map(|kind| kind.word()).collect();
        Self { names, directories: &wanted.directories, challenges }
    }
}

fn describe(listener: &listener::Settings) -> Value {
    json!({
        "name": listener.name,
        "addresses": listener.bind.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "protocol": listener.protocol.as_str(),
        "serve": listener.serve.as_str(),
        "local": listener.origin.local != LocalRule::Never,
    })
}
