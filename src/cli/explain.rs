//! `doorward explain`: what the running instance decided, told step by step; and cases tried without one.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Read, Write};

use clap::Args;
use serde_json::Value;

use crate::admin::request::Request;
use crate::base::limits::BATCH_BYTES_MAX;
use crate::explain::batch::{self, BatchError};

use super::failure::Failure;
use super::instance::Instance;
use super::{Context, Form, print, print_json};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The decision's connection id, pairing request id or code: they stand in the log and in the refusal.
    #[arg(value_name = "ID", required_unless_present_any = ["batch", "last_denied"], conflicts_with_all = ["batch", "last_denied"])]
    id: Option<String>,
    /// Tell the last refusal, and who else was refused lately.
    #[arg(long, conflicts_with = "batch")]
    last_denied: bool,
    /// Read cases from FILE (`-` is standard input), as JSON lines or an object with `vectors`, and print one JSON line each.
    #[arg(long, value_name = "FILE")]
    batch: Option<String>,
}

pub(super) fn explain(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    match &arguments.batch {
        Some(file) => batch(file),
        None => one(arguments.id.clone(), context),
    }
}

fn one(id: Option<String>, context: &Context) -> Result<(), Failure> {
    let answer = Instance::find(context)?.ask(&Request::Explain { id })?;
    match context.form {
        Form::Json => print_json(answer.get("account").unwrap_or(&Value::Null)),
        Form::Text => print(answer.get("text").and_then(Value::as_str).unwrap_or_default()),
    }
}

fn batch(file: &str) -> Result<(), Failure> {
    let input = read(file).map_err(|error| {
        Failure::failed(format!("the cases cannot be read ({error}): {file}"), "name a file, or - for standard input")
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = batch::run(&input, &mut out).and_then(|()| Ok(out.flush()?));
    match written {
        Ok(()) => Ok(()),
        Err(BatchError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error @ BatchError::Write(_)) => Err(Failure::failed(error, "see where standard output leads")),
        Err(error @ (BatchError::Case { .. } | BatchError::TooLong)) => {
            // What was decided before the bad case is worth having.
            let _ = out.flush();
            Err(Failure::usage(error, "each case is one JSON object, as in an object's `vectors`"))
        }
    }
}

fn read(file: &str) -> io::Result<String> {
    let limit = u64::try_from(BATCH_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    match file {
        "-" => io::stdin().lock().take(limit).read_to_string(&mut text)?,
        file => fs::File::open(file)?.take(limit).read_to_string(&mut text)?,
    };
    Ok(text)
}
