//! The authority on who may enter: verifies the assertion, speaks the gateway protocol, pairs.
