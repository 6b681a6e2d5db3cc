//! `doorward certs recreate-ca`.

use std::io::{self, BufRead, IsTerminal, Read};

use clap::Args;
use serde_json::json;

use crate::base::clock::Clock;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::certificates::recreate_ca;
use crate::config::Config;

use super::super::failure::Failure;
use super::super::instance::lock;
use super::super::{Context, Form, print, print_json};

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn recreate(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    // A running instance would go on with the one it has read.
    let _lock = lock(&config)?;
    if !arguments.yes && !agreed(&config)? {
        return Err(Failure::failed("nothing was changed", "answer `yes`, or add --yes"));
    }
    let made = recreate_ca(&config.certificates, Clock::system().now());
    let (authority, kept) = made.map_err(|error| Failure::failed(&error, error.hint()))?;
    if context.form == Form::Json {
        return print_json(&json!({
            "name": authority.name(), "sha256": authority.sha256(), "sha1": authority.sha1(), "kept": kept,
        }));
    }
    let kept = kept.map_or_else(String::new, |kept| {
        format!(
            "The old one is kept, with its private key, in {}: remove it once no device needs it.\n",
            kept.display()
        )
    });
    print(&format!(
        "{}\nSHA-256 {}\nSHA-1   {}\n{kept}Each device that trusted the old one must now remove that and install this one: \
         /doorward/ca, or `doorward certs export --ca`.\n",
        authority.name(),
        authority.sha256(),
        authority.sha1()
    ))
}

/// Asks whoever sits there; nobody else is asked.
fn agreed(config: &Config) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("this is asked on a terminal only", "add --yes"));
    }
    print(&format!(
        "This replaces the local CA in {}. Every device that trusts it, and every program that was given its file, will \
         refuse this house until it has the new one.\nType yes to go on: ",
        config.state_dir.display()
    ))?;
    let (mut answer, most) = (String::new(), u64::try_from(LABEL_CHARS_MAX).unwrap_or(u64::MAX));
    let read = io::stdin().lock().take(most).read_line(&mut answer);
    Ok(read.is_ok() && answer.trim() == "yes")
}
