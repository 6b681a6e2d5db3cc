//! Any bytes against the properties of `configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::configuration::holds(bytes));
