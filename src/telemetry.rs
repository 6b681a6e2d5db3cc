//! What doorward tells its operator while it runs: one subscriber for `tracing` and `log`, text for a person,
//! JSON lines for a collector. The access log goes the same way, under the target [`ACCESS`].

pub mod gate;
mod output;
mod text;
pub mod words;

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use output::Output;
use text::Text;

pub use output::Log;

/// The target of the access log: `DOORWARD_LOG=access=off` silences it, `[log] access = false` too.
pub const ACCESS: &str = "access";

/// The fields that a line of the log may have, each with one meaning; `tests/tidy.rs` holds every line to them. A value
/// that a collector asks for by name must not change its name by a slip.
pub const FIELDS: [&str; 56] = [
    "act",
    "advice",
    "agent",
    "alarm",
    "bind",
    "by",
    "bytes",
    "changed",
    "class",
    "client",
    "code",
    "conn",
    "connections",
    "dashboard",
    "device",
    "directory",
    "ends",
    "error",
    "event",
    "explanation",
    "fault",
    "file",
    "found",
    "gone",
    "held_back",
    "hint",
    "host",
    "identity",
    "kid",
    "listener",
    "local",
    "method",
    "micros",
    "name",
    "names",
    "next",
    "open",
    "path",
    "peer",
    "place",
    "port",
    "protocol",
    "reason",
    "replaced",
    "request",
    "role",
    "rule",
    "seconds",
    "socket",
    "source",
    "state",
    "status",
    "uid",
    "url",
    "value",
    "via",
];

/// What is shown when `DOORWARD_LOG` says nothing. Pingora logs every caller that goes away as an error, and
/// repeats what our own lines say; rustls warns of each odd handshake, which is a stranger's to choose.
const QUIET: &str = "info,h2=warn,hyper=warn,pingora_cache=off,pingora_core=off,pingora_pool=off,pingora_proxy=off,rustls=error,sqlx=warn";

/// `[log]` of the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How lines look.
    pub format: Format,
    /// Whether each request has its line.
    pub access: Access,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Text, access: Access::On }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For a person.
    Text,
}

/// Whether each request has its line in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// It has none.
    Off,
    /// It has one.
    On,
}

/// Starts the log on standard error; it is to be kept until the end. `filter` is `DOORWARD_LOG`: directives of
/// `tracing_subscriber::EnvFilter`.
///
/// # Errors
/// [`TelemetryError`] when the filter cannot be read, or a log was started before.
pub fn start(settings: Settings, filter: Option<&str>) -> Result<Log, TelemetryError> {
    let filter = read_filter(settings.access, filter)?;
    let (output, log) = Output::to(std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(output);
    match settings.format {
        Format::Json => lines.json().flatten_event(true).finish().try_init()?,
        Format::Text => {
            lines.with_ansi(std::io::stderr().is_terminal()).event_format(Text::default()).finish().try_init()?;
        }
    }
    Ok(log)
}

fn read_filter(access: Access, filter: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let given = filter.map(str::trim).filter(|filter| !filter.is_empty());
    // A bare level (`debug`) means doorward's own lines; the quiet list stands unless it is named too.
    let mut directives = QUIET.to_owned();
    if access == Access::Off {
        directives.push_str(",access=off");
    }
    if let Some(given) = given {
        directives.push(',');
        directives.push_str(given);
    }
    EnvFilter::builder().parse(&directives).map_err(TelemetryError::Filter)
}

/// Why the log did not start.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// `DOORWARD_LOG` is no list of directives.
    #[error("DOORWARD_LOG cannot be read: {0}")]
    Filter(ParseError),
    /// Something else in this process logs already.
    #[error("the log cannot be started: {0}")]
    Taken(#[from] TryInitError),
}

impl TelemetryError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Filter(_) => "directives are `level` or `target=level`, with commas between: info,access=off",
            Self::Taken(_) => "start doorward in a process of its own",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_quiet_until_told_otherwise() {
        let shown = |access, filter| read_filter(access, filter).unwrap().to_string();
        assert!(shown(Access::On, None).contains("pingora_core=off"));
        assert!(!shown(Access::On, Some(" ")).contains("access=off"));
        assert!(shown(Access::Off, None).contains("access=off"));
        let debug = shown(Access::On, Some("debug,pingora_core=info"));
        assert!(
            debug.contains("pingora_core=info") && debug.contains("debug") && debug.contains("sqlx=warn"),
            "{debug}"
        );
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        let error = read_filter(Access::On, Some("a=b=c")).unwrap_err();
        assert!(matches!(error, TelemetryError::Filter(_)) && error.hint().contains("target=level"), "{error}");
    }

    #[test]
    fn a_log_that_was_started_elsewhere_is_not_blamed_on_the_filter() {
        // Whoever was first in this process; the second start is refused in any case.
        let quiet = Some("off");
        let _ = start(Settings::default(), quiet);
        let error = start(Settings::default(), quiet).unwrap_err();
        assert!(matches!(error, TelemetryError::Taken(_)) && !error.hint().contains("directives"), "{error}");
    }
}
