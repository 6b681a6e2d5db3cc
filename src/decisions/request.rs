//! What is kept of a request: copies, cut to size, and never a credential, a cookie or a query.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Version;
use http::header::AUTHORIZATION;
use http::header::COOKIE;
use http::header::HOST;
use http::header::ORIGIN;
use http::header::PROXY_AUTHORIZATION;
use http::request::Parts;

use crate::base::limits::DECISION_LINE_BYTES_MAX;
use crate::base::limits::DECISION_PATH_CHARS_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::LOG_WORD_CHARS_MAX;
use crate::base::printable::printable;
use crate::net::host::Authority;
use crate::net::host::Scheme;
use crate::origin::Settings;

/// What a caller asked for.
#[derive(Debug)]
pub struct Asked {
    /// The method, printable.
    pub method: String,
    /// The path without its query, printable.
    pub path: String,
    /// The protocol's version.
    pub protocol: &'static str,
    /// The one authority it is for, where it could be read.
    pub authority: Option<Authority>,
    /// Its scheme.
    pub scheme: Scheme,
    /// The header lines that say who is calling.
    pub lines: Lines,
}

impl Asked {
    /// What `head` asks for, without its secrets.
    pub fn of(head: &Parts, authority: Option<&Authority>, scheme: Scheme, rules: &Settings) -> Self {
        Self {
            method: printable(head.method.as_str(), LOG_WORD_CHARS_MAX),
            path: printable(head.uri.path(), DECISION_PATH_CHARS_MAX),
            protocol: match head.version {
                Version::HTTP_2 => "h2",
                Version::HTTP_10 => "http/1.0",
                _ => "http/1.1",
            },
            authority: authority.cloned(),
            scheme,
            lines: Lines::of(&head.headers, rules),
        }
    }

    /// What is known of a head that was refused before it was read.
    pub fn unread(scheme: Scheme) -> Self {
        Self {
            method: NONE.to_owned(),
            path: NONE.to_owned(),
            protocol: "http/1.1",
            authority: None,
            scheme,
            lines: Lines { lines: Box::default(), kept: Kept::Unread },
        }
    }
}

impl Asked {
    /// What is known where no request came.
    pub fn nothing(scheme: Scheme) -> Self {
        let lines = Lines { lines: Box::default(), kept: Kept::None };
        Self { protocol: NONE, lines, ..Self::unread(scheme) }
    }
}

/// The header lines on which an origin rests: `Host`, `Origin` and the forwarding family.
///
/// Invariant: copies. A line shared with the request would keep all the bytes of its head in memory.
#[derive(Debug)]
pub struct Lines {
    lines: Box<[(HeaderName, HeaderValue)]>,
    /// Whether these are all.
    pub kept: Kept,
}

/// What stands where nothing is known.
const NONE: &str = "-";

/// Whether all lines that count were kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// There were more than fit.
    Cut,
    /// No request came.
    None,
    /// The head was refused before any was read.
    Unread,
    /// They were.
    Whole,
}

