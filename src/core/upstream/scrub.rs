//! Answers of the upstream without its secrets: its token, and those that it gave to our own device.
//!
//! A secret is masked by as many stars: the length that was announced stays right.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use memchr::memmem;

use crate::base::secret::Secret;

/// What stands in the place of each byte.
const MASK: u8 = b'*';

/// Takes the secrets out of a body that passes in pieces.
#[derive(Debug)]
pub(in crate::core) struct Scrubber {
    /// As they may be spelled.
    secrets: Vec<Secret<String>>,
    /// The end of the piece before, where one of them may have begun.
    held: Vec<u8>,
}

impl Scrubber {
    /// One for a body with these headers; none for a body in which nothing can be seen, because it is packed or no text.
    pub(in crate::core) fn of(answer: &HeaderMap, secrets: Vec<Secret<String>>) -> Option<Self> {
        let is_packed = answer.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
        let kind = answer.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_text = |kind| [&b"json"[..], b"text/", b"xml"].iter().any(|word| memmem::find(kind, word).is_some());
        // What has no kind is whatever its reader takes it for.
        let worth = kind.is_none_or(is_text) && !is_packed && !secrets.is_empty();
        worth.then(|| Self { secrets, held: Vec::new() })
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
        let mut piece = masked(piece, &self.secrets);
        if end == End::No {
            let kept = self.begun(&piece);
            self.held = piece.split_off(piece.len().saturating_sub(kept)).to_vec();
        }
        Some(piece)
    }

    /// How many bytes at the end of `text` may be the beginning of a secret.
    fn begun(&self, text: &[u8]) -> usize {
        self.secrets.iter().map(|secret| begun(text, secret.expose().as_bytes())).max().unwrap_or_default()
    }
}

fn begun(text: &[u8], secret: &[u8]) -> usize {
    let longest = text.len().min(secret.len().saturating_sub(1));
    let is_begun = |length: &usize| text.iter().rev().take(*length).rev().eq(secret.iter().take(*length));
    (1..=longest).rev().find(is_begun).unwrap_or_default()
}

/// Whether more comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum End {
    /// More may.
    No,
    /// This was all.
    Yes,
}

/// `text` with the secrets masked wherever they stand; the same bytes where none does.
fn masked(text: Bytes, secrets: &[Secret<String>]) -> Bytes {
    let lengths = secrets.iter().map(|secret| (secret.expose().len(), secret.expose().as_bytes()));
    let places: Vec<(usize, usize)> = lengths
        .flat_map(|(length, secret)| memmem::find_iter(&text, secret).map(move |place| (place, length)))
        .collect();
    if places.is_empty() {
        return text;
    }
    let mut masked = text.to_vec();
    for (place, length) in places {
        masked.iter_mut().skip(place).take(length).for_each(|byte| *byte = MASK);
    }
    Bytes::from(masked)
}

/// Takes every line out that has one of the secrets in it.
pub(in crate::core) fn scrub_headers(headers: &mut HeaderMap, secrets: &[Secret<String>]) {
    let shows = |value: &HeaderValue| {
        secrets.iter().any(|secret| memmem::find(value.as_bytes(), secret.expose().as_bytes()).is_some())
    };
    if !headers.values().any(shows) {
        return;
    }
    let kept = headers.iter().filter(|(_, value)| !shows(value));
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

    fn secrets(texts: &[&str]) -> Vec<Secret<String>> {
        texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Wherever the pieces end.
        #[test]
        fn no_body_passes_with_a_secret_and_none_changes_its_length(
            text in "([ab]{0,6}|abaab|x){0,12}",
            cuts in proptest::collection::vec(0..64_usize, 0..8),
            two in any::<bool>(),
        ) {
            let secrets = secrets(if two { &["abaab", "bxa"][..] } else { &["abaab"] });
            let mut scrubber = Scrubber { secrets: secrets.clone(), held: Vec::new() };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut passed = Vec::new();
            for pair in cuts.windows(2) {
                let piece = Bytes::copy_from_slice(&text.as_bytes()[pair[0]..pair[1]]);
                passed.extend(scrubber.pass(Some(piece), End::No).unwrap_or_default());
            }
            passed.extend(scrubber.pass(None, End::Yes).unwrap_or_default());
            prop_assert_eq!(passed.len(), text.len());
            for secret in &secrets {
                prop_assert!(memmem::find(&passed, secret.expose().as_bytes()).is_none());
            }
            if !two {
                prop_assert_eq!(Bytes::from(passed), masked(Bytes::from(text), &secrets));
            }
        }
    }

    #[test]
    fn an_event_is_not_held_back() {
        let mut scrubber = Scrubber { secrets: secrets(&["token"]), held: Vec::new() };
        let event = Bytes::from_static(b"data: {}\n\n");
        assert_eq!(scrubber.pass(Some(event.clone()), End::No), Some(event));
        assert_eq!(scrubber.pass(Some(Bytes::from_static(b"data: tok")), End::No).as_deref(), Some(&b"data: "[..]));
        assert_eq!(scrubber.pass(Some(Bytes::from_static(b"en\n")), End::No).as_deref(), Some(&b"*****\n"[..]));
        assert_eq!(scrubber.pass(None, End::Yes), None);
    }

    #[test]
    fn only_text_that_can_be_seen_is_looked_through() {
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
            assert_eq!(Scrubber::of(&headers, secrets(&["token"])).is_some(), expected, "{kind} {coding:?}");
        }
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        assert!(Scrubber::of(&headers, Vec::new()).is_none());
        assert!(Scrubber::of(&HeaderMap::new(), secrets(&["token"])).is_some(), "of no kind");
    }

    #[test]
    fn a_header_with_a_secret_does_not_pass() {
        let secrets = secrets(&["other", "token"]);
        let mut headers = HeaderMap::from_iter([
            (LOCATION, HeaderValue::from_static("/?t=token#x")),
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        ]);
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=token"));
        headers.append("x-of-ours", HeaderValue::from_static("another"));
        scrub_headers(&mut headers, &secrets);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["set-cookie"], "a=1");
    }
}
