//! Answers of the upstream without its token.
//!
//! A token is masked by as many stars: the length that was announced stays right.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use memchr::memmem;

use crate::base::secret::Secret;

/// What stands in the place of each byte.
const MASK: u8 = b'*';

/// Takes the token out of a body that passes in pieces.
#[derive(Debug)]
pub(in crate::core) struct Scrubber {
    secret: Secret<String>,
    /// The end of the piece before, where the token may have begun.
    held: Vec<u8>,
}

impl Scrubber {
    /// One for a body with these headers; none for a body in which nothing can be seen, because it is packed or no text.
    pub(in crate::core) fn of(answer: &HeaderMap, secret: &Secret<String>) -> Option<Self> {
        let is_packed = answer.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
        let kind = answer.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_text = [&b"json"[..], b"text/", b"xml"].iter().any(|word| memmem::find(kind, word).is_some());
        let worth = is_text && !is_packed && !secret.expose().is_empty();
        worth.then(|| Self { secret: secret.clone(), held: Vec::new() })
    }

    /// What may go on of `piece` now; at the end, all that is left.
    pub(in crate::core) fn pass(&mut self, piece: Option<Bytes>, end: End) -> Option<Bytes> {
        let mut text = std::mem::take(&mut self.held);
        let piece = match piece {
            Some(piece) if text.is_empty() => piece,
            Some(piece) => {
                text.extend_from_slice(&piece);
                Bytes::from(text)
            }
            None if text.is_empty() => return None,
            None => Bytes::from(text),
        };
        let mut piece = masked(piece, self.secret.expose().as_bytes());
        if end == End::No {
            let kept = self.begun(&piece);
            self.held = piece.split_off(piece.len().saturating_sub(kept)).to_vec();
        }
        Some(piece)
    }

    /// How many bytes at the end of `text` may be the beginning of the token.
    fn begun(&self, text: &[u8]) -> usize {
        let secret = self.secret.expose().as_bytes();
        let longest = text.len().min(secret.len().saturating_sub(1));
        let is_begun = |length: &usize| text.iter().rev().take(*length).rev().eq(secret.iter().take(*length));
        (1..=longest).rev().find(is_begun).unwrap_or_default()
    }
}

/// Whether more comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum End {
    /// More may.
    No,
    /// This was all.
    Yes,
}

/// `text` with the token masked wherever it stands; the same bytes where it does not.
fn masked(text: Bytes, secret: &[u8]) -> Bytes {
    let places: Vec<usize> = memmem::find_iter(&text, secret).collect();
    if places.is_empty() {
        return text;
    }
    let mut masked = text.to_vec();
    for place in places {
        masked.iter_mut().skip(place).take(secret.len()).for_each(|byte| *byte = MASK);
    }
    Bytes::from(masked)
}

/// Takes every line out that has the token in it.
pub(in crate::core) fn scrub_headers(headers: &mut HeaderMap, secret: &Secret<String>) {
    let secret = secret.expose().as_bytes();
    if secret.is_empty() || !headers.values().any(|value| memmem::find(value.as_bytes(), secret).is_some()) {
        return;
    }
    let kept = headers.iter().filter(|(_, value)| memmem::find(value.as_bytes(), secret).is_none());
    let kept: Vec<_> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.clear();
    for (name, value) in kept {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Wherever the pieces end.
        #[test]
        fn no_body_passes_with_the_token_and_none_changes_its_length(
            text in "([ab]{0,6}|abaab|x){0,12}",
            cuts in proptest::collection::vec(0..64_usize, 0..8),
        ) {
            let secret = Secret::new("abaab".to_owned());
            let mut scrubber = Scrubber { secret: secret.clone(), held: Vec::new() };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut passed = Vec::new();
            for pair in cuts.windows(2) {
                let piece = Bytes::copy_from_slice(&text.as_bytes()[pair[0]..pair[1]]);
                passed.extend(scrubber.pass(Some(piece), End::No).unwrap_or_default());
            }
            passed.extend(scrubber.pass(None, End::Yes).unwrap_or_default());
            prop_assert_eq!(passed.len(), text.len());
            prop_assert!(memmem::find(&passed, b"abaab").is_none());
            prop_assert_eq!(Bytes::from(passed), masked(Bytes::from(text), b"abaab"));
        }
    }

    #[test]
    fn an_event_is_not_held_back() {
        let secret = Secret::new("token".to_owned());
        let mut scrubber = Scrubber { secret, held: Vec::new() };
        let event = Bytes::from_static(b"data: {}\n\n");
        assert_eq!(scrubber.pass(Some(event.clone()), End::No), Some(event));
        assert_eq!(scrubber.pass(Some(Bytes::from_static(b"data: tok")), End::No).as_deref(), Some(&b"data: "[..]));
        assert_eq!(scrubber.pass(Some(Bytes::from_static(b"en\n")), End::No).as_deref(), Some(&b"*****\n"[..]));
        assert_eq!(scrubber.pass(None, End::Yes), None);
    }

    #[test]
    fn only_text_that_can_be_seen_is_looked_through() {
        let secret = Secret::new("token".to_owned());
        for (kind, coding, expected) in [
            ("application/json; charset=utf-8", None, true),
            ("text/event-stream", Some("identity"), true),
            ("application/problem+json", None, true),
            ("application/json", Some("br"), false),
            ("image/png", None, false),
            ("application/javascript", None, false),
        ] {
            let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            headers.extend(coding.map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding))));
            assert_eq!(Scrubber::of(&headers, &secret).is_some(), expected, "{kind} {coding:?}");
        }
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        assert!(Scrubber::of(&headers, &Secret::new(String::new())).is_none());
    }

    #[test]
    fn a_header_with_the_token_does_not_pass() {
        let secret = Secret::new("token".to_owned());
        let mut headers = HeaderMap::from_iter([
            (LOCATION, HeaderValue::from_static("/?t=token#x")),
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        ]);
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=token"));
        scrub_headers(&mut headers, &secret);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["set-cookie"], "a=1");
    }
}
