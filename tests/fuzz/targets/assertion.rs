//! Any bytes against the properties of `assertion`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::assertion::holds(bytes));
