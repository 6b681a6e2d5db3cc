//! What the local CA and its leaves say of themselves (RFC 5280), so that the strictest client takes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::base::clock::{EARLIEST, UnixMillis};
use crate::base::limits::{CERTIFICATE_BACKDATE, LEAF_LIFE, LOCAL_CA_LIFE};
use crate::base::pem;
use crate::base::secret::Secret;
use crate::certificates::local_ca::LocalCaError;
use crate::net::host::Host;

/// Names that only a local network resolves, each with all below it (RFC 6761, 6762, 8375; `internal` by ICANN's reservation).
const LOCAL_NAMES: [&str; 5] = ["localhost", "local", "lan", "home.arpa", "internal"];

/// Loopback and private ranges (RFC 1122, 1918, 4193).
const LOCAL_RANGES: [(IpAddr, u8); 6] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// A new CA that may sign what is local and `names`: its private key, then its certificate, in PEM.
pub(crate) fn authority(names: &[Host], now: UnixMillis) -> Result<Secret<String>, LocalCaError> {
    let begins = beginning(now);
    let mut params = params("doorward local CA", begins, begins.saturating_add(seconds(LOCAL_CA_LIFE)))?;
    let mut mark = [0; 4];
    getrandom::fill(&mut mark)?;
    // People see this name in their device's list: two CAs must differ there.
    let mark = u32::from_be_bytes(mark);
    params.distinguished_name.push(DnType::CommonName, format!("doorward local CA {mark:08x}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted(names), excluded_subtrees: Vec::new() });
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(pair(&key, certificate.der()))
}

/// A new leaf for each of `groups`, which `issuer` signs and which end before `ca_ends`: their one private key, then their
/// certificates, in PEM.
pub(crate) fn leaves(
    issuer: &Issuer<'_, KeyPair>,
    groups: &[Vec<Host>],
    ca_ends: i64,
    now: UnixMillis,
) -> Result<Secret<String>, LocalCaError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut leaves = String::new();
    for group in groups {
        leaves.push_str(pem::encode("CERTIFICATE", &leaf(issuer, &key, group, ca_ends, now)?).expose());
    }
    let key = Secret::new(key.serialize_pem());
    Ok(Secret::new([key.expose().as_str(), &leaves].concat()))
}

fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    key: &KeyPair,
    names: &[Host],
    ca_ends: i64,
    now: UnixMillis,
) -> Result<CertificateDer<'static>, LocalCaError> {
    let begins = beginning(now);
    let ends = begins.saturating_add(seconds(LEAF_LIFE)).saturating_sub(1).min(ca_ends);
    let mut params = params("doorward local certificate", begins, ends)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = names.iter().map(alternative_name).collect::<Result<_, rcgen::Error>>()?;
    Ok(params.signed_by(key, issuer)?.der().clone())
}

/// What there is always a leaf for, and `names`: each once.
pub(crate) fn leaf_names(names: &[Host]) -> Vec<Host> {
    let always = [
        Host::Name("localhost".to_owned()),
        Host::Address(Ipv4Addr::LOCALHOST.into()),
        Host::Address(Ipv6Addr::LOCALHOST.into()),
    ];
    let mut all: Vec<Host> = always.into_iter().chain(names.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

fn params(name: &str, begins: i64, ends: i64) -> Result<CertificateParams, LocalCaError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial)?;
    // RFC 5280 §4.1.2.2: positive, and the first byte not zero, so that it has one length.
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(begins);
    params.not_after = date(ends);
    Ok(params)
}

/// A machine whose clock is not set yet must not make a CA that is expired once it is.
fn beginning(now: UnixMillis) -> i64 {
    now.max(EARLIEST).0.div_euclid(1000).saturating_sub(seconds(CERTIFICATE_BACKDATE))
}

/// When something was signed that begins with this second.
pub(crate) fn issued_at(begins: i64) -> UnixMillis {
    UnixMillis::of_seconds(begins.saturating_add(seconds(CERTIFICATE_BACKDATE)))
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn date(seconds: i64) -> OffsetDateTime {
    // A clock beyond the year 9999 is no clock.
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn permitted(names: &[Host]) -> Vec<GeneralSubtree> {
    let local_names = LOCAL_NAMES.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned()));
    let local_ranges =
        LOCAL_RANGES.iter().map(|(ip, prefix)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, *prefix)));
    let configured = names.iter().map(|name| match name {
        Host::Address(ip) => {
            let whole = if ip.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, whole))
        }
        Host::Name(name) => GeneralSubtree::DnsName(name.clone()),
    });
    local_names.chain(local_ranges).chain(configured).collect()
}

fn alternative_name(host: &Host) -> Result<SanType, rcgen::Error> {
    Ok(match host {
        Host::Address(ip) => SanType::IpAddress(*ip),
        Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
    })
}

fn pair(key: &KeyPair, certificate: &[u8]) -> Secret<String> {
    let (key, certificate) = (Secret::new(key.serialize_pem()), pem::encode("CERTIFICATE", certificate));
    Secret::new([key.expose().as_str(), certificate.expose()].concat())
}
