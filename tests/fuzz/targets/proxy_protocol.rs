//! Any bytes against the properties of `proxy_protocol`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| doorward_fuzz::proxy_protocol::holds(bytes));
