//! The gateway protocol's words, versions 3 and 4: frames, connect, scopes, errors.
