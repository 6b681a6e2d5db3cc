//! The command line. What scripts rest on: the commands, `--config`, `--json`, and the exit codes: 0 done, 1 failed,
//! 2 usage or invalid configuration. Nothing ever prompts but
//! `certs recreate-ca`, and that only on a terminal.

mod audit;
mod certs;
mod check;
mod dashboard;
mod devices;
mod explain;
mod failure;
mod import;
mod instance;
mod invite;
mod keys;
mod reload;
mod run;
mod status;
mod store;
mod token;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::config::place::Environment;

use failure::Failure;

/// The front door of an OpenClaw gateway.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, about)]
struct Arguments {
    /// The configuration; default: $DOORWARD_CONFIG, else ./doorward.toml, else the built-in local profile.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run in the foreground until SIGTERM or Ctrl-C.
    Run(run::Arguments),
    /// Judge the configuration and the state folder without starting anything.
    Check(check::Arguments),
    /// Tell a decision step by step: who called, how that was found, what came of it and what to change.
    Explain(explain::Arguments),
    /// List, approve and reject devices.
    #[command(subcommand)]
    Devices(devices::Command),
    /// Tell who changed what about who may enter, and verify that nothing was taken out of that log.
    Audit(audit::Arguments),
    /// Move in from an OpenClaw gateway: its paired devices and their tokens. Nothing is changed there.
    #[command(subcommand)]
    Import(import::Command),
    /// Show a one-time link, and its QR code, that pairs the device which opens it first.
    Invite(invite::Arguments),
    /// Check, copy or restore the store.
    #[command(subcommand)]
    Store(store::Command),
    /// Show or replace the gateway token.
    #[command(subcommand)]
    Token(token::Command),
    /// Open the dashboard in the browser, signed in.
    Dashboard(dashboard::Arguments),
    /// Let the running instance read its configuration again: whole or not at all, and no connection is closed.
    Reload,
    /// List, renew and export certificates, and the local CA for devices that are to trust it.
    #[command(subcommand)]
    Certs(certs::Command),
    /// List or replace the keys that sign where calls come from.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Tell how the running instance is; exit code 0 only if all is well.
    Status,
}

/// How a command prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Json,
    Text,
}

/// What every command has at hand.
#[derive(Debug)]
struct Context {
    named: Option<PathBuf>,
    environment: Environment,
    form: Form,
}

impl Context {
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.named.as_deref(), &self.environment)?)
    }
}

/// Runs the command that `arguments` say, the first of them being the program's own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&mut io::stderr()),
    }
}

fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    let environment = Environment::read().map_err(|error| {
        Failure::failed(format!("the working folder cannot be read: {error}"), "change to a folder that exists")
    })?;
    let form = if arguments.json { Form::Json } else { Form::Text };
    let context = Context { named: arguments.config, environment, form };
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments, &context),
        Command::Check(arguments) => check::check(&arguments, &context),
        Command::Explain(arguments) => explain::explain(&arguments, &context),
        Command::Devices(command) => devices::devices(&command, &context),
        Command::Audit(arguments) => audit::audit(&arguments, &context),
        Command::Import(command) => import::import(&command, &context),
        Command::Invite(arguments) => invite::invite(&arguments, &context),
        Command::Store(command) => store::store(&command, &context),
        Command::Token(command) => token::token(&command, &context),
        Command::Dashboard(arguments) => dashboard::dashboard(&arguments, &context),
        Command::Reload => reload::reload(&context),
        Command::Certs(command) => certs::certs(&command, &context),
        Command::Keys(command) => keys::keys(&command, &context),
        Command::Status => status::status(&context),
    }
}

/// Writes to standard output. A reader that has enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output cannot be written: {error}"), "see where it leads"))
        }
        _ => Ok(()),
    }
}

/// Writes a value as JSON, two spaces deep, as the gateway's own commands do.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}
