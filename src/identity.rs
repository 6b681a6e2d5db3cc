//! What the edge signs about a request, what the core believes of it, and what no caller may send.
//!
//! The assertion is one compact JWS (RFC 7515) in one header line. It says where a request came from, as
//! the edge found out; the core acts on nothing else. Everything here is pure: keys, settings and a clock go in.

pub mod claims;
pub mod headers;
pub mod jose;
pub mod jwks;
pub mod provider;
pub mod replay;
pub mod signer;
pub mod verifier;

#[cfg(test)]
pub(crate) mod testing;
