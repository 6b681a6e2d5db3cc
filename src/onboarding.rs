//! `/doorward/ca`: the page by which a household's devices come to trust the local CA, and what is downloaded there.
//!
//! It may come over plain HTTP, so whoever sits on the LAN can change it on its way. So it shows no fingerprint, only where
//! to find both that are to be compared, and loads nothing from elsewhere. Who is shown it is decided by [`crate::edge`].

use bytes::Bytes;

use crate::base::limits::ONBOARDING_DOORS_MAX;
use crate::certificates::local_ca::authority::Authority;
use crate::net::host::{Host, Scheme, WebOrigin};

/// Where the page is.
pub const PATH: &str = "/doorward/ca";

const PAGE: &str = include_str!("onboarding/page.html");
const SCRIPT: &str = include_str!("onboarding/check.js");
const SEAL: &str = include_str!("onboarding/seal.svg");
const STYLE: &str = include_str!("onboarding/page.css");

/// What may be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Item {
    /// The certificate in DER.
    Der,
    /// The page.
    Page,
    /// The certificate in PEM.
    Pem,
    /// The certificate in PEM, as what devices open by themselves.
    PemToInstall,
    /// Apple's configuration profile.
    Profile,
    /// The page's script.
    Script,
    /// A picture that only a device that trusts us loads over https.
    Seal,
    /// How the page looks.
    Style,
}

/// An item as it is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Its media type.
    pub kind: &'static str,
    /// What it is.
    pub body: Bytes,
    /// The Content-Security-Policy that goes with it.
    pub policy: String,
}

impl Item {
    /// The item at `path`, byte for byte.
    pub fn at(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(PATH)? {
            "" | "/" => Self::Page,
            "/check.js" => Self::Script,
            "/doorward-ca.crt" => Self::PemToInstall,
            "/doorward-ca.der" => Self::Der,
            "/doorward-ca.mobileconfig" => Self::Profile,
            "/doorward-ca.pem" => Self::Pem,
            "/page.css" => Self::Style,
            "/seal.svg" => Self::Seal,
            _ => return None,
        })
    }

    /// It, for devices that are to trust `authority` and then come to one of `doors`.
    pub fn answer(self, authority: &Authority, doors: &[WebOrigin]) -> Answer {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let (kind, body) = match self {
            Self::Der => ("application/x-x509-ca-cert", Bytes::copy_from_slice(authority.der())),
            Self::Page => ("text/html; charset=utf-8", Bytes::from(page(authority, doors))),
            Self::Pem => ("application/x-pem-file", Bytes::copy_from_slice(authority.pem().as_bytes())),
            Self::PemToInstall => ("application/x-x509-ca-cert", Bytes::copy_from_slice(authority.pem().as_bytes())),
            Self::Profile => ("application/x-apple-aspen-config", Bytes::from(authority.mobileconfig())),
            Self::Script => ("text/javascript; charset=utf-8", text(SCRIPT)),
            Self::Seal => ("image/svg+xml", text(SEAL)),
            Self::Style => ("text/css; charset=utf-8", text(STYLE)),
        };
        let policy = match self {
            Self::Page => page_policy(doors),
            _ => "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'".to_owned(),
        };
        Answer { kind, body, policy }
    }
}

/// The addresses a device may come to, the one it has asked by first. A policy cannot name an IPv6 address
/// (CSP3 §2.3.1), and nobody types one.
pub fn doors<'a>(asked: Option<&'a Host>, names: impl IntoIterator<Item = &'a Host>, port: u16) -> Vec<WebOrigin> {
    let is_named = |host: &&Host| !matches!(host, Host::Address(ip) if ip.is_ipv6());
    let others = names.into_iter().filter(|name| Some(*name) != asked);
    let hosts = asked.into_iter().chain(others).filter(is_named).take(ONBOARDING_DOORS_MAX);
    hosts.map(|host| WebOrigin { scheme: Scheme::Https, host: host.clone(), port }).collect()
}

/// Nothing in it is a stranger's: hosts are ours, and hold no character of HTML (see [`Host`]); the CA's name is made of
/// letters, digits and spaces.
fn page(authority: &Authority, doors: &[WebOrigin]) -> String {
    let doors: String = doors.iter().map(|door| format!("<li><a href=\"{door}/\">{door}/</a></li>\n")).collect();
    let name: String = authority.name().chars().filter(|char| char.is_ascii_alphanumeric() || *char == ' ').collect();
    PAGE.replace("{doors}", &doors).replace("{name}", &name)
}