/// The forwarding headers whose values name addresses and schemes, and nothing else. Of the rest of the family, some of
/// which carry tokens and queries, the name is kept: that it came is all that counts.
const WITH_VALUE: [&str; 9] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Whether a header of this name carries a credential, whatever an operator takes it for.
fn name_is_secret(name: &HeaderName) -> bool {
    [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
}

impl Lines {
    /// Those of `headers` on a listener with these `rules`, as many as fit.
    pub fn of(headers: &HeaderMap, rules: &Settings) -> Self {
        let is_read = |name: &HeaderName| rules.client_ip_header.as_str() == name.as_str() && !name_is_secret(name);
        let (mut lines, mut room, mut kept) = (Vec::new(), DECISION_LINE_BYTES_MAX, Kept::Whole);
        for (name, value) in headers {
            let bytes = match name {
                _ if *name == HOST || *name == ORIGIN => value.as_bytes(),
                _ if WITH_VALUE.contains(&name.as_str()) || is_read(name) => value.as_bytes(),
                _ if rules.is_forwarding(name) => &[],
                _ => continue,
            };
            let Some(left) = room.checked_sub(name.as_str().len().saturating_add(bytes.len())) else {
                kept = Kept::Cut;
                break;
            };
            // Never fails: both were read from such a line.
            let copy = (HeaderName::from_bytes(name.as_str().as_bytes()), HeaderValue::from_bytes(bytes));
            if let (Ok(name), Ok(value)) = copy {
                lines.push((name, value));
            }
            room = left;
        }
        Self { lines: lines.into_boxed_slice(), kept }
    }

    /// The lines, those of one name in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.lines.iter().map(|(name, value)| (name, value))
    }

    /// The first `Origin` line, printable.
    pub fn web_origin(&self) -> Option<String> {
        let (_, value) = self.iter().find(|(name, _)| *name == ORIGIN)?;
        Some(printable(&String::from_utf8_lossy(value.as_bytes()), LABEL_CHARS_MAX))
    }

    /// The lines as they are judged.
    pub fn headers(&self) -> HeaderMap {
        self.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn nothing_secret_is_kept() {
        let request = Request::builder().uri("/chat?token=SECRET&x=SECRET#SECRET").method("GET");
        let request = [
            ("authorization", "Bearer SECRET"),
            ("cookie", "a=SECRET"),
            ("proxy-authorization", "SECRET"),
            ("x-openclaw-token", "SECRET"),
            ("sec-websocket-protocol", "SECRET"),
            ("sec-websocket-key", "SECRET"),
            ("referer", "https://a/?token=SECRET"),
            ("x-doorward-assertion", "SECRET"),
            ("x-forwarded-access-token", "SECRET"),
            ("x-auth-request-access-token", "SECRET"),
            ("x-original-url", "/?token=SECRET"),
            ("x-forwarded-uri", "/?token=SECRET"),
            ("cf-access-jwt-assertion", "SECRET"),
            ("x-goog-iap-jwt-assertion", "SECRET"),
            ("x-forwarded-for", "203.0.113.9"),
            ("host", "claw.example"),
        ]
        .into_iter()
        .fold(request, |request, (name, value)| request.header(name, value));
        let head = request.body(()).unwrap().into_parts().0;
        let asked = Asked::of(&head, None, Scheme::Https, &Settings::default());
        let shown = format!("{asked:?}");
        assert!(!shown.contains("SECRET"), "{shown}");
        assert_eq!(asked.path, "/chat");
        let headers = asked.lines.headers();
        assert_eq!((&headers["x-forwarded-for"], &headers["host"]), (&header("203.0.113.9"), &header("claw.example")));
        assert!(headers.contains_key("x-forwarded-access-token") && headers.contains_key("cf-access-jwt-assertion"));
        assert!(!headers.contains_key("cookie") && asked.lines.kept == Kept::Whole);
    }

    #[test]
    fn a_giant_head_leaves_no_giant_behind() {
        let giant = "203.0.113.9, ".repeat(5_000);
        let headers: HeaderMap = [("host", "claw.example"), ("x-forwarded-for", &giant), ("via", "1.1 a")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let lines = Lines::of(&headers, &Settings::default());
        assert_eq!(lines.kept, Kept::Cut);
        assert!(
            lines.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
                <= DECISION_LINE_BYTES_MAX
        );
    }

    #[test]
    fn lines_are_kept_to_the_last_byte_that_fits() {
        let long = "x-forwarded-for";
        for (bytes, kept) in [(DECISION_LINE_BYTES_MAX - long.len(), Kept::Whole), (DECISION_LINE_BYTES_MAX, Kept::Cut)]
        {
            let headers = [(HeaderName::from_static(long), header(&"1".repeat(bytes)))].into_iter().collect();
            assert_eq!(Lines::of(&headers, &Settings::default()).kept, kept, "{bytes}");
        }
    }

    #[test]
    fn a_path_is_kept_to_its_bound() {
        for (chars, kept) in [(DECISION_PATH_CHARS_MAX, DECISION_PATH_CHARS_MAX), (5_000, DECISION_PATH_CHARS_MAX + 1)]
        {
            let head = Request::get(format!("/{}", "a".repeat(chars - 1))).body(()).unwrap().into_parts().0;
            let path = Asked::of(&head, None, Scheme::Https, &Settings::default()).path;
            assert_eq!((path.chars().count(), path.ends_with('…')), (kept, kept < chars), "{chars}");
        }
    }

    #[test]
    fn lines_of_one_name_keep_their_order() {
        let values = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];
        let headers: HeaderMap =
            values.iter().map(|value| (HeaderName::from_static("x-forwarded-for"), header(value))).collect();
        let again = Lines::of(&headers, &Settings::default()).headers();
        assert_eq!(again.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), values);
    }

    fn header(value: &str) -> HeaderValue {
        HeaderValue::from_str(value).unwrap()
    }
}
