//! The edge's half: it signs what it found out. Ed25519 through ring, compact JWS (RFC 7515 §7.1, RFC 8037).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroize;

use crate::base::clock::Clock;
use crate::base::limits::{ASSERTION_BYTES_MAX, ASSERTION_LIFE_SECONDS, ASSERTION_SINGLE_LIFE_SECONDS};
use crate::base::pem;
use crate::base::secret::Secret;
use crate::identity::claims::{ANONYMOUS, IdentityClaim, OriginClaim, RequestClaim, TlsClaim};
use crate::identity::jose;
use crate::identity::jwks::PublicKey;

/// What an Ed25519 private key looks like in PKCS #8 before its 32 bytes (RFC 8410 §7).
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// An Ed25519 private key that signs assertions.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// A new key from the kernel's randomness, and its PEM text to keep.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn generate() -> Result<(Self, Secret<String>), SigningKeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(SigningKeyError::Random)?;
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SigningKeyError::Key).and_then(Self::of);
        let pem = to_pem(&seed);
        seed.zeroize();
        Ok((key?, pem))
    }

    /// Reads a PKCS #8 key in PEM, as [`SigningKey::generate`] gave it.
    ///
    /// # Errors
    /// [`SigningKeyError`] when it is none.
    pub fn from_pem(pem: &str) -> Result<Self, SigningKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| SigningKeyError::Pem)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|_| SigningKeyError::Key)
            .and_then(Self::of)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, SigningKeyError> {
        let bytes = <&[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| SigningKeyError::Key)?;
        let public = PublicKey::from_bytes(bytes).map_err(|_| SigningKeyError::Key)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key's RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid())
    }
}

fn to_pem(seed: &[u8; 32]) -> Secret<String> {
    let mut der = [PKCS8_HEAD.as_slice(), seed].concat();
    let text = pem::encode("PRIVATE KEY", &der);
    der.zeroize();
    text
}

/// What an assertion says, besides time and request: equal for equal calls of one connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// The edge's connection.
    pub cid: String,
    /// Where the call comes from.
    pub origin: OriginClaim,
    /// How it was encrypted.
    pub tls: Option<TlsClaim>,
    /// Who it is, when somebody vouched.
    pub identity: Option<IdentityClaim>,
}

/// Signs assertions of one edge for one receiver. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Signer {
    key: ArcSwap<Armed>,
    issuer: String,
    audience: String,
    clock: Clock,
    life: Life,
    jti_next: AtomicU64,
}

/// One life of a signer: random once, and the head of every `jti` that it signs, so that a count behind it is unique without
/// asking the kernel for each request, and what an earlier life signed can be told apart whatever the clock says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Life(String);

