//! `doorward explain`: decisions told step by step, without a running instance.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Read, Write};

use clap::Args;

use crate::base::limits::BATCH_BYTES_MAX;
use crate::explain::batch::{self, BatchError};

use super::failure::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Read cases from FILE (`-` is standard input), as JSON lines or an object with `vectors`, and print one JSON line each.
    #[arg(long, value_name = "FILE", required = true)]
    batch: String,
}

pub(super) fn explain(arguments: &Arguments) -> Result<(), Failure> {
    let input = read(&arguments.batch).map_err(|error| {
        Failure::failed(
            format!("the cases cannot be read ({error}): {}", arguments.batch),
            "name a file, or - for standard input",
        )
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
