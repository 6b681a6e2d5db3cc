//! The certificates we serve: one resolver, fed by the local CA and by files.
