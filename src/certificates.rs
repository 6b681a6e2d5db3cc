//! Which certificate is shown to whom: from files for the names they cover, from the local CA for all others.
