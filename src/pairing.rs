//! Who may enter: device proofs, pending requests, approvals, decided by a pure step.
//!
//! Life of a device: `connect.challenge` → [`device::prove`] → [`step::connect`] → refused, waiting for a person,
//! or admitted with exactly what it was granted. Nothing here reads a clock, a disk or a socket: what is known of
//! one device, one event and `now` go in; the changes to make durable and the outcome come out.

pub mod acquaintances;
pub mod approval;
pub mod caller;
pub mod cooling;
pub mod credential;
pub mod device;
pub mod herald;
pub mod import;
pub mod invite;
pub mod metadata;
pub mod paired;
pub mod queue;
pub mod request;
pub mod rule;
pub mod setup;
pub mod shown;
pub mod step;
pub mod throttle;
