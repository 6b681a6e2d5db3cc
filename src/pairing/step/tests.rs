//! The outcome table, row by row, and what people may decide.

mod changes;
mod decisions;
mod invite;
mod management;
mod model;
mod outcomes;
mod rules;
mod scene;
mod setup;
mod tokens;
mod waiting;
