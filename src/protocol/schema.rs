//! Reads the parameters of a request against their schema and words each fault as the gateway's validator does:
//! `at /device: must have required property 'nonce'`. A stranger's own text is shown escaped and cut.

use std::fmt;

use serde_json::Map;
use serde_json::Value;

use crate::base::limits::PROPERTY_SHOWN_CHARS_MAX;
use crate::base::limits::SCHEMA_FAULTS_MAX;
use crate::base::printable::printable;

/// What is wrong with some parameters, in the order found; at most [`SCHEMA_FAULTS_MAX`] are kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Notes a fault at `path`; the root's path is empty.
    pub fn add(&mut self, path: &str, fault: impl fmt::Display) {
        let line = if path.is_empty() { fault.to_string() } else { format!("at {path}: {fault}") };
        if self.0.len() < SCHEMA_FAULTS_MAX && !self.0.contains(&line) {
            self.0.push(line);
        }
    }

    /// The one fault of `path`.
    pub fn one(path: &str, fault: impl fmt::Display) -> Self {
        let mut faults = Self::default();
        faults.add(path, fault);
        faults
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// One object of the parameters and where it stands.
#[derive(Clone, Debug)]
pub struct Object<'v> {
    fields: &'v Map<String, Value>,
    path: String,
}

impl<'v> Object<'v> {
    /// Takes `value`, which stands at `path`, if it is an object with no other keys than `known`.
    pub fn closed(value: &'v Value, path: &str, known: &[&str], faults: &mut Faults) -> Option<Self> {
        let Value::Object(fields) = value else {
            faults.add(path, "must be object");
            return None;
        };
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            let place = if path.is_empty() { "root" } else { path };
            faults.add(
                "",
                format_args!("at {place}: unexpected property '{}'", printable(key, PROPERTY_SHOWN_CHARS_MAX)),
            );
        }
        Some(Self { fields, path: path.to_owned() })
    }

    /// Where `key` stands.
    pub fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }

    /// The value of `key`, which must be there.
    pub fn required(&self, key: &str, faults: &mut Faults) -> Option<&'v Value> {
        let value = self.fields.get(key);
        if value.is_none() {
            faults.add(&self.path, format_args!("must have required property '{key}'"));
        }
        value
    }

    /// The value of `key`, which may be missing.
    pub fn optional(&self, key: &str) -> Option<&'v Value> {
        self.fields.get(key)
    }

    /// The text of `key`, which must be there; not empty and of at most `chars_max` characters.
    pub fn required_text(&self, key: &str, chars_max: usize, faults: &mut Faults) -> String {
        let value = self.required(key, faults);
        value.and_then(|value| text(value, &self.path(key), 1, chars_max, faults)).unwrap_or_default()
    }

    /// The text of `key`, not empty if it is there.
    pub fn label(&self, key: &str, chars_max: usize, faults: &mut Faults) -> Option<String> {
        text(self.optional(key)?, &self.path(key), 1, chars_max, faults)
    }

    /// The text of `key`, which may be empty or missing.
    pub fn text(&self, key: &str, chars_max: usize, faults: &mut Faults) -> Option<String> {
        text(self.optional(key)?, &self.path(key), 0, chars_max, faults)
    }

    /// The whole number of `key`, which must be there.
    pub fn required_integer(&self, key: &str, least: i64, faults: &mut Faults) -> i64 {
        let Some(value) = self.required(key, faults) else { return least };
        match integer(value) {
            Some(number) if number >= least => number,
            Some(_) => {
                faults.add(&self.path(key), format_args!("must be >= {least}"));
                least
            }
            None => {
                faults.add(&self.path(key), "must be integer");
                least
            }
        }
    }

    /// The word of `key`, which must be there and be one that `read` knows.
    pub fn required_word<T>(&self, key: &str, read: impl Fn(&str) -> Option<T>, faults: &mut Faults) -> Option<T> {
        let word = self.required(key, faults)?.as_str().and_then(read);
        if word.is_none() {
            faults.add(&self.path(key), "must be equal to one of the allowed values");
        }
        word
    }

    /// The texts of the list `key`, if it is there; none empty, at most `entries_max` of them.
    pub fn texts(&self, key: &str, entries_max: usize, chars_max: usize, faults: &mut Faults) -> Option<Vec<String>> {
        let path = self.path(key);
        let Value::Array(entries) = self.optional(key)? else {
            faults.add(&path, "must be array");
            return None;
        };
        if entries.len() > entries_max {
            faults.add(&path, format_args!("must not have more than {entries_max} items"));
            return None;
        }
        let read = |(index, entry)| text(entry, &format!("{path}/{index}"), 1, chars_max, faults);
        entries.iter().enumerate().map(read).collect()
    }
}

/// JSON has one kind of number: `1.0` is the integer 1 (RFC 8259 §6), as the gateway reads it.
fn integer(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (value.as_i64(), value.as_f64()) {
        (Some(number), _) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 is exact in both types")]
        (None, Some(number)) if number.fract() == 0.0 && number.abs() <= EXACT => Some(number as i64),
        _ => None,
    }
}

fn text(value: &Value, path: &str, chars_min: usize, chars_max: usize, faults: &mut Faults) -> Option<String> {
    let Value::String(text) = value else {
        faults.add(path, "must be string");
        return None;
    };
    let chars = text.chars().take(chars_max.saturating_add(1)).count();
    if chars < chars_min {
        faults.add(path, format_args!("must not have fewer than {chars_min} characters"));
        return None;
    }
    if chars > chars_max {
        faults.add(path, format_args!("must not have more than {chars_max} characters"));
        return None;
    }
    Some(text.clone())
}
