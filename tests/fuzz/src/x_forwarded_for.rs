//! `X-Forwarded-For`: nothing to the left of the client is read, and no bytes make anybody local.

use doorward::origin::ClientIpHeader;
use http::HeaderName;

use super::header::{self, Left};

/// Checks any bytes as text to the left, `|` and lines.
pub fn holds(bytes: &[u8]) {
    let name = HeaderName::from_static("x-forwarded-for");
    header::holds(bytes, &name, &ClientIpHeader::XForwardedFor, Left::IsNotRead);
    if let Some(ip) = header::address(bytes) {
        header::is_read_back(ip, &ip.to_string(), &name, &ClientIpHeader::XForwardedFor);
    }
}
