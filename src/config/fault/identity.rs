//! What can be wrong with an `[[identity]]`, and what to do about it.

use thiserror::Error;

use super::shown;
use crate::origin::header::HeaderFault;

/// What is wrong.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum IdentityFault {
    /// A claim that no token has.
    #[error("no claim is called this: {}", shown(.0))]
    GroupsClaim(String),
    /// A header that cannot carry a token.
    #[error("{cause}: {}", shown(text))]
    Header {
        /// Why.
        cause: HeaderFault,
        /// What was written.
        text: String,
    },
    /// Two in one header.
    #[error("another [[identity]] reads the same header on the same listener: {0}")]
    HeaderTaken(String),
    /// Not an issuer that this product has.
    #[error("not an issuer of this provider: {}", shown(text))]
    Issuer {
        /// As written.
        text: String,
        /// How it looks.
        form: &'static str,
    },
    /// Keys from two places.
    #[error("keys_file is set, so {key} is not read")]
    KeysTwice {
        /// The other key.
        key: &'static str,
    },
    /// Keys that anybody on the way could replace.
    #[error("keys_url is not an https address: {}", shown(.0))]
    KeysUrl(String),
    /// A listener that is not there.
    #[error("no listener has this name: {}", shown(text))]
    Listener {
        /// As written.
        text: String,
        /// The listeners there are.
        known: Vec<String>,
    },
    /// Two of one name.
    #[error("another provider of identities has this name: {0}")]
    NameTaken(String),
    /// Tokens that nobody may send.
    #[error("identity tokens are read from trusted proxies only, and no trusted_proxies names one here")]
    NeedsTrust,
}

impl IdentityFault {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::GroupsClaim(_) => "name the claim of the token that lists groups, as \"groups\"".into(),
            Self::Header { .. } => {
                "name the header that your proxy writes the signed token into, and nothing else, as \"x-id-token\""
                    .into()
            }
            Self::HeaderTaken(_) => "give each its own `listeners`: a token is checked against one issuer".into(),
            Self::Issuer { form, .. } => format!("write it as its tokens have it in `iss`: {form}"),
            Self::KeysTwice { key } => format!("remove {key}, or remove keys_file to fetch the keys"),
            Self::KeysUrl(_) => "write \"https://...\", without user or `#`; or name a file in keys_file".into(),
            Self::Listener { known, .. } => format!("there is {}", known.join(", ")),
            Self::NameTaken(_) => "set `name`, by which their logins are told apart".into(),
            Self::NeedsTrust => {
                "list the proxy that sends them: `trusted_proxies = [\"192.0.2.1\"]` in its [[listener]]".into()
            }
        }
    }
}
