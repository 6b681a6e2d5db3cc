//! What each reason means, for the one who was refused and for the owner: the texts of `/doorward/why/` and of `explain`.
//!
//! Promise: they depend on the reason alone, so that they tell nothing about anybody.

mod connect;
mod forwarding;
mod greeting;
mod http;
pub mod proxy;

/// What a reason means.
#[derive(Debug)]
pub struct Why {
    /// The stable reason.
    pub reason: &'static str,
    /// What happened.
    pub what: &'static str,
    /// What the one who was refused can do.
    pub caller: &'static str,
    /// What the owner can do.
    pub owner: &'static str,
}

/// For a code that is not known any more, and for a reason that nobody named.
pub const GENERAL: Why = Why {
    reason: "refused",
    what: "This server refused a request, and does not say here why.",
    caller: "Try again, or show the code to the owner of this server.",
    owner: "The log of that time names the reason.",
};

/// What `reason` means.
pub fn of(reason: &str) -> &'static Why {
    [http::HTTP, connect::CONNECT, forwarding::FORWARDING, greeting::GREETING]
        .into_iter()
        .flatten()
        .find(|why| why.reason == reason)
        .unwrap_or(&GENERAL)
}

#[cfg(test)]
mod tests;
