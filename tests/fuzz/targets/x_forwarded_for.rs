//! Any bytes against the properties of `x_forwarded_for`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::x_forwarded_for::holds(bytes));
