//! The assertion: no bytes verify but those that were signed, and signed nonsense ends as an error or as claims that hold.

use doorward::base::clock::{Clock, UnixMillis};
use doorward::identity::claims::Assertion;
use doorward::identity::headers::ASSERTION;
use doorward::identity::jose;
use doorward::identity::jwks::{JwkSet, PublicKey};
use doorward::identity::verifier::{Expected, Leeway, Lives, Verified, Verifier};
use http::{HeaderValue, Request};
use ring::signature::{Ed25519KeyPair, KeyPair};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const GOOD: &str = r#"{"iss":"edge","aud":"core","iat":1790000000,"nbf":1790000000,"exp":1790000030,"jti":"a.1","cid":"c1","sub":"anonymous","origin":{"kind":"ip","ip":"203.0.113.9","port":4000,"class":"public","local":false,"peer":"203.0.113.9","listener":"public","source":"peer","via":[]}}"#;

/// Checks any bytes; the first says as what: a token, edits of a good token, a payload that is signed, or a JOSE header and,
/// behind a zero, a payload that are signed.
pub fn holds(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let edge = Edge::new();
    let good = edge.signed(edge.header.as_bytes(), GOOD.as_bytes());
    match mode % 4 {
        0 => refused_unless_equal(&edge, rest, &good),
        1 => {
            assert!(edge.verify(good.as_bytes()).is_some(), "the good one");
            refused_unless_equal(&edge, &edited(&good, rest), &good);
        }
        2 => is_sound(&edge, edge.header.as_bytes(), rest),
        _ => {
            let at = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            is_sound(&edge, &rest[..at], rest.get(at + 1..).filter(|rest| !rest.is_empty()).unwrap_or(GOOD.as_bytes()));
        }
    }
}

fn refused_unless_equal(edge: &Edge, token: &[u8], good: &str) {
    assert_eq!(edge.verify(token).is_some(), token == good.as_bytes(), "{}", String::from_utf8_lossy(token));
}

/// Three bytes each: a place, and the byte that stands there instead; zero takes the byte out.
fn edited(good: &str, edits: &[u8]) -> Vec<u8> {
    let mut token = good.as_bytes().to_vec();
    for edit in edits.chunks_exact(3).take(8) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % token.len();
        if edit[2] == 0 {
            token.remove(place);
        } else {
            token[place] = edit[2];
        }
    }
    token
}

/// What was signed with our key and is nevertheless no assertion of ours is refused; the rest keeps its promises.
fn is_sound(edge: &Edge, header: &[u8], payload: &[u8]) {
    let token = edge.signed(header, payload);
    let Some(verified) = edge.verify(token.as_bytes()) else { return };
    let claims: &Assertion = verified.claims();
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("edge", "core"));
    assert!(
        claims.exp - claims.iat <= 30 && claims.iat >= NOW.seconds() && claims.nbf <= NOW.seconds() + 60,
        "{claims:?}"
    );
    assert!(claims.origin.is_consistent() && !claims.jti.is_empty(), "{claims:?}");
    assert!(
        claims.req.as_ref().is_none_or(|req| req.method == "GET" && req.authority == "claw.example" && !req.upgrade)
    );
    let written = serde_json::to_string(claims).unwrap();
    assert_eq!(serde_json::from_str::<Assertion>(&written).unwrap(), *claims, "{written}");
    let head: serde_json::Value = serde_json::from_slice(header).unwrap();
    assert_eq!((&head["alg"], &head["typ"]), (&"EdDSA".into(), &"doorward-origin+jwt".into()));
}

/// An edge with a key that everybody knows, and the core that believes it.
struct Edge {
    key: Ed25519KeyPair,
    header: String,
    verifier: Verifier,
}

impl Edge {
    fn new() -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = PublicKey::from_bytes(key.public_key().as_ref().try_into().unwrap()).unwrap();
        let header = format!(r#"{{"alg":"EdDSA","typ":"doorward-origin+jwt","kid":"{}"}}"#, public.kid());
        let expected =
            Expected { issuer: "edge".into(), audience: "core".into(), leeway: Leeway::SameHost, lives: Lives::Any };
        let verifier = Verifier::new(JwkSet::new(vec![public]), expected, Clock::fixed(NOW));
        Self { key, header, verifier }
    }

    fn signed(&self, header: &[u8], payload: &[u8]) -> String {
        let message = format!("{}.{}", jose::encode(header), jose::encode(payload));
        let signature = jose::encode(self.key.sign(message.as_bytes()).as_ref());
        format!("{message}.{signature}")
    }

    fn verify(&self, token: &[u8]) -> Option<Verified> {
        let value = HeaderValue::from_bytes(token).ok()?;
        let request = Request::get("/").header("host", "claw.example").header(ASSERTION, value);
        self.verifier.verify_request(&request.body(()).unwrap().into_parts().0).ok()
    }
}
