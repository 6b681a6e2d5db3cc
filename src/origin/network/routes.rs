//! The kernel's routing tables, for the next hops of default routes. Pure: text goes in. A line that cannot be read
//! names no gateway.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses hexadecimal in the machine's own byte order.
pub(super) fn ipv4_gateway(line: &str) -> Option<Ipv4Addr> {
    let field = |at: usize| u32::from_str_radix(line.split_ascii_whitespace().nth(at)?, 16).ok();
    let (gateway, mask) = (field(2)?, field(7)?);
    (mask == 0 && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
}

/// `destination length source length gateway …`, hexadecimal in network byte order.
pub(super) fn ipv6_gateway(line: &str) -> Option<Ipv6Addr> {
    let field = |at: usize| u128::from_str_radix(line.split_ascii_whitespace().nth(at)?, 16).ok();
    let (length, gateway) = (field(1)?, field(4)?);
    (length == 0 && gateway != 0).then(|| Ipv6Addr::from_bits(gateway))
}
