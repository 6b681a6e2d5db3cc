//! Everything put together: from settings to a running instance and back.