/// Only what is ours, and the pictures of the self-check.
fn page_policy(doors: &[WebOrigin]) -> String {
    let pictures: String = doors.iter().map(|door| format!(" {door}")).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{pictures}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::certificates::local_ca::LocalCa;

    #[test]
    fn the_page_shows_no_fingerprint_and_loads_nothing_from_elsewhere() {
        let (authority, doors) = (authority(), our_doors());
        let answer = Item::Page.answer(&authority, &doors);
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        for secret in [authority.sha256(), authority.sha1()] {
            for spelling in [secret.clone(), secret.replace(':', ""), secret.replace(':', " ")] {
                assert!(!page.to_ascii_uppercase().contains(&spelling), "{spelling}");
            }
        }
        assert!(page.contains(authority.name()) && !page.contains('{'), "{page}");
        for (before, after) in [("src=\"", "\""), ("rel=\"stylesheet\" href=\"", "\"")] {
            for found in page.split(before).skip(1) {
                let target = found.split(after).next().unwrap();
                assert!(Item::at(target).is_some(), "{target}");
            }
        }
        // Every link leads to an item or to a door of ours, and no attribute holds a script or a style.
        for found in page.split("href=\"").skip(1) {
            let target = found.split('"').next().unwrap();
            assert!(Item::at(target).is_some() || doors.iter().any(|door| target == format!("{door}/")), "{target}");
        }
        for inline in ["<style", " style=", "onclick", "onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert!(
            answer
                .policy
                .starts_with("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https://")
        );
        assert!(
            !answer.policy.contains("unsafe") && answer.policy.contains("frame-ancestors 'none'"),
            "{}",
            answer.policy
        );
    }

    #[test]
    fn every_form_has_the_type_that_devices_install() {
        let (authority, doors) = (authority(), our_doors());
        for (path, kind) in [
            ("/doorward/ca", "text/html; charset=utf-8"),
            ("/doorward/ca/", "text/html; charset=utf-8"),
            ("/doorward/ca/doorward-ca.pem", "application/x-pem-file"),
            ("/doorward/ca/doorward-ca.der", "application/x-x509-ca-cert"),
            ("/doorward/ca/doorward-ca.crt", "application/x-x509-ca-cert"),
            ("/doorward/ca/doorward-ca.mobileconfig", "application/x-apple-aspen-config"),
            ("/doorward/ca/check.js", "text/javascript; charset=utf-8"),
            ("/doorward/ca/page.css", "text/css; charset=utf-8"),
            ("/doorward/ca/seal.svg", "image/svg+xml"),
        ] {
            let answer = Item::at(path).unwrap().answer(&authority, &doors);
            assert_eq!(answer.kind, kind, "{path}");
            assert!(!answer.body.is_empty() && answer.policy.starts_with("default-src 'none'"), "{path}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("PRIVATE KEY"), "{path}");
        }
        for path in ["/doorward/cas", "/doorward/ca//", "/doorward/ca/x", "/doorward/ca/../whoami", "/doorward/CA", "/"]
        {
            assert_eq!(Item::at(path), None, "{path}");
        }
    }

    #[test]
    fn the_address_that_was_asked_by_comes_first_and_no_list_is_endless() {
        let asked = host("192.168.7.7");
        let names: Vec<Host> = (0..50).map(|number| host(&format!("n{number}.local"))).collect();
        let shown = doors(Some(&asked), names.iter().chain([&asked]), 8443);
        assert_eq!(shown.len(), ONBOARDING_DOORS_MAX);
        assert_eq!(shown[0].to_string(), "https://192.168.7.7:8443");
        assert_eq!(shown.iter().filter(|door| door.host == asked).count(), 1);
        assert_eq!(doors(Some(&host("fd00::1")), &[host("a.local")], 443)[0].to_string(), "https://a.local");
    }

    fn our_doors() -> Vec<WebOrigin> {
        doors(Some(&host("192.168.7.7")), &[host("pi.local")], 443)
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    fn authority() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        LocalCa::open(folder.path(), &[], Clock::system().now()).unwrap().authority().clone()
    }
}
