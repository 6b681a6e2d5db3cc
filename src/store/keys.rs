//! The files that hold secrets: signing keys and the gateway token, under the state folder.
//!
//! Each is made once, for its owner alone, and durable before it is used. What cannot be read is never replaced: the
//! start stops with the file's name and the exact command that mends it.

pub mod device;
pub mod signing;
pub mod token;
