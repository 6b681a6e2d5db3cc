//! The products whose identity tokens are known by name: in which header each comes, how it is signed, where its keys lie.

use http::HeaderName;

use super::Login;
use super::keys::Algorithm;

/// A product that puts a signed identity on the requests it lets through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Product {
    /// authentik's proxy provider.
    Authentik,
    /// Cloudflare Access.
    CloudflareAccess,
    /// Google's Identity-Aware Proxy.
    GoogleIap,
    /// Any other, in a header that the operator names.
    Jwt,
    /// Pomerium.
    Pomerium,
}

impl Product {
    /// All of them, by their words in the configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("cloudflare-access", Self::CloudflareAccess),
        ("pomerium", Self::Pomerium),
        ("google-iap", Self::GoogleIap),
        ("authentik", Self::Authentik),
        ("jwt", Self::Jwt),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authentik => "authentik",
            Self::CloudflareAccess => "cloudflare-access",
            Self::GoogleIap => "google-iap",
            Self::Jwt => "jwt",
            Self::Pomerium => "pomerium",
        }
    }

    /// The header of its tokens, where it is always the same.
    pub fn header(self) -> Option<HeaderName> {
        Some(HeaderName::from_static(match self {
            Self::Authentik => "x-authentik-jwt",
            Self::CloudflareAccess => "cf-access-jwt-assertion",
            Self::GoogleIap => "x-goog-iap-jwt-assertion",
            Self::Jwt => return None,
            Self::Pomerium => "x-pomerium-jwt-assertion",
        }))
    }

    /// What it signs with.
    pub fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Authentik => &[Algorithm::Es256, Algorithm::Rs256],
            Self::CloudflareAccess => &[Algorithm::Rs256],
            Self::GoogleIap | Self::Pomerium => &[Algorithm::Es256],
            Self::Jwt => &[Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256],
        }
    }

    /// Which claim names an account, unless the operator says.
    pub fn login(self) -> Login {
        match self {
            Self::Authentik | Self::CloudflareAccess | Self::GoogleIap | Self::Pomerium => Login::Email,
            Self::Jwt => Login::VerifiedEmail,
        }
    }

    /// Its `iss`, where that is the same for everybody.
    pub fn issuer(self) -> Option<&'static str> {
        (self == Self::GoogleIap).then_some("https://cloud.google.com/iap")
    }

    /// How an issuer of it looks.
    pub fn issuer_form(self) -> &'static str {
        match self {
            Self::Authentik => "https://HOST/application/o/SLUG/",
            Self::CloudflareAccess => "https://TEAM.cloudflareaccess.com, without a slash at the end",
            Self::GoogleIap => "https://cloud.google.com/iap",
            Self::Jwt => "any text",
            Self::Pomerium => "the host of the route, as claw.example.com",
        }
    }

    /// Where the keys of the one that issues as `issuer` lie, if that follows.
    pub fn keys_url(self, issuer: &str) -> Option<String> {
        Some(match self {
            Self::Authentik => format!("{}/jwks/", issuer.trim_end_matches('/')),
            Self::CloudflareAccess => format!("{issuer}/cdn-cgi/access/certs"),
            Self::GoogleIap => "https://www.gstatic.com/iap/verify/public_key-jwk".to_owned(),
            Self::Jwt => return None,
            // Its issuer is the route's host, as an address only where Pomerium is told so.
            Self::Pomerium => {
                let host = issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/');
                format!("https://{host}/.well-known/pomerium/jwks.json")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::headers::is_look_alike;

    #[test]
    fn every_product_has_one_word_and_nobodys_header() {
        for (word, product) in Product::ALL {
            assert_eq!(product.as_str(), word);
            assert!(product.header().is_none_or(|header| is_look_alike(&header)), "{word} would reach the core");
        }
    }

    #[test]
    fn the_keys_lie_where_the_issuer_shows_them() {
        for (product, issuer, url) in [
            (
                Product::CloudflareAccess,
                "https://team.cloudflareaccess.com",
                "https://team.cloudflareaccess.com/cdn-cgi/access/certs",
            ),
            (Product::Pomerium, "claw.example.com", "https://claw.example.com/.well-known/pomerium/jwks.json"),
            (Product::Pomerium, "https://claw.example.com/", "https://claw.example.com/.well-known/pomerium/jwks.json"),
            (Product::GoogleIap, "https://cloud.google.com/iap", "https://www.gstatic.com/iap/verify/public_key-jwk"),
            (
                Product::Authentik,
                "https://id.example/application/o/claw/",
                "https://id.example/application/o/claw/jwks/",
            ),
        ] {
            assert_eq!(product.keys_url(issuer).as_deref(), Some(url));
        }
        assert_eq!(Product::Jwt.keys_url("https://issuer.example"), None);
    }
}
