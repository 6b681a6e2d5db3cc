//! The admin socket: how commands reach a running instance.
