//! One running instance: the state is locked first, then everything is opened or nothing is.

pub mod lock;
