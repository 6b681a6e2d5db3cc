//! Any bytes against the properties of `connect`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::connect::holds(bytes));
