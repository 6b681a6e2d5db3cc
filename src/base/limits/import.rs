//! How much of another gateway's state is read.

use std::time::Duration;

/// A settings file or a list of devices of another gateway.
pub const IMPORT_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Another gateway's database, and each file beside it. It holds all its conversations.
pub const IMPORT_DATABASE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Room that the copy of that database leaves for what doorward itself writes.
pub const IMPORT_ROOM_KEPT_BYTES: u64 = 256 * 1024 * 1024;
/// Devices that move in at once.
pub const IMPORT_DEVICES_MAX: usize = 2_000;
/// Roles or scopes of one device.
pub const IMPORT_WORDS_MAX: usize = 64;
/// Characters of another gateway's device token: what is shorter could be guessed.
pub const IMPORT_TOKEN_CHARS_MIN: usize = 32;
/// Characters of another gateway's device token.
pub const IMPORT_TOKEN_CHARS_MAX: usize = 512;
/// How often a database that is written to meanwhile is copied anew.
pub const IMPORT_COPIES_MAX: u32 = 20;
/// Pause between two copies.
pub const IMPORT_COPY_PAUSE: Duration = Duration::from_millis(250);
/// Bytes that are compared at a time.
pub const IMPORT_BLOCK_BYTES: usize = 1024 * 1024;
/// Levels of another gateway's settings: its own are at most ten deep.
pub const IMPORT_DEPTH_MAX: usize = 64;
