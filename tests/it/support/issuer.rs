//! A product that signs people in: its keys, its tokens, and a server that shows its JWK Set by https.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::base::clock::Clock;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Authority, KeyPair as CertificateKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::namespace::Namespace;
use super::program;

/// A configuration's provider whose tokens stand in `X-Id-Token`, and whose keys are in `keys.json`.
pub(crate) const HOME_PROVIDER: &str = r#"
[[identity]]
provider = "jwt"
name = "home"
header = "X-Id-Token"
login = "sub"
issuer = "home"
audience = "claw"
keys_file = "keys.json"
"#;

/// One key of an issuer.
pub(crate) struct IssuerKey {
    pair: Pair,
    kid: &'static str,
}

enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl IssuerKey {
    pub(crate) fn eddsa(kid: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { pair: Pair::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()), kid }
    }

    pub(crate) fn es256(kid: &'static str) -> Self {
        let (random, curve) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        Self { pair: Pair::Es256(EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).unwrap()), kid }
    }

    pub(crate) fn rs256(kid: &'static str) -> Self {
        let mut openssl = Command::new(program::installed("openssl", "openssl"));
        openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(&program::run(&mut openssl).stdout).unwrap();
        Self { pair: Pair::Rs256(RsaKeyPair::from_pkcs8(pkcs8.secret_pkcs8_der()).unwrap()), kid }
    }

    /// As it stands in a JWK Set.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
            Pair::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "alg": "ES256"})
            }
            Pair::Rs256(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(n), "e": encode(e), "alg": "RS256", "use": "sig"})
            }
        };
        jwk["kid"] = self.kid.into();
        jwk
    }

    /// A token that says `claims`, good for five minutes from now unless they say otherwise.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let now = Clock::system().now().seconds();
        let mut all = json!({"iat": now - 5, "exp": now + 300});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let algorithm = match self.pair {
            Pair::EdDsa(_) => "EdDSA",
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
        };
        let header = json!({"alg": algorithm, "kid": self.kid, "typ": "JWT"});
        let message = format!("{}.{}", encode(header.to_string()), encode(all.to_string()));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::EdDsa(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Pair::Es256(pair) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", encode(signature))
    }
}

/// The JWK Set with these keys.
pub(crate) fn jwk_set(keys: &[&IssuerKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>(), "public_certs": [{"kid": "x"}]}).to_string()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An https server that shows one document, until the test ends.
pub(crate) struct KeyServer {
    answer: Arc<Mutex<Answer>>,
    authority: String,
}

struct Answer {
    status: &'static str,
    document: String,
    questions: usize,
}

impl KeyServer {
    /// Serves at `address` of a machine, with a certificate of an authority of its own.
    pub(crate) fn start(machine: &Namespace, address: &'static str, document: String) -> Self {
        let authority_key = CertificateKey::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let issuer = Authority::new(params, authority_key);
        let key = CertificateKey::generate().unwrap();
        let host = address.rsplit_once(':').unwrap().0.to_owned();
        let certificate = CertificateParams::new(vec![host]).unwrap().signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let (config, listener) = (Arc::new(config), machine.on(move || TcpListener::bind(address).unwrap()));
        let answer = Arc::new(Mutex::new(Answer { status: "200 OK", document, questions: 0 }));
        let shared = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                let (mut head, mut piece) = (Vec::new(), [0; 1024]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(length) if length > 0 => head.extend(&piece[..length]),
                        _ => break,
                    }
                }
                if head.is_empty() {
                    continue;
                }
                let mut answer = shared.lock().unwrap();
                answer.questions += 1;
                let (status, document) = (answer.status, &answer.document);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{document}", document.len());
                let _ = stream.flush();
            }
        });
        Self { answer, authority }
    }

    /// The certificate of its authority, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Shows this from now on.
    pub(crate) fn show(&self, status: &'static str, document: String) {
        let mut answer = self.answer.lock().unwrap();
        (answer.status, answer.document) = (status, document);
    }

    /// How often it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.answer.lock().unwrap().questions
    }
}
