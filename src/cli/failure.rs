//! A command that did not do what it was asked: what went wrong, what to do, and the exit code.

use std::io::Write;
use std::process::ExitCode;

use crate::admin::client::CallError;
use crate::config::ConfigError;

/// Why a command failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// It was tried and failed: exit code 1.
    pub(super) fn failed(message: impl ToString, hint: impl Into<String>) -> Self {
        Self { message: message.to_string(), hint: Some(hint.into()), code: 1 }
    }

    /// It was asked for in a way that cannot be: exit code 2.
    pub(super) fn usage(message: impl ToString, hint: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(message, hint) }
    }

    /// Everything was said on standard output already: exit code 1.
    pub(super) fn told() -> Self {
        Self { message: String::new(), hint: None, code: 1 }
    }

    /// The same, with what was found besides.
    pub(super) fn and(self, more: Vec<String>) -> Self {
        let hint = self.hint.into_iter().chain(more).reduce(|told, more| format!("{told}; {more}"));
        Self { hint, ..self }
    }

    /// What went wrong first, in one line.
    pub(super) fn first_line(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Tells the operator.
    pub(super) fn report(&self, out: &mut impl Write) -> ExitCode {
        if !self.message.is_empty() {
            let _ = writeln!(out, "{}", self.message.trim_end());
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { message: error.to_string(), hint, code: 2 }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            CallError::Broken { .. } => {
                Self::failed(message, "run this as the user that runs doorward, or as root; see its log")
            }
            CallError::NotRunning { .. } => Self::failed(
                message,
                "start it with `doorward run`; if it runs, call from the folder of its doorward.toml, or name that file \
                 with --config, or its state folder with $DOORWARD_STATE",
            ),
            CallError::Refused { hint, .. } => Self::failed(message, hint),
        }
    }
}
