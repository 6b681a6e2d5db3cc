//! The log: its format and its fields.
