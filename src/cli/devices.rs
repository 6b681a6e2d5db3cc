//! `doorward devices`: who waits, who is paired, and the owner's word on them.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::request::Request;
use crate::base::clock::Clock;
use crate::base::owner_command::OwnerCommand;

use super::ask::ask;
use super::failure::Failure;
use super::{Context, Form, print, print_json};

mod shown;

pub(super) use shown::text;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show pending requests and paired devices.
    List,
    /// Approve the pending request with this id, exactly as it was listed.
    Approve {
        /// The request's id.
        #[arg(value_name = "REQUEST_ID")]
        request_id: String,
        /// The digest that was listed with it; if the request is another one by now, nothing is approved.
        #[arg(long, value_name = "DIGEST")]
        digest: Option<String>,
    },
    /// Reject the pending request with this id.
    Reject {
        /// The request's id.
        #[arg(value_name = "REQUEST_ID")]
        request_id: String,
    },
}

pub(super) fn devices(command: &Command, context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    match command {
        Command::List => {
            let lists = ask(&Request::Devices, &config, context)?;
            match context.form {
                Form::Json => print_lists(lists),
                Form::Text => {
                    print(&shown::lists(&lists, &OwnerCommand::new(config.file.as_deref()), Clock::system().now()))
                }
            }
        }
        Command::Approve { request_id, digest } => {
            let request = Request::Approve { request_id: request_id.clone(), digest: digest.clone() };
            told("Approved", &ask(&request, &config, context)?, context)
        }
        Command::Reject { request_id } => {
            told("Rejected", &ask(&Request::Reject { request_id: request_id.clone() }, &config, context)?, context)
        }
    }
}

/// Both lists in the gateway's own order, which a JSON value of ours would not keep.
fn print_lists(lists: Value) -> Result<(), Failure> {
    #[derive(Deserialize, Serialize)]
    struct Lists {
        pending: Vec<Value>,
        paired: Vec<Value>,
    }
    let pretty = serde_json::from_value(lists).and_then(|lists: Lists| serde_json::to_string_pretty(&lists));
    let text = pretty.map_err(|error| {
        Failure::failed(
            format!("the running doorward answers otherwise: {error}"),
            "use the doorward of the same version",
        )
    })?;
    print(&format!("{text}\n"))
}

/// `Approved <deviceId> (<requestId>)`, as the gateway's own command says it.
fn told(word: &str, answer: &Value, context: &Context) -> Result<(), Failure> {
    if context.form == Form::Json {
        return print_json(answer);
    }
    let device = answer.pointer("/device/deviceId").or_else(|| answer.get("deviceId"));
    let request = shown::text(answer.get("requestId"));
    print(&format!("{word} {} ({request})\n", shown::text(device)))
}
