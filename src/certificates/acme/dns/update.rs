//! Dynamic update (RFC 2136) signed with TSIG (RFC 8945): one value is added or removed, and nothing else is touched.

use std::net::SocketAddr;

use hickory_proto::op::update_message::{append, delete_by_rdata};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Name, RData, RecordSet, RecordType, TSigVerifier};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::base::clock::Clock;
use crate::base::limits::{DNS_ADDRESSES_MAX, DNS_ANSWER_WAIT, DNS_VALUE_TTL_SECONDS};
use crate::certificates::acme::dns::Update;
use crate::certificates::acme::dns::exchange::exchange;
use crate::certificates::acme::dns::fault::{DnsError, Refusal};
use crate::certificates::acme::dns::key;
use crate::certificates::acme::dns::lookup::{Asked, shown};

/// What becomes of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// It is put beside what is there.
    Add,
    /// It alone is taken away.
    Remove,
}

impl Update {
    /// Where its server answers.
    ///
    /// # Errors
    /// [`DnsError::Silent`] when its name leads nowhere.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, DnsError> {
        let silent = |cause: String| DnsError::Silent { cause, server: self.server.clone() };
        let found = timeout(DNS_ANSWER_WAIT, lookup_host(&self.server)).await;
        let found = found.map_err(|_| silent("its name is not found in time".to_owned()))?;
        Ok(found.map_err(|error| silent(error.to_string()))?.take(DNS_ADDRESSES_MAX).collect())
    }

    /// The zone to change for `place`.
    ///
    /// # Errors
    /// [`DnsError`] when there is none, or the configured one is another.
    pub(super) async fn zone_of(&self, place: &Name) -> Result<Name, DnsError> {
        if let Some(zone) = &self.zone {
            let origin = named(zone)?;
            let inside = origin.zone_of(place);
            return inside.then_some(origin).ok_or(DnsError::NotInZone { name: shown(place), zone: zone.clone() });
        }
        let silent = |cause| DnsError::Silent { cause, server: self.server.clone() };
        let found = Asked(self.addresses().await?).zone(place).await.map_err(silent)?;
        found.ok_or_else(|| DnsError::Zoneless { name: shown(place), server: self.server.clone() })
    }

    /// Makes a change of `text` at `place`, and knows that it was made.
    ///
    /// # Errors
    /// [`DnsError`].
    pub(super) async fn change(&self, change: Change, place: &Name, text: &str, clock: &Clock) -> Result<(), DnsError> {
        let (zone, key) = (self.zone_of(place).await?, key::read(&self.key_file)?);
        let mut values = RecordSet::with_ttl(place.clone(), RecordType::TXT, DNS_VALUE_TTL_SECONDS);
        values.add_rdata(RData::TXT(TXT::new(vec![text.to_owned()])));
        let mut request = match change {
            Change::Add => append(values, zone.clone(), false, false),
            Change::Remove => delete_by_rdata(values, zone.clone(), false),
        };
        let unnamed = |_| DnsError::Unnamed(shown(place));
        let now = clock.now().seconds();
        let mut verifier = request.finalize(&key, now).map_err(unnamed)?;
        let bytes = request.to_vec().map_err(unnamed)?;
        let asked = Said { server: &self.server, zone: &zone, key: &shown(key.signer_name()), now };
        let mut silence = "it has no address".to_owned();
        for address in self.addresses().await? {
            let mut proof = Proof::None;
            let is_signed = |answer: &[u8]| {
                proof = Proof::of(answer, verifier.as_mut());
                proof == Proof::Signed
            };
            match exchange(address, &bytes, is_signed).await {
                Ok(answer) if proof == Proof::Signed => return asked.judge(&answer, proof),
                Ok(answer) => return asked.judge(&answer, Proof::of(&answer, verifier.as_mut())),
                Err(error) => silence = error.to_string(),
            }
        }
        Err(DnsError::Silent { cause: silence, server: self.server.clone() })
    }
}

/// Whether an answer is who knows our key's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    None,
    Signed,
}

impl Proof {
    fn of(answer: &[u8], verifier: Option<&mut TSigVerifier>) -> Self {
        match verifier.is_some_and(|verifier| verifier.verify(answer).is_ok()) {
            true => Self::Signed,
            false => Self::None,
        }
    }
}

/// What was said to whom.
struct Said<'a> {
    server: &'a str,
    zone: &'a Name,
    key: &'a str,
    now: u64,
}

impl Said<'_> {
    /// Only a signed yes is one.
    fn judge(&self, answer: &[u8], proof: Proof) -> Result<(), DnsError> {
        let unsigned = || DnsError::Unsigned(self.server.to_owned());
        let message = Message::from_vec(answer).map_err(|_| unsigned())?;
        let signature = message.signature().map(|signature| &signature.data);
        let refusal = match signature.and_then(|signature| signature.error) {
            Some(TsigError::BadKey) => Refusal::BadKey,
            Some(TsigError::BadSig | TsigError::BadTrunc) => Refusal::BadSignature,
            Some(TsigError::BadTime) => {
                Refusal::BadTime(signature.and_then(|signature| ahead(&signature.other, self.now)))
            }
            Some(TsigError::Unknown(code)) => Refusal::Other(format!("tsig error {code}")),
            None => match message.metadata.response_code {
                ResponseCode::NoError if proof == Proof::Signed => return Ok(()),
                ResponseCode::NoError => return Err(unsigned()),
                ResponseCode::Refused => Refusal::Refused,
                ResponseCode::NotAuth => Refusal::NotAuthoritative,
                ResponseCode::NotZone => Refusal::NotZone,
                code => Refusal::Other(code.to_str().to_owned()),
            },
        };
        let (server, key) = (self.server.to_owned(), self.key.to_owned());
        Err(DnsError::Refused { refusal, server, zone: shown(self.zone), key })
    }
}

