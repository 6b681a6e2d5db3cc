//! What holds for any bytes: one module for each parser that a stranger, or an operator's slip, can reach. The fuzz targets
//! and `tests/it/fuzz_seeds.rs` call the same functions.

pub mod assertion;
pub mod configuration;
pub mod connect;
pub mod forwarded;
pub mod proxy_protocol;
pub mod x_forwarded_for;

mod header;
