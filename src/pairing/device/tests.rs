//! Proofs that hold and proofs that do not.
