//! `doorward run`.

use crate::app;
use crate::telemetry;

use super::Context;
use super::failure::Failure;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    telemetry::start(config.log, context.environment.log.as_deref()).map_err(|error| {
        Failure::usage(error, "directives are `level` or `target=level`, with commas between: info,access=off")
    })?;
    app::run(config, &context.environment).map_err(|error| Failure::failed(&error, error.hint()))
}