/// How far the server's clock is ahead, which it says in 48 bits (RFC 8945 §5.2.3).
fn ahead(other: &[u8], now: u64) -> Option<i64> {
    let theirs = <[u8; 6]>::try_from(other).ok()?.into_iter().fold(0_i64, |time, byte| time << 8 | i64::from(byte));
    Some(theirs.saturating_sub(i64::try_from(now).ok()?))
}

/// A name of the configuration.
///
/// # Errors
/// [`DnsError::Unnamed`].
pub(super) fn named(text: &str) -> Result<Name, DnsError> {
    let mut name = Name::from_ascii(text).map_err(|_| DnsError::Unnamed(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm};
    use hickory_proto::rr::{Record, TSigResponseContext, TSigner};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn only_a_yes_that_is_signed_with_our_key_is_one() {
        let (ours, theirs) = (signer("acme.", b"secret"), signer("acme.", b"another"));
        judged(&ours, Some(&ours), ResponseCode::NoError).unwrap();
        for signed in [None, Some(&theirs), Some(&signer("other.", b"secret"))] {
            let error = judged(&ours, signed, ResponseCode::NoError).unwrap_err();
            assert!(matches!(error, DnsError::Unsigned(_)), "{error}");
        }
    }

    #[test]
    fn each_refusal_has_its_word_and_its_remedy() {
        let key = signer("acme.", b"secret");
        for (code, expected, hint) in [
            (ResponseCode::Refused, Refusal::Refused, "grant acme zonesub TXT"),
            (ResponseCode::NotAuth, Refusal::NotAuthoritative, "the primary name server of example"),
            (ResponseCode::NotZone, Refusal::NotZone, "remove `zone`"),
            (ResponseCode::ServFail, Refusal::Other("Server Failure".to_owned()), "the name server's log"),
        ] {
            let error = judged(&key, Some(&key), code).unwrap_err();
            assert!(matches!(&error, DnsError::Refused { refusal, .. } if *refusal == expected), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
        for (code, other, expected, hint) in [
            (TsigError::BadKey, vec![], Refusal::BadKey, "give the server the key \"acme\""),
            (TsigError::BadSig, vec![], Refusal::BadSignature, "the same secret"),
            (TsigError::BadTime, (NOW + 3_600).to_be_bytes()[2..].to_vec(), Refusal::BadTime(Some(3_600)), "by NTP"),
            (TsigError::BadTime, vec![1], Refusal::BadTime(None), "by NTP"),
        ] {
            let mut answer = Message::response(7, OpCode::Update);
            answer.metadata.response_code = ResponseCode::NotAuth;
            let tsig = TSIG::new(TsigAlgorithm::HmacSha256, NOW, 300, Vec::new(), 7, Some(code), other);
            answer.set_signature(Box::new(Record::from_rdata(Name::from_ascii("acme.").unwrap(), 0, tsig)));
            let error = told(&answer.to_vec().unwrap(), None).unwrap_err();
            assert!(matches!(&error, DnsError::Refused { refusal, .. } if *refusal == expected), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
    }

    #[test]
    fn no_answer_panics() {
        let key = signer("acme.", b"secret");
        for length in 0..64 {
            for byte in [0, 0x80, 0xff] {
                let (_, verifier) = key.sign_message(&Message::query(), NOW).unwrap();
                told(&vec![byte; length], verifier).unwrap_err();
            }
        }
    }

    /// What is made of an answer with `code` to a request of `ours`, signed by `theirs`.
    fn judged(ours: &TSigner, theirs: Option<&TSigner>, code: ResponseCode) -> Result<(), DnsError> {
        let mut request = Message::new(7, hickory_proto::op::MessageType::Query, OpCode::Update);
        let verifier = request.finalize(ours, NOW).unwrap();
        let mac = request.signature().unwrap().data.mac.clone();
        let mut answer = Message::response(7, OpCode::Update);
        answer.metadata.response_code = code;
        if let Some(theirs) = theirs {
            let context = TSigResponseContext::new(7, NOW, theirs.clone(), mac, None);
            let signature = context.sign(&answer.to_vec().unwrap()).unwrap();
            answer.set_signature(signature);
        }
        told(&answer.to_vec().unwrap(), verifier)
    }

    fn told(answer: &[u8], mut verifier: Option<TSigVerifier>) -> Result<(), DnsError> {
        let proof = Proof::of(answer, verifier.as_mut());
        let zone = Name::from_ascii("example.").unwrap();
        Said { server: "ns1.example:53", zone: &zone, key: "acme", now: NOW }.judge(answer, proof)
    }

    fn signer(name: &str, secret: &[u8]) -> TSigner {
        TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, Name::from_ascii(name).unwrap(), 300).unwrap()
    }
}
