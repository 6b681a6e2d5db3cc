//! Tables and properties of the resolution.
