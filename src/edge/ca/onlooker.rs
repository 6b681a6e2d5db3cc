//! Which page asks for the seal, the picture by which a device learns that it trusts this house: only pages of the house may
//! see it. Any other page on the web would learn by it whose guest its visitor is.
//!
//! What is left to such a page is how long a load took that it may not see; no header hides that.

use http::HeaderMap;
use http::header::{HeaderValue, ORIGIN};

use crate::net::host::{Host, WebOrigin};

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Onlooker {
    /// A page of ours, at another address: it may see the answer if that says so.
    House(HeaderValue),
    /// A page of this very address, or no page.
    Nobody,
    /// A page of somebody else's.
    Stranger,
}

impl Onlooker {
    /// Who asks with these `headers`; `is_ours` knows the hosts of the house.
    pub(super) fn of(headers: &HeaderMap, is_ours: impl Fn(&Host) -> bool) -> Self {
        let mut origins = headers.get_all(ORIGIN).into_iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => {
                let page = origin.to_str().ok().and_then(|text| WebOrigin::parse(text).ok());
                match page {
                    Some(page) if is_ours(&page.host) => Self::House(origin.clone()),
                    _ => Self::Stranger,
                }
            }
            // A page that does not ask by CORS: its browser says where it is (Fetch Metadata §2.1), and one that does not say
            // keeps the picture from other pages by the policy that it comes with.
            (None, _) if headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none") => {
                Self::Nobody
            }
            _ => Self::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn only_pages_of_the_house_see_the_seal() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            Onlooker::of(&headers, |host| ["10.77.0.1", "pi.local"].contains(&host.to_string().as_str()))
        };
        for origin in ["http://10.77.0.1", "https://pi.local:8443", "http://PI.local:80"] {
            assert_eq!(of(&[("origin", origin)]), Onlooker::House(HeaderValue::from_static(origin)));
            assert_eq!(of(&[("origin", origin), ("sec-fetch-site", "cross-site")]), of(&[("origin", origin)]));
        }
        for foreign in
            ["https://evil.example", "http://pi.local.evil.example", "null", "http://10.77.0.1.evil.example", "x"]
        {
            assert_eq!(of(&[("origin", foreign)]), Onlooker::Stranger, "{foreign}");
        }
        assert_eq!(of(&[("origin", "http://pi.local"), ("origin", "https://evil.example")]), Onlooker::Stranger);
        for site in ["cross-site", "same-site", "x"] {
            assert_eq!(of(&[("sec-fetch-site", site)]), Onlooker::Stranger, "{site}");
        }
        for lines in [&[][..], &[("sec-fetch-site", "same-origin")], &[("sec-fetch-site", "none")]] {
            assert_eq!(of(lines), Onlooker::Nobody);
        }
    }
}
