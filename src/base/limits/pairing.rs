//! Bounds of setup codes, invites, scope upgrades and names of devices, and how often operators hear of our health.

use std::time::Duration;

/// The longest life of a pending request: what nobody decided about within an hour is asked for again.
pub const PENDING_LIFE_SECONDS_MAX: i64 = 3_600;
/// The shortest: in less nobody could read what waits, and approve it.
pub const PENDING_LIFE_SECONDS_MIN: i64 = 10;
/// Rules of pairing in one configuration; each connect of a new device is held against them all.
pub const RULES_MAX: usize = 64;
/// Paired devices that stand on the word of one rule; the next one waits for a person, who sees that there are so many.
pub const RULE_DEVICES_MAX: usize = 256;
/// Groups of one identity that are taken; a token that names more tells none.
pub const GROUPS_MAX: usize = 100;
/// Bytes of an identity's login (which an assertion says twice), name and groups together: as much as the longest login and the
/// longest name have without any group, so that groups never make an assertion longer than the core reads.
pub const IDENTITY_BYTES_MAX: usize = 3 * 4 * super::LABEL_CHARS_MAX;
/// Life of a setup code.
pub const SETUP_CODE_LIFE: Duration = Duration::from_secs(600);
/// Setup codes that nobody has redeemed yet.
pub const SETUP_CODES_MAX: usize = 16;
/// What became of a setup code can be asked for this long after it was made.
pub const SETUP_OUTCOME_LIFE: Duration = Duration::from_secs(3600);
/// Scopes one `device.scopes.requestUpgrade` may name, as the gateway's schema has it.
pub const UPGRADE_SCOPES_MAX: usize = 8;
/// Calls that wait for one scope upgrade to be decided.
pub const UPGRADE_WAITERS_MAX: usize = 4;
/// How an upgrade ended can be asked for this long.
pub const UPGRADE_OUTCOME_LIFE: Duration = Duration::from_secs(60);
/// Characters of a person's name for a device, as the gateway's schema has it.
pub const DEVICE_LABEL_CHARS_MAX: usize = 64;
/// Period of the `health` event.
pub const HEALTH_PERIOD: Duration = Duration::from_secs(60);
/// An invite counts for so many seconds, if the owner names no shorter time; none counts longer.
pub const INVITE_LIFE_SECONDS_MAX: u64 = 600;
/// No invite counts for less: nobody could open it.
pub const INVITE_LIFE_SECONDS_MIN: u64 = 10;
/// Scopes that one invite may give.
pub const INVITE_SCOPES_MAX: usize = 16;
/// Invites that are made within [`INVITES_MADE_PERIOD`].
pub const INVITES_MADE_MAX: usize = 30;
/// See [`INVITES_MADE_MAX`].
pub const INVITES_MADE_PERIOD: Duration = Duration::from_secs(600);
