//! Any bytes against the properties of `forwarded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::forwarded::holds(bytes));
