//! `doorward run`.

use clap::Args;

use crate::app;
use crate::app::lan;
use crate::app::lan::LanError;
use crate::config::Config;
use crate::telemetry;
use crate::telemetry::TelemetryError;

use super::Context;
use super::failure::Failure;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Open the LAN's doors too, for the household's other devices: no configuration needed, and none taken.
    #[arg(long)]
    lan: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let config = if arguments.lan { lan(context)? } else { context.config()? };
    let log = telemetry::start(config.log, context.environment.log.as_deref()).map_err(|error| match error {
        TelemetryError::Filter(_) => Failure::usage(&error, error.hint()),
        TelemetryError::Taken(_) => Failure::failed(&error, error.hint()),
    })?;
    let ended = app::run(config, &context.environment);
    // Before anybody says why it ended.
    drop(log);
    ended.map_err(|error| Failure::failed(&error, error.hint()))
}

/// The profile for the LAN. Beside a configuration it would be a second opinion on the same doors.
fn lan(context: &Context) -> Result<Config, Failure> {
    let failed = |error: LanError| Failure::failed(&error, error.hint());
    let Some(file) = context.environment.config_file(context.named.as_deref()) else {
        return lan::profile(&context.environment).map_err(failed);
    };
    let text = lan::profile(&context.environment).map(|config| config.built_in.unwrap_or_default());
    let lines =
        text.map_or_else(|error| error.hint(), |text| format!("write into that file what --lan means here:\n\n{text}"));
    Err(Failure::usage(
        format!("--lan is a profile of its own, and there is a configuration: {}", file.display()),
        lines,
    ))
}
