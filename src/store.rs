//! What must survive: devices, requests, audit and keys, durable before they are acknowledged.

pub mod keys;
