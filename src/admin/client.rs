//! The asking half of the admin socket, blocking: a command asks one thing and ends.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;
use thiserror::Error;

use crate::base::limits::ADMIN_ANSWER_BYTES_MAX;
use crate::base::limits::ADMIN_WAIT;

use super::request::{Reply, Request};

/// Asks the first instance that listens on one of `places`.
///
/// # Errors
/// [`CallError`].
pub fn call(places: &[PathBuf], request: &Request) -> Result<Value, CallError> {
    for place in places {
        match UnixStream::connect(place) {
            Ok(stream) => {
                return ask(stream, request).map_err(|cause| CallError::Broken { place: place.clone(), cause })?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
            Err(cause) => return Err(CallError::Broken { place: place.clone(), cause }),
        }
    }
    Err(CallError::NotRunning { places: places.to_vec() })
}

fn ask(mut stream: UnixStream, request: &Request) -> io::Result<Result<Value, CallError>> {
    // The instance has as long for its answer, and says so itself when it fails.
    let wait = Some(ADMIN_WAIT.saturating_mul(2));
    stream.set_read_timeout(wait)?;
    stream.set_write_timeout(wait)?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let limit = u64::try_from(ADMIN_ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(match serde_json::from_slice(&line)? {
        Reply::Done(value) => Ok(value),
        Reply::Failed { error, hint } => Err(CallError::Refused { error, hint }),
    })
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// The socket is there, but the conversation failed.
    #[error("the running doorward cannot be asked ({cause}): {}", place.display())]
    Broken {
        /// The socket.
        place: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// No instance listens.
    #[error("no doorward is running with this configuration, nobody listens on: {}", listed(places))]
    NotRunning {
        /// The sockets that were tried.
        places: Vec<PathBuf>,
    },
    /// The instance said no.
    #[error("{error}")]
    Refused {
        /// What it said.
        error: String,
        /// What to do.
        hint: String,
    },
}

fn listed(places: &[PathBuf]) -> String {
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    places.join(", ")
}
