//! Whom a token names, and every way in which it names nobody.

use std::fs;

use http::HeaderValue;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::base::clock::UnixMillis;
use crate::identity::provider::testing::{Issuer, NOW, claims, with};
use crate::net::range::{Ranges, Width};
use crate::origin;
use crate::origin::testing::{GATEWAY, joined};

const HEADER: HeaderName = HeaderName::from_static("x-id-token");

#[tokio::test]
async fn a_good_token_names_its_account_and_no_token_nobody() {
    let rig = Rig::new();
    let alice = rig.read(&[(&HEADER, &rig.issuer.token_of("alice@example.com"))]).await.unwrap().unwrap();
    assert_eq!((&*alice.provider, &*alice.login), ("jwt", "alice@example.com"));
    assert_eq!(rig.read(&[]).await, Ok(None));
    let junk = headers(&[(&HEADER, "x")]);
    let (other, network) = (listener("other"), Network::default());
    let elsewhere = rig.identities.read(&junk, "10.0.0.3".parse().unwrap(), &other, &network);
    assert_eq!(elsewhere.await, Ok(None), "it is not read on that listener");
}

#[tokio::test]
async fn a_token_counts_only_from_a_proxy_whose_word_counts() {
    let rig = Rig::new();
    let token = rig.issuer.token_of("alice@example.com");
    for (speaker, network, named) in [
        ("10.0.0.3", joined(), true),
        (GATEWAY, Network::default(), true),
        // Everybody looks like it since we joined that network.
        (GATEWAY, joined(), false),
        ("203.0.113.9", Network::default(), false),
    ] {
        let (headers, listener) = (headers(&[(&HEADER, &token)]), listener("web"));
        let read = rig.identities.read(&headers, speaker.parse().unwrap(), &listener, &network).await;
        assert_eq!(read.unwrap().is_some(), named, "{speaker}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_believed_is_refused_and_never_passed_over() {
    let rig = Rig::new();
    let good = rig.issuer.token_of("alice@example.com");
    let of = |name: &str, value: Value| rig.issuer.token(&rig.issuer.header(), &with(&claims(), name, value));
    let forged = Issuer::p256();
    let forged = forged.token(&with(&forged.header(), "kid", json!("ed")), &claims());
    for (lines, reason) in [
        (vec![(&HEADER, "")], "identity-token-invalid"),
        (vec![(&HEADER, "x")], "identity-token-invalid"),
        (vec![(&HEADER, &*of("aud", json!("theirs")))], "identity-token-invalid"),
        (vec![(&HEADER, &*of("exp", json!(NOW - 3_600)))], "identity-token-invalid"),
        (vec![(&HEADER, &*with_times(&rig, NOW - 7_200, NOW - 3_600))], "identity-token-expired"),
        (vec![(&HEADER, &*forged)], "identity-token-invalid"),
        (vec![(&HEADER, &*good), (&HEADER, &*good)], "identity-token-ambiguous"),
        (vec![(&HEADER, &*good), (&OTHER, "x")], "identity-token-ambiguous"),
    ] {
        let refusal = rig.read(&lines).await.unwrap_err();
        assert_eq!(refusal.words().0, reason, "{refusal}");
    }
    let binary = HeaderMap::from_iter([(HEADER, HeaderValue::from_bytes(&[0xff]).unwrap())]);
    assert!(rig.read_all(&binary).await.is_err());
}

#[tokio::test]
async fn without_a_key_nobody_passes_and_a_new_one_is_found() {
    let rig = Rig::new();
    assert!(rig.read(&[(&HEADER, &rig.issuer.token_of("a@b.c"))]).await.is_ok());
    let next = Issuer::p256();
    let token = next.token_of("bob@example.com");
    assert_eq!(
        rig.read(&[(&HEADER, &token)]).await.unwrap_err().words().0,
        "identity-token-invalid",
        "looked, not found"
    );
    assert_eq!(rig.read(&[(&HEADER, &token)]).await.unwrap_err().words().0, "identity-keys-unavailable");
    fs::write(rig.folder.path().join("keys.json"), next.document()).unwrap();
    rig.clock.advance(1_000);
    assert_eq!(rig.read(&[(&HEADER, &token)]).await.unwrap().unwrap().login, "bob@example.com");
}

const OTHER: HeaderName = HeaderName::from_static("x-other-token");

fn with_times(rig: &Rig, iat: u64, exp: u64) -> String {
    let claims = with(&with(&with(&claims(), "iat", json!(iat)), "nbf", json!(iat)), "exp", json!(exp));
    rig.issuer.token(&rig.issuer.header(), &claims)
}

/// Two issuers on one listener, the keys of the first in a file.
struct Rig {
    identities: Identities,
    issuer: Issuer,
    clock: Clock,
    folder: TempDir,
    _kept: JoinSet<()>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut issuer) = (folder.path().join("keys.json"), Issuer::ed25519());
        fs::write(&file, issuer.document()).unwrap();
        issuer.expected.algorithms.extend(Issuer::p256().expected.algorithms);
        let clock = Clock::fixed(UnixMillis(i64::try_from(NOW).unwrap() * 1_000));
        let settings = |header: &HeaderName| Settings {
            expected: issuer.expected.clone(),
            header: header.clone(),
            keys: Place::File(file.clone()),
            listeners: vec!["web".to_owned()],
        };
        let identities = Identities::new(vec![settings(&HEADER), settings(&OTHER)], clock.clone());
        let _kept = identities.keep_fresh();
        Self { identities, issuer, clock, folder, _kept }
    }

    async fn read(&self, lines: &[(&HeaderName, &str)]) -> Result<Option<IdentityClaim>, IdentityRefusal> {
        self.read_all(&headers(lines)).await
    }

    async fn read_all(&self, headers: &HeaderMap) -> Result<Option<IdentityClaim>, IdentityRefusal> {
        self.identities.read(headers, "10.0.0.3".parse().unwrap(), &listener("web"), &Network::default()).await
    }
}

/// A listener that trusts 10.0.0.0/24.
fn listener(name: &str) -> listener::Settings {
    let trusted_proxies = Ranges::parse(&["10.0.0.0/24"], Width::Narrow).unwrap();
    listener::Settings {
        name: name.to_owned(),
        bind: Vec::new(),
        protocol: listener::Protocol::Https,
        serve: listener::Serve::All,
        origin: origin::Settings { trusted_proxies, ..Default::default() },
    }
}

fn headers(lines: &[(&HeaderName, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap())).collect()
}
