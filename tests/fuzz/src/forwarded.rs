//! `Forwarded` (RFC 7239): text to the left can make a client nobody, never another; no bytes make anybody local.

use std::net::IpAddr;

use doorward::origin::ClientIpHeader;
use http::header::FORWARDED;

use super::header::{self, Left};

/// Checks any bytes as text to the left, `|` and lines.
pub fn holds(bytes: &[u8]) {
    header::holds(bytes, &FORWARDED, &ClientIpHeader::Forwarded, Left::MayUnmake);
    if let Some(ip) = header::address(bytes) {
        let line = match ip {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]:4711\";proto=https"),
        };
        header::is_read_back(ip, &line, &FORWARDED, &ClientIpHeader::Forwarded);
    }
}
