//! How long the core waits for what, and how often it does what it does by itself.

use std::time::Duration;

use crate::base::limits::CLOSE_WAIT;
use crate::base::limits::CONNECT_WAIT;
use crate::base::limits::HEALTH_PERIOD;
use crate::base::limits::PING_PERIOD;
use crate::base::limits::TICK_PERIOD;
use crate::base::limits::UPKEEP_PERIOD;

/// The core's waits and periods. The default is that of the limits; tests take shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the 101 to `connect`.
    pub connect_wait: Duration,
    /// From our close frame to the end of the socket.
    pub close_wait: Duration,
    /// Between two rounds of upkeep.
    pub upkeep_period: Duration,
    /// Between two `health` events.
    pub health_period: Duration,
    /// Between two pings of one socket.
    pub ping_period: Duration,
    /// Between two `tick` events.
    pub tick_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect_wait: CONNECT_WAIT,
            close_wait: CLOSE_WAIT,
            upkeep_period: UPKEEP_PERIOD,
            health_period: HEALTH_PERIOD,
            ping_period: PING_PERIOD,
            tick_period: TICK_PERIOD,
        }
    }
}
