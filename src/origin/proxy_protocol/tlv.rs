//! The TLVs behind version 2's addresses: each must fit, the checksum must match, and none is believed.

use super::ProxyProtocolError;
use crate::base::limits::PROXY_TLVS_MAX;

const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
/// The SSL TLV's own fields, `client` and `verify`, before its nested TLVs (section 2.2.6).
const SSL_FIXED_BYTES: usize = 5;

/// Checks the TLVs of a whole header, which begin at `start`.
pub(super) fn check(header: &[u8], start: usize) -> Result<(), ProxyProtocolError> {
    let mut left = PROXY_TLVS_MAX;
    let mut checksum = None;
    let mut at = start;
    while let Some(tlv) = Tlv::at(header, at)? {
        left = left.checked_sub(1).ok_or(ProxyProtocolError::TooManyTlvs)?;
        match tlv.kind {
            CRC32C if checksum.is_some() => return Err(ProxyProtocolError::Checksum),
            CRC32C => checksum = Some((tlv.start, tlv.value)),
            SSL => check_nested(tlv.value, &mut left)?,
            _ => {}
        }
        at = tlv.end;
    }
    match checksum {
        Some((value_at, value)) => check_checksum(header, value_at, value),
        None => Ok(()),
    }
}

fn check_nested(value: &[u8], left: &mut usize) -> Result<(), ProxyProtocolError> {
    let nested = value.get(SSL_FIXED_BYTES..).ok_or(ProxyProtocolError::Tlv)?;
    let mut at = 0;
    while let Some(tlv) = Tlv::at(nested, at)? {
        *left = left.checked_sub(1).ok_or(ProxyProtocolError::TooManyTlvs)?;
        at = tlv.end;
    }
    Ok(())
}

/// CRC32c over the whole header, with the checksum's own four bytes as zeros (section 2.2.3).
fn check_checksum(header: &[u8], value_at: usize, value: &[u8]) -> Result<(), ProxyProtocolError> {
    let wrong = ProxyProtocolError::Checksum;
    let claimed = u32::from_be_bytes(value.try_into().map_err(|_| wrong)?);
    let before = header.get(..value_at).ok_or(wrong)?;
    let after = header.get(value_at + value.len()..).ok_or(wrong)?;
    let sum = crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]);
    if crc32c::crc32c_append(sum, after) == claimed { Ok(()) } else { Err(wrong) }
}

struct Tlv<'a> {
    kind: u8,
    value: &'a [u8],
    /// Where the value starts.
    start: usize,
    /// Where the next one starts.
    end: usize,
}

impl<'a> Tlv<'a> {
    /// The TLV at `at`, none at the end of `bytes`; a rest that is not one is an error.
    fn at(bytes: &'a [u8], at: usize) -> Result<Option<Self>, ProxyProtocolError> {
        let rest = bytes.get(at..).ok_or(ProxyProtocolError::Tlv)?;
        let [kind, high, low, rest @ ..] = rest else {
            return if rest.is_empty() { Ok(None) } else { Err(ProxyProtocolError::Tlv) };
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(ProxyProtocolError::Tlv)?;
        Ok(Some(Self { kind: *kind, value, start: at + 3, end: at + 3 + length }))
    }
}
