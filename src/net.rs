//! Addresses, hosts and ranges, named for what they prove.

pub mod addr;
pub mod host;
pub mod named;
pub mod range;
