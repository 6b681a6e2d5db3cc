//! What an operator says of the upstream: its place, its token, how we present ourselves, and what of its HTTP is open.

use std::fmt;
use std::path::PathBuf;

use http::Method;
use thiserror::Error;

use crate::core::upstream::Endpoint;

/// `[core.upstream]` of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The file with its token, if it wants one.
    pub token_file: Option<PathBuf>,
    /// How we present ourselves there.
    pub mode: Mode,
    /// What of its HTTP is open to callers that we do not know.
    pub open: Vec<Open>,
}

/// How we present ourselves to the upstream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// As a program of the gateway itself, with its token and no device.
    Backend,
    /// As a device of our own, with its token.
    #[default]
    Device,
    /// As a proxy that it trusts.
    TrustedProxy,
}

impl Mode {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Device => "device",
            Self::TrustedProxy => "trusted-proxy",
        }
    }
}

/// One `[[core.upstream.open]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// Which paths.
    pub path: OpenPath,
    /// By which methods.
    pub methods: Vec<Method>,
}

impl Open {
    /// Whether this opens `path`, as it stands in the request without a query, to `method`.
    pub fn opens(&self, method: &Method, path: &str) -> bool {
        self.methods.contains(method) && self.path.covers(path)
    }
}

/// A path, or everything below one: `/hooks/wake`, `/hooks/*`.
///
/// Invariant: it begins with a slash and is in the one spelling that [`is_plain`] takes, so that what we compare and what the
/// upstream serves are the same path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenPath(Form);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Form {
    /// With the slash at its end.
    Below(String),
    Exact(String),
}

impl OpenPath {
    /// Reads a path, or a prefix that ends in `/*`.
    ///
    /// # Errors
    /// [`OpenPathError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, OpenPathError> {
        if !text.starts_with('/') {
            return Err(OpenPathError::Relative);
        }
        if text.contains(['?', '#']) {
            return Err(OpenPathError::Query);
        }
        if text == "/*" || text == "/" {
            return Err(OpenPathError::Everything);
        }
        let path = text.strip_suffix("/*");
        if path.unwrap_or(text).contains('*') {
            return Err(OpenPathError::Wildcard);
        }
        if !is_plain(path.unwrap_or(text)) {
            return Err(OpenPathError::Spelling);
        }
        Ok(Self(path.map_or_else(|| Form::Exact(text.to_owned()), |path| Form::Below(format!("{path}/")))))
    }

    /// Whether this covers `path`. One that another reader could take for another path is covered by none.
    pub fn covers(&self, path: &str) -> bool {
        is_plain(path)
            && match &self.0 {
                Form::Exact(exact) => path == exact,
                Form::Below(below) => path.strip_prefix(below.as_str()).is_some_and(|rest| !rest.is_empty()),
            }
    }
}

impl fmt::Display for OpenPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Exact(exact) => f.write_str(exact),
            Form::Below(below) => write!(f, "{below}*"),
        }
    }
}

/// Whether a path has one reading only: no escapes, no backslash, no empty segment, no `.` and no `..`.
pub(super) fn is_plain(path: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@".contains(&byte);
    let segment =
        |segment: &str| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(character);
    path.strip_prefix('/').is_some_and(|rest| rest.strip_suffix('/').unwrap_or(rest).split('/').all(segment))
}

/// Why a text opens nothing.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenPathError {
    /// All of it.
    #[error("this would open everything of the upstream to anybody")]
    Everything,
    /// More than a path.
    #[error("a query or fragment is no part of a path")]
    Query,
    /// No slash in front.
    #[error("a path begins with a slash")]
    Relative,
    /// A path that has several readings.
    #[error("a path has no escapes, no empty parts and no dots that stand alone")]
    Spelling,
    /// A star in the middle.
    #[error("a star may stand only at the end, after a slash")]
    Wildcard,
}

impl OpenPathError {
    /// What to write instead.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Everything => "name each path that outside programs call, as \"/hooks/*\"",
            _ => "write a path as \"/hooks/wake\", or everything below one as \"/hooks/*\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_opens_itself_or_all_below_it_and_nothing_that_has_two_readings() {
        let (exact, below) = (OpenPath::parse("/hooks/wake").unwrap(), OpenPath::parse("/hooks/*").unwrap());
        for (path, by_exact, by_below) in [
            ("/hooks/wake", true, true),
            ("/hooks/wake/", false, true),
            ("/hooks/a/b", false, true),
            ("/hooks", false, false),
            ("/hooks/", false, false),
            ("/hooksy", false, false),
            ("/hooks/../tools/invoke", false, false),
            ("/hooks/./wake", false, false),
            ("/hooks//wake", false, false),
            ("//hooks/wake", false, false),
            ("/hooks/%2e%2e/tools", false, false),
            ("/hooks/..\\tools", false, false),
            ("/hooks/a\u{e9}", false, false),
            ("", false, false),
        ] {
            assert_eq!((exact.covers(path), below.covers(path)), (by_exact, by_below), "{path:?}");
        }
        assert_eq!((exact.to_string(), below.to_string()), ("/hooks/wake".into(), "/hooks/*".into()));
        let open = Open { path: below, methods: vec![Method::POST] };
        assert!(open.opens(&Method::POST, "/hooks/wake") && !open.opens(&Method::GET, "/hooks/wake"));
    }

    #[test]
    fn what_opens_nothing_or_everything_is_refused() {
        for (text, error) in [
            ("hooks/wake", OpenPathError::Relative),
            ("", OpenPathError::Relative),
            ("/", OpenPathError::Everything),
            ("/*", OpenPathError::Everything),
            ("/hooks*", OpenPathError::Wildcard),
            ("/*/wake", OpenPathError::Wildcard),
            ("/hooks?x", OpenPathError::Query),
            ("/hooks#x", OpenPathError::Query),
            ("/hooks/../x", OpenPathError::Spelling),
            ("//*", OpenPathError::Spelling),
            ("/%68ooks", OpenPathError::Spelling),
        ] {
            assert_eq!(OpenPath::parse(text), Err(error), "{text:?}");
            assert!(!error.hint().is_empty());
        }
    }
}
