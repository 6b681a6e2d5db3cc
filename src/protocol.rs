//! The gateway protocol's words, versions 3 and 4: frames, connect, scopes, errors.
//!
//! Pure: text goes in, typed values or a typed refusal come out. Sentences, codes and fields are those of the
//! gateway on the wire, so that its own clients understand us; the version changes words only, never a rule.

pub mod call;
pub mod close;
pub mod connect;
pub mod error;
pub mod event;
pub mod frame;
pub mod hello;
pub mod json;
pub mod refusal;
pub mod schema;
pub mod scope;
pub mod version;
