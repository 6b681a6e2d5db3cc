//! What every room stands on: limits, time, keys, secrets and their files, short codes, and text of strangers made fit to be shown.

pub mod clock;
pub mod code;
pub mod ed25519;
pub mod limits;
pub mod owner_command;
pub mod pem;
pub mod printable;
pub mod private_file;
pub mod secret;
