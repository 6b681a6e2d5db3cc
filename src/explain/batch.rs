//! `explain --batch`: cases with known facts in, one line of JSON with the decision out.
//!
//! It runs the very code that serves callers ([`crate::origin`]), without a socket, so that somebody can hold doorward
//! against a list of known attacks, or see where a chain of proxies ends, before a caller comes. A case is no
//! configuration: each of its values is judged (`config_reject`), but not which of them may stand together, so a header
//! that nobody may send is simply not believed where `doorward check` refuses it. What a case cannot hold is taken as
//! favourable as it can be: `danger_wide_trust` is set, and the owner of the peer's socket is met.

mod case;
mod judge;

use std::io;
use std::io::Write;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use self::case::Case;
use crate::base::limits::BATCH_BYTES_MAX;

/// Reads cases, an object with `vectors` or JSON lines, and writes one line of JSON for each.
///
/// # Errors
/// [`BatchError`] at the first case that cannot be read; the lines before it are written.
pub fn run(input: &str, out: &mut impl Write) -> Result<(), BatchError> {
    if input.len() > BATCH_BYTES_MAX {
        return Err(BatchError::TooLong);
    }
    if is_document(input) {
        let document: Document = serde_json::from_str(input).map_err(|error| BatchError::json(1, &error))?;
        return document.vectors.iter().try_for_each(|case| answer(case, out));
    }
    for (index, line) in input.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let case = serde_json::from_str(line).map_err(|error| BatchError::json(index + 1, &error))?;
        answer(&case, out)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Document {
    vectors: Vec<Case>,
}

/// Whether this is one object with `vectors`, perhaps a broken one, and not a list of lines.
fn is_document(input: &str) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        vectors: Option<IgnoredAny>,
    }
    let first_line = input.trim_start().lines().next().unwrap_or_default().trim_end();
    match serde_json::Deserializer::from_str(input).into_iter::<Probe>().next() {
        Some(Ok(probe)) => probe.vectors.is_some(),
        Some(Err(_)) => first_line == "{" || first_line.contains("\"vectors\""),
        None => false,
    }
}

fn answer(case: &Case, out: &mut impl Write) -> Result<(), BatchError> {
    // A verdict is numbers and short words: it always has a JSON form, so a failure is the writer's.
    serde_json::to_writer(&mut *out, &judge::judge(case)).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Why a batch stopped.
#[derive(Debug, Error)]
pub enum BatchError {
    /// Not a case.
    #[error("line {line}: {cause}")]
    Case {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// More than is read.
    #[error("more than {BATCH_BYTES_MAX} bytes of cases")]
    TooLong,
    /// The output is gone.
    #[error("output: {0}")]
    Write(#[from] io::Error),
}

impl BatchError {
    fn json(first_line: usize, error: &serde_json::Error) -> Self {
        Self::Case { line: first_line + error.line().saturating_sub(1), cause: error.to_string() }
    }
}

#[cfg(test)]
mod tests;