impl Life {
    fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 12];
        getrandom::fill(&mut bytes).map(|()| Self(jose::encode(bytes)))
    }

    fn jti(&self, number: u64) -> String {
        format!("{}.{number:x}", self.0)
    }

    /// Whether `jti` was made in this life.
    pub fn made(&self, jti: &str) -> bool {
        jti.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// A key with the JOSE header that names it, encoded once.
#[derive(Debug)]
struct Armed {
    key: Arc<SigningKey>,
    header: String,
}

impl Armed {
    fn with(key: Arc<SigningKey>) -> Self {
        let (algorithm, kind, kid) = (jose::ALGORITHM, jose::ASSERTION_TYPE, key.kid());
        let header = jose::encode(format!(r#"{{"alg":"{algorithm}","typ":"{kind}","kid":"{kid}"}}"#));
        Self { key, header }
    }
}

impl Signer {
    /// Signs as `issuer` for `audience`.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn new(key: Arc<SigningKey>, issuer: &str, audience: &str, clock: Clock) -> Result<Self, SigningKeyError> {
        Ok(Self {
            key: ArcSwap::from_pointee(Armed::with(key)),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            clock,
            life: Life::random().map_err(SigningKeyError::Random)?,
            jti_next: AtomicU64::new(0),
        })
    }

    /// This life of the signer, whatever keys it signs with.
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// The thumbprint of the key that signs now.
    pub fn kid(&self) -> String {
        self.key.load().key.kid().to_owned()
    }

    /// Whether the key of this thumbprint is the one that signs now.
    pub fn signs_as(&self, kid: &str) -> bool {
        self.key.load().key.kid() == kid
    }

    /// Signs with `key` from now on.
    pub fn replace_key(&self, key: Arc<SigningKey>) {
        self.key.store(Arc::new(Armed::with(key)));
    }

    /// Signs one assertion: for `request` alone, or to be shared when that is `None` (see `claims::is_shareable`).
    ///
    /// # Errors
    /// [`SignError`] when it would be longer than the core reads.
    pub fn sign(&self, subject: &Subject, request: Option<&RequestClaim>) -> Result<String, SignError> {
        let now = self.clock.steady().seconds();
        let life = if request.is_some() { ASSERTION_SINGLE_LIFE_SECONDS } else { ASSERTION_LIFE_SECONDS };
        let payload = Payload {
            iss: &self.issuer,
            aud: &self.audience,
            iat: now,
            nbf: now,
            exp: now.saturating_add(life),
            jti: self.life.jti(self.jti_next.fetch_add(1, Ordering::Relaxed)),
            cid: &subject.cid,
            sub: subject.identity.as_ref().map_or(ANONYMOUS, |identity| &identity.login),
            origin: &subject.origin,
            tls: subject.tls.as_ref(),
            idn: subject.identity.as_ref(),
            req: request,
        };
        let payload = serde_json::to_vec(&payload).map_err(SignError::Json)?;
        let armed = self.key.load();
        let mut token = String::with_capacity(armed.header.len() + payload.len() * 4 / 3 + 96);
        token.push_str(&armed.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        let signature = armed.key.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        if token.len() > ASSERTION_BYTES_MAX {
            return Err(SignError::TooLong);
        }
        Ok(token)
    }
}

/// [`crate::identity::claims::Assertion`], borrowed.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    cid: &'a str,
    sub: &'a str,
    origin: &'a OriginClaim,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a TlsClaim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idn: Option<&'a IdentityClaim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    req: Option<&'a RequestClaim>,
}

/// Why an assertion was not signed. Never the core's fault.
#[derive(Debug, Error)]
pub enum SignError {
    /// The claims do not serialise.
    #[error("assertion does not serialise: {0}")]
    Json(serde_json::Error),
    /// Longer than the core reads: the caller's own words are too long.
    #[error("assertion longer than {ASSERTION_BYTES_MAX} bytes")]
    TooLong,
}

/// Why there is no signing key.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SigningKeyError {
    /// PKCS #8, but no Ed25519 key, or a public half that is not its own.
    #[error("not an ed25519 private key")]
    Key,
    /// No PEM block of a PKCS #8 private key.
    #[error("no pem block `PRIVATE KEY`")]
    Pem,
    /// No random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(getrandom::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixMillis;
    use crate::base::limits::{FORWARDED_HOPS_MAX, ID_CHARS_MAX, IDENTITY_BYTES_MAX, LABEL_CHARS_MAX};
    use crate::identity::claims::Assertion;
    use crate::identity::testing;

    #[test]
    fn a_key_survives_its_own_notation() {
        let (key, pem) = SigningKey::generate().unwrap();
        assert_eq!(SigningKey::from_pem(pem.expose()).unwrap().kid(), key.kid());
        assert_ne!(SigningKey::generate().unwrap().0.kid(), key.kid());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn the_key_of_rfc_8037_is_read() {
        // Appendix A.1, `d`.
        let seed = jose::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::of_seed(seed.try_into().unwrap());
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        let (_, pem) = SigningKey::generate().unwrap();
        for (bad, cause) in [
            (String::new(), SigningKeyError::Pem),
            (pem.expose().replace("PRIVATE KEY", "PUBLIC KEY"), SigningKeyError::Pem),
            (pem.expose().replace("MC4C", "MC4D"), SigningKeyError::Key),
        ] {
            assert_eq!(SigningKey::from_pem(&bad).map(|_| ()).unwrap_err(), cause, "{bad}");
        }
    }

    #[test]
    fn a_shared_assertion_lives_longer_than_a_single_one() {
        let signer = signer();
        let request = testing::request_claim();
        let shared = read(&signer.sign(&testing::subject(), None).unwrap());
        let single = read(&signer.sign(&testing::subject(), Some(&request)).unwrap());
        assert_eq!((shared.exp - shared.iat, single.exp - single.iat), (30, 10));
        assert_eq!((shared.iat, shared.nbf), (1_800_000_000, 1_800_000_000));
        assert_eq!((shared.sub.as_str(), shared.req, single.req), (ANONYMOUS, None, Some(request)));
        assert_ne!(shared.jti, single.jti);
    }

    #[test]
    fn a_verified_identity_is_the_subject() {
        let mut subject = testing::subject();
        subject.identity =
            Some(IdentityClaim { provider: "tailscale".into(), login: "owner@x".into(), name: None, groups: None });
        assert_eq!(read(&signer().sign(&subject, None).unwrap()).sub, "owner@x");
    }

    #[test]
    fn two_signers_never_share_a_jti() {
        let (one, two) = (signer(), signer());
        let jti = |signer: &Signer| read(&signer.sign(&testing::subject(), None).unwrap()).jti;
        assert_ne!(jti(&one), jti(&two));
    }

    #[test]
    fn what_the_core_would_not_read_is_not_signed() {
        let mut subject = testing::subject();
        subject.cid = "c".repeat(ASSERTION_BYTES_MAX);
        assert!(matches!(signer().sign(&subject, None), Err(SignError::TooLong)));
    }

    #[test]
    fn the_largest_identity_with_groups_of_the_longest_way_is_signed() {
        let mut subject = testing::subject();
        let address = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        (subject.origin.via, subject.origin.peer) = (vec![address; FORWARDED_HOPS_MAX], address);
        let login = "\u{10348}".repeat(LABEL_CHARS_MAX);
        // What stands between the groups' names was counted when they were read.
        let room = IDENTITY_BYTES_MAX - 2 * login.len();
        let groups = vec!["g".repeat(5); (room - 2) / 8];
        assert!(serde_json::to_vec(&groups).unwrap().len() + 8 > room);
        let provider = "p".repeat(ID_CHARS_MAX);
        subject.identity = Some(IdentityClaim { provider, login, name: None, groups: Some(groups.clone()) });
        let token = signer().sign(&subject, Some(&testing::request_claim())).unwrap();
        assert_eq!(read(&token).idn.unwrap().groups, Some(groups));
    }

    fn signer() -> Signer {
        let key = Arc::new(SigningKey::of_seed([7; 32]));
        Signer::new(key, "edge", "core", Clock::fixed(UnixMillis(1_800_000_000_000))).unwrap()
    }

    fn read(token: &str) -> Assertion {
        jose::object_from_slice(&jose::decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }

    impl SigningKey {
        /// The key of a seed that tests know.
        pub(crate) fn of_seed(seed: [u8; 32]) -> Self {
            Self::from_pem(to_pem(&seed).expose()).unwrap()
        }
    }
}
