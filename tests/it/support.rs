//! What the promises stand on: the binary as a process, machines as network namespaces, real peers, and callers.

pub(crate) mod acme_rig;
pub(crate) mod authority;
pub(crate) mod bind;
pub(crate) mod browser;
pub(crate) mod caddy;
pub(crate) mod caller;
pub(crate) mod core_rig;
pub(crate) mod crowd;
pub(crate) mod disk;
pub(crate) mod docker;
pub(crate) mod fake_acme;
pub(crate) mod gateway_client;
pub(crate) mod handshake;
pub(crate) mod instance;
pub(crate) mod issuer;
pub(crate) mod keep;
pub(crate) mod lan;
pub(crate) mod named_tests;
pub(crate) mod namespace;
pub(crate) mod openclaw;
pub(crate) mod peer;
pub(crate) mod pebble;
pub(crate) mod program;
pub(crate) mod wait;
pub(crate) mod wire;
pub(crate) mod tailscaled;
