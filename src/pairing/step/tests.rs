//! The outcome table, row by row, and what people may decide.

mod decisions;
mod management;
mod model;
mod outcomes;
mod scene;
mod waiting;
