//! The methods of the gateway protocol that the core answers itself.

pub(super) mod device;
pub(super) mod system;
