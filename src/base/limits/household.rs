//! The local CA, what a household's devices may ask of it, and what an owner's commands may ask of a public one.

use std::time::Duration;

/// A certificate of a CA is ordered anew by command no sooner than this after its beginning, or a quarter of its life: five in
/// a week for the same names are what Let's Encrypt allows.
pub const ACME_RENEW_AGE_MIN: Duration = Duration::from_secs(36 * 3600);
/// Addresses that the page for devices names.
pub const ONBOARDING_DOORS_MAX: usize = 8;
/// Names and addresses of this machine's own that are answered.
pub const OWN_NAMES_MAX: usize = 32;
/// Life of a local leaf, its backdated hour included: what a stolen key is worth; browsers refuse more than 398 days.
pub const LEAF_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Life of the local CA.
pub const LOCAL_CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
