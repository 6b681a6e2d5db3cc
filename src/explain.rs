//! Every decision, told step by step: to an operator who asks, and to scripts that try cases before they
//! rest on them.

pub mod account;
pub mod batch;
