//! Limits of the bridge to a real gateway.

/// Paths of the upstream that a configuration opens.
pub const OPEN_PATHS_MAX: usize = 64;
