//! Whether this machine's clock can be believed: the CAs say what time it is. By a clock that is wrong nothing is ordered,
//! written or thrown away.

use crate::base::clock::Clock;
use crate::certificates::acme::Settings;
use crate::certificates::acme::failure::AcmeError;
use crate::certificates::acme::wire::Wire;

/// Asks the CAs of `settings` for the time, the best first; the first that says it decides. Where none can be reached there
/// is no order either, so that nothing is at stake.
///
/// # Errors
/// [`AcmeError::Clock`], and nothing else.
pub async fn check(settings: &Settings, clock: &Clock) -> Result<(), AcmeError> {
    let mut doubt = None;
    for directory in &settings.directories {
        let Ok(wire) = Wire::new(settings.root_file.as_deref(), clock.clone()) else { continue };
        match wire.look(directory).await {
            Ok(()) => return wire.check_clock(),
            // By our clock its own certificate does not hold: one of the two is wrong, and another CA may know.
            Err(error @ AcmeError::Clock { .. }) => doubt = Some(error),
            Err(_) => {}
        }
    }
    doubt.map_or(Ok(()), Err)
}
