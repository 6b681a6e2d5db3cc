//! `doorward run`.

use crate::app;
use crate::telemetry;
use crate::telemetry::TelemetryError;

use super::Context;
use super::failure::Failure;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let log = telemetry::start(config.log, context.environment.log.as_deref()).map_err(|error| match error {
        TelemetryError::Filter(_) => Failure::usage(&error, error.hint()),
        TelemetryError::Taken(_) => Failure::failed(&error, error.hint()),
    })?;
    let ended = app::run(config, &context.environment);
    // Before anybody says why it ended.
    drop(log);
    ended.map_err(|error| Failure::failed(&error, error.hint()))
}
