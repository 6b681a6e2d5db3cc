//! Values inside a row: JSON text.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record or list as JSON text.
pub(super) fn write<T: Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A record or list from JSON text.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
