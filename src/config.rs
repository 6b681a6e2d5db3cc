//! The configuration file: read strictly, every error with its place and a hint.
