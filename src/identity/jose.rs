//! JOSE's notation, read strictly: one spelling for every byte string and every object.
//!
//! Why: two readers that understand one text differently are how signed claims get forged. So base64url must be canonical, an
//! object must be an object (serde would take an array), no member may stand twice, and `null` is not "absent".

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

/// The signature algorithm, the only one (RFC 8037 §3.1).
pub const ALGORITHM: &str = "EdDSA";
/// The media type of an assertion (RFC 7515 §4.1.9), so that no other signed text passes for one.
pub const ASSERTION_TYPE: &str = "doorward-origin+jwt";

/// Base64url without padding (RFC 7515 §2).
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding; `None` unless it is exactly what [`encode`] writes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads one JSON object into `T`: nothing before, nothing after, no array in its place.
///
/// # Errors
/// What serde found wrong first.
pub fn object_from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = object(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// For `#[serde(deserialize_with)]`: an object, never an array.
///
/// # Errors
/// When something other than an object stands there.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    reader.deserialize_map(Object(PhantomData))
}

/// For `#[serde(default, deserialize_with)]`: an object if the member is there at all; `null` is an error.
///
/// # Errors
/// When something other than an object stands there.
pub fn some_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    object(reader).map(Some)
}

/// For `#[serde(default, deserialize_with)]`: a value if the member is there at all; `null` is an error.
///
/// # Errors
/// When the value has another type.
pub fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// For `#[serde(deserialize_with)]`: one word of a closed set, as a string (serde would take an object too).
///
/// # Errors
/// When it is no string, or not in the set.
pub fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(reader)?;
    T::deserialize(CowStrDeserializer::new(text))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<T, M::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Pot {
        #[serde(deserialize_with = "word")]
        colour: Colour,
        #[serde(default, deserialize_with = "some")]
        size: Option<u64>,
    }

    #[test]
    fn an_object_has_one_reading() {
        let read = |json: &str| object_from_slice::<Pot>(json.as_bytes()).ok();
        assert_eq!(read(r#"{"colour":"red"}"#), Some(Pot { colour: Colour::Red, size: None }));
        assert_eq!(read(r#" {"size":7,"colour":"red"} "#), Some(Pot { colour: Colour::Red, size: Some(7) }));
        for bad in [
            r#"["red",7]"#,
            r#"{"colour":"red","colour":"red"}"#,
            r#"{"colour":{"red":null}}"#,
            r#"{"colour":"red","size":null}"#,
            r#"{"colour":"red","size":"7"}"#,
            r#"{"colour":"red","size":7.0}"#,
            r#"{"colour":"red","size":-7}"#,
            r#"{"colour":"red","size":1e309}"#,
            r#"{"colour":"red","lid":true}"#,
            r#"{"colour":"red"} {"#,
            r#"{"colour":"red"}x"#,
            "",
            "null",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(decode("_-8"), Some(vec![0xff, 0xef]));
        for bad in ["_-9", "_-8=", "/+8", "_-8\n", "_-8 ", "_", "_-8é"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
