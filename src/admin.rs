//! The owner's door: a Unix socket of mode 0600 that speaks JSON lines with our own uid and root, so that commands
//! work without pairing, also by `docker exec`. Whoever may use it is the owner, with every scope.

pub mod address;
mod certificates;
pub mod client;
mod invites;
pub mod keys;
pub mod owner;
pub mod reload;
pub mod request;
pub mod server;
mod since;

#[cfg(test)]
mod testing;
