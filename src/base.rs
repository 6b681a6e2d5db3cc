//! What every room stands on: limits, time, secrets and their files, and values nobody has judged yet.

pub mod clock;
pub mod limits;
pub mod pem;
pub mod private_file;
pub mod secret;
pub mod untrusted;
