//! `doorward devices`: who waits, who is paired, and the owner's word on them.

use clap::{ArgAction, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admin::client::CallError;
use crate::admin::request::Request;
use crate::base::clock::Clock;
use crate::pairing::paired::ApprovedVia;
use crate::protocol::scope::{Role, Scope};

use super::failure::Failure;
use super::instance::Instance;
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
    /// Forget a paired device: what it may do, its tokens and requests; its connections are closed.
    Remove {
        /// The device's id.
        #[arg(value_name = "DEVICE_ID")]
        device_id: String,
    },
    /// Give a paired device a name of your own.
    Rename {
        /// The device's id.
        #[arg(long, value_name = "DEVICE_ID")]
        device: String,
        /// Its name, at most 64 characters.
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Replace a device's token; its connections are closed, and it gets the new one when it connects with the gateway token.
    Rotate {
        #[command(flatten)]
        grant: Grant,
        /// A scope that is left to it, for each; all that it has, if none is named.
        #[arg(long, value_name = "SCOPE", value_parser = scope)]
        scope: Vec<Scope>,
        /// Leave it no scope at all.
        #[arg(long, conflicts_with = "scope")]
        no_scopes: bool,
    },
    /// Take back what a device may do in one role; its connections are closed, and it must be approved anew.
    Revoke {
        #[command(flatten)]
        grant: Grant,
    },
    /// Forget every paired device.
    Clear {
        /// Yes, all of them.
        #[arg(long, action = ArgAction::SetTrue)]
        yes: bool,
        /// Reject all pending requests too.
        #[arg(long)]
        pending: bool,
    },
}

/// A device in one of its roles.
#[derive(Debug, clap::Args)]
pub(super) struct Grant {
    /// The device's id.
    #[arg(long, value_name = "DEVICE_ID")]
    device: String,
    /// The role: operator or node.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
}

fn role(word: &str) -> Result<Role, &'static str> {
    Role::parse(word).ok_or("operator or node")
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

pub(super) fn devices(command: &Command, context: &Context) -> Result<(), Failure> {
    let instance = Instance::find(context)?;
    match command {
        Command::List => list(&instance, context),
        Command::Approve { request_id, digest } => {
            let request = Request::Approve { request_id: request_id.clone(), digest: digest.clone() };
            told("Approved", &instance.ask(&request)?, context)
        }
        Command::Reject { request_id } => {
            told("Rejected", &instance.ask(&Request::Reject { request_id: request_id.clone() })?, context)
        }
        Command::Remove { device_id } => {
            let rule = approving_rule(&instance.ask(&Request::Devices)?, device_id);
            let answer = instance.ask(&Request::Remove { device_id: device_id.clone() })?;
            let again = rule.map(|rule| {
                format!(
                    "Its key does not come back by a rule; with another key it can: rule {rule} let it in. Change that rule \
                     and `doorward reload`, if whoever has it is to stay out.\n"
                )
            });
            let words = format!("Removed {}\n{}", shown::text(answer.get("deviceId")), again.unwrap_or_default());
            said(&answer, &words, context)
        }
        Command::Rename { device, name } => {
            let request = Request::Rename { device_id: device.clone(), label: name.clone() };
            let answer = instance.ask(&request)?;
            let (device, label) = (shown::text(answer.get("deviceId")), shown::text(answer.get("label")));
            said(&answer, &format!("Renamed {device} → {label}\n"), context)
        }
        Command::Rotate { grant, scope, no_scopes } => {
            let named = *no_scopes || !scope.is_empty();
            let scopes = named.then(|| scope.iter().cloned().collect());
            let request = Request::RotateDevice { device_id: grant.device.clone(), role: grant.role, scopes };
            print_json(&instance.ask(&request)?)
        }
        Command::Revoke { grant } => {
            let request = Request::Revoke { device_id: grant.device.clone(), role: grant.role };
            print_json(&instance.ask(&request)?)
        }
        Command::Clear { yes: false, .. } => Err(Failure::usage(
            "refusing to forget every paired device without --yes",
            "doorward devices list shows them; doorward devices clear --yes forgets them",
        )),
        Command::Clear { yes: true, pending } => clear(*pending, &instance, context),
    }
}

/// The rule that let this device in last, if one did; as a person may be shown it.
fn approving_rule(lists: &Value, device: &str) -> Option<String> {
    let named = |paired: &&Value| paired.get("deviceId").and_then(Value::as_str) == Some(device);
    let paired = lists.get("paired")?.as_array()?.iter().find(named)?;
    match ApprovedVia::parse(paired.get("approvedVia")?.as_str()?)? {
        ApprovedVia::Rule(name) => Some(name.to_string()),
        _ => None,
    }
}

fn list(instance: &Instance, context: &Context) -> Result<(), Failure> {
    let lists = instance.ask(&Request::Devices)?;
    match context.form {
        Form::Json => print_lists(lists),
        Form::Text => print(&shown::lists(&lists, &instance.owner_command(), Clock::system().now())),
    }
}

/// Forgets one device after the other, as the gateway's own command does: each is gone for good when the next is looked
/// at, so that a fault in between leaves no doubt about those before it.
fn clear(pending: bool, instance: &Instance, context: &Context) -> Result<(), Failure> {
    let lists = instance.ask(&Request::Devices)?;
    let ids = |list: &str, key: &str| -> Vec<String> {
        let entries = lists.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(|entry| entry.get(key)?.as_str()).map(str::to_owned).collect()
    };
    let (mut removed, mut rejected) = (Vec::new(), Vec::new());
    for device_id in ids("paired", "deviceId") {
        instance.ask(&Request::Remove { device_id: device_id.clone() })?;
        removed.push(device_id);
    }
    for request_id in ids("pending", "requestId").into_iter().filter(|_| pending) {
        match instance.call(&Request::Reject { request_id: request_id.clone() }) {
            Ok(_) => rejected.push(request_id),
            // It went with its device, or with its time: what was asked for holds.
            Err(CallError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut words = format!("Cleared {}\n", counted(removed.len(), "paired device"));
    if pending {
        words.push_str(&format!("Rejected {}\n", counted(rejected.len(), "pending request")));
    }
    said(&json!({ "removedDevices": removed, "rejectedPending": rejected }), &words, context)
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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
    let device = answer.pointer("/device/deviceId").or_else(|| answer.get("deviceId"));
    let request = shown::text(answer.get("requestId"));
    said(answer, &format!("{word} {} ({request})\n", shown::text(device)), context)
}

fn said(answer: &Value, words: &str, context: &Context) -> Result<(), Failure> {
    match context.form {
        Form::Json => print_json(answer),
        Form::Text => print(words),
    }
}
