//! doorward, the front door of an OpenClaw gateway. This file is the map: modules bottom-up, each
//! imports only from those above its line (`tests/tidy.rs` enforces it).

// What everything stands on.
pub mod base;
pub mod net;

// The four nouns: pure. Facts, settings and `now` go in, a value comes out.
pub mod origin;
pub mod identity;
pub mod protocol;
pub mod pairing;

// Memory.
pub mod store;

// Doors.
pub mod certificates;
pub mod listener;

// Services.
pub mod core;
pub mod edge;

// People.
pub mod explain;
pub mod config;
pub mod telemetry;
pub mod admin;
pub mod app;
pub mod cli;
