//! The promises, each in a file of its own, against the real binary over real sockets.
#![cfg(test)]

mod acme;
mod certificates;
mod certs;
mod client_ip;
mod commands;
mod core_http;
mod core_pairing;
mod core_sockets;
mod device_commands;
mod docker;
mod edge_drain;
mod edge_limits;
mod edge_requests;
mod edge_sockets;
mod explain;
mod fuzz_seeds;
mod header_catalogue;
mod identities;
mod keys;
mod kill_nine;
mod namespaces;
mod newcomer;
mod nginx_differential;
mod owner_only;
mod real_openclaw;
mod real_proxies;
mod reload;
mod scripts;
mod sessions;
mod sharing;
mod support;
mod vectors_on_sockets;
mod tailnet;
mod verify_samples;
