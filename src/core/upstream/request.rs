//! The head of a request as it goes up to the upstream.
//!
//! Promise: exactly one Host, the endpoint's own; no header that somebody could take for our word, but for those that we set
//! here; our token only with an admitted request, whose answer is asked for unpacked; and a credential that we did not check
//! only where the owner opened the path, but for an admitted caller's cookies, which are the gateway's own.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;
use http::header::ACCEPT;
use http::header::ACCEPT_ENCODING;
use http::header::ACCEPT_LANGUAGE;
use http::header::AUTHORIZATION;
use http::header::CACHE_CONTROL;
use http::header::EXPECT;
use http::header::HOST;
use http::header::IF_MODIFIED_SINCE;
use http::header::IF_NONE_MATCH;
use http::header::IF_RANGE;
use http::header::InvalidHeaderValue;
use http::header::ORIGIN;
use http::header::RANGE;
use http::header::REFERER;
use http::header::USER_AGENT;
use http::request::Parts;
use http::uri::PathAndQuery;
use thiserror::Error;

use crate::base::secret::Secret;
use crate::core::upstream::Mode;
use crate::core::upstream::access::Bearer;
use crate::core::upstream::access::Passage;
use crate::core::upstream::access::Way;
use crate::core::upstream::resource::Resource;
use crate::core::upstream::spelling::without_credentials;
use crate::identity::headers::ASSERTION;
use crate::net::host::Scheme;

/// All that goes up with a request that anybody may make: what chooses a form of the answer.
const PUBLIC: [HeaderName; 9] = [
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    RANGE,
    USER_AGENT,
];

/// The upstream's own headers (openclaw 2026.9.6) by which an admitted caller chooses an agent, a session, a model or a channel,
/// and nothing else.
const CHOICES: [HeaderName; 9] = [
    HeaderName::from_static("x-openclaw-account-id"),
    HeaderName::from_static("x-openclaw-agent"),
    HeaderName::from_static("x-openclaw-agent-id"),
    HeaderName::from_static("x-openclaw-message-channel"),
    HeaderName::from_static("x-openclaw-message-to"),
    HeaderName::from_static("x-openclaw-model"),
    HeaderName::from_static("x-openclaw-requester-session-key"),
    HeaderName::from_static("x-openclaw-session-key"),
    HeaderName::from_static("x-openclaw-thread-id"),
];

/// What a hook's caller may send in the place of `Authorization`, and by which it is known when it comes again.
const OF_HOOKS: [HeaderName; 2] =
    [HeaderName::from_static("x-openclaw-idempotency-key"), HeaderName::from_static("x-openclaw-token")];

/// What an upstream that trusts us keeps a request to.
const SCOPES: HeaderName = HeaderName::from_static("x-openclaw-scopes");

/// Where a request goes, and as whose.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Address and port, as they are dialled: what the upstream takes for its own name.
    pub authority: &'a HeaderValue,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The upstream's token.
    pub token: Option<&'a Secret<String>>,
    /// How we present ourselves.
    pub mode: Mode,
    /// What we say of the caller, to an upstream that trusts us.
    pub word: &'a HeaderMap,
}

/// The head that goes up for `head`, which the edge has stripped; `came` are the headers as the caller sent them.
///
/// # Errors
/// [`RequestError`] when what we would write is no header or target.
pub fn head(head: &Parts, came: &HeaderMap, passage: &Passage, to: Destination<'_>) -> Result<Parts, RequestError> {
    let mut up = head.clone();
    up.uri = target(&head.uri, passage)?;
    match passage.way() {
        Way::Public(_) => {
            let sealed = std::mem::take(&mut up.headers);
            for name in PUBLIC {
                up.headers.extend(sealed.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
        Way::Admitted(scopes) => {
            up.headers.remove(AUTHORIZATION);
            // In a packed answer our token could not be seen (RFC 9110 §12.5.3).
            up.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            choose(&mut up.headers, came, &CHOICES);
            if to.mode == Mode::TrustedProxy {
                let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
                up.headers.insert(SCOPES, HeaderValue::try_from(words.join(","))?);
            } else if let Some(token) = to.token {
                let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
                bearer.set_sensitive(true);
                up.headers.insert(AUTHORIZATION, bearer);
            }
        }
        Way::Open(bearer) => {
            // Two of them have two readings.
            if *bearer == Bearer::Removed || came.get_all(AUTHORIZATION).iter().count() > 1 {
                up.headers.remove(AUTHORIZATION);
            }
            choose(&mut up.headers, came, &OF_HOOKS);
        }
    }
    up.headers.remove(ASSERTION);
    // Answered by the edge, which lets the body come.
    up.headers.remove(EXPECT);
    name_itself(&mut up.headers, to)?;
    for (name, value) in to.word {
        up.headers.insert(name.clone(), value.clone());
    }
    Ok(up)
}

/// The upstream is told its own name wherever the caller told it ours: it lets in no page but its own.
fn name_itself(headers: &mut HeaderMap, to: Destination<'_>) -> Result<(), RequestError> {
    headers.insert(HOST, to.authority.clone());
    let authority = to.authority.to_str().map_err(|_| RequestError::Authority)?;
    let origin = format!("{}://{authority}", to.scheme.as_str());
    if headers.contains_key(REFERER) {
        headers.insert(REFERER, HeaderValue::try_from(format!("{origin}/"))?);
    }
    if headers.contains_key(ORIGIN) {
        headers.insert(ORIGIN, HeaderValue::try_from(origin)?);
    }
    Ok(())
}

/// Takes `names` over as the caller sent them, where it sent one of a name.
fn choose(headers: &mut HeaderMap, came: &HeaderMap, names: &[HeaderName]) {
    for name in names {
        let mut lines = came.get_all(name).iter();
        if let (Some(line), None) = (lines.next(), lines.next()) {
            headers.insert(name.clone(), line.clone());
        }
    }
}

/// What is asked for up there. A place within the page is the page: what stands in its path, and in a query, stays here.
fn target(uri: &Uri, passage: &Passage) -> Result<Uri, RequestError> {
    let asked = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let target = match passage.way() {
        Way::Public(Resource::Asset) => match asked.query().filter(|query| is_version(query)) {
            Some(_) => asked,
            None => PathAndQuery::try_from(asked.path())?,
        },
        Way::Public(_) => PathAndQuery::from_static("/"),
        Way::Admitted(_) => asked,
        // The upstream takes its own token there, too: nobody guesses it from our address.
        Way::Open(_) => match (asked.query(), asked.query().and_then(without_credentials)) {
            (Some(query), Some(left)) if query == left => asked,
            (Some(_), Some(left)) => PathAndQuery::try_from(format!("{}?{left}", asked.path()))?,
            (Some(_), None) => PathAndQuery::try_from(asked.path())?,
            (None, _) => asked,
        },
    };
    Ok(Uri::from(target))
}

/// Whether a query names the version of a file, by which it may be kept for good.
fn is_version(query: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    query.strip_prefix("v=").is_some_and(|version| version.bytes().all(named))
}

/// Why no head can be made.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The endpoint's name.
    #[error("the upstream's address is no text")]
    Authority,
    /// The target.
    #[error("unwritable target")]
    Target(#[from] http::uri::InvalidUri),
    /// A header of ours: the token may have a line break.
    #[error("unwritable header value")]
    Value(#[from] InvalidHeaderValue),
}

#[cfg(test)]
mod tests;
