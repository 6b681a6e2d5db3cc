//! The promises, each in a file of its own, against the real binary over real sockets.
#![cfg(test)]

mod support;
