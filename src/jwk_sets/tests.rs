//! When a set is looked at, how long it counts, and what a look takes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::base::limits::JWK_SET_BYTES_MAX;
use crate::identity::provider::testing::Issuer;

#[tokio::test]
async fn a_file_is_read_again_for_whoever_needs_a_newer_key() {
    let rig = Rig::new(&Issuer::ed25519().document());
    let _kept = rig.keep_fresh();
    assert!(has(&rig.keys.newer().await, "ed"), "the first look is waited for");
    rig.write(&Issuer::p256().document());
    assert!(has(&rig.keys.keys(), "ed"), "nobody has looked yet");
    assert!(has(&rig.keys.newer().await, "ec"));
    assert!(!has(&rig.keys.keys(), "ed"), "what its issuer withdrew is gone");
}

#[tokio::test]
async fn unknown_keys_cause_no_flood_of_looks() {
    let rig = Rig::new(&Issuer::ed25519().document());
    let _kept = rig.keep_fresh();
    assert!(rig.keys.newer().await.is_some());
    assert!(rig.keys.newer().await.is_some(), "the first that asks after the start may");
    for _ in 0..3 {
        assert!(rig.keys.newer().await.is_none(), "nor is it waited for");
    }
    assert_eq!(rig.looks(), 2);
    rig.clock.advance(millis(JWK_SET_FILE_ASK_PERIOD));
    assert!(rig.keys.newer().await.is_some());
    assert_eq!(rig.looks(), 3);
}

#[tokio::test]
async fn a_place_that_fails_takes_nothing_away_for_a_day() {
    let rig = Rig::new(&Issuer::ed25519().document());
    let _kept = rig.keep_fresh();
    assert!(rig.keys.newer().await.is_some());
    for bad in
        ["", "[]", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", &"x".repeat(JWK_SET_BYTES_MAX + 1)]
    {
        rig.write(bad);
        rig.clock.advance(millis(JWK_SET_FILE_ASK_PERIOD));
        assert!(rig.keys.newer().await.is_none(), "it is not newer");
        assert!(has(&rig.keys.keys(), "ed"), "{}", bad.len());
    }
    rig.clock.advance(millis(JWK_SET_LIFE));
    assert!(rig.keys.keys().is_none(), "what is a day old is no key to go by");
    rig.write(&Issuer::ed25519().document());
    assert!(rig.keys.newer().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_needs_a_key_waits_no_longer_than_the_bound() {
    let rig = Rig::new(&Issuer::ed25519().document());
    let start = tokio::time::Instant::now();
    assert!(rig.keys.newer().await.is_none(), "nobody keeps it fresh");
    assert_eq!(start.elapsed().as_secs(), JWK_SET_WAIT.as_secs());
}

#[tokio::test]
async fn an_address_that_is_not_https_is_none() {
    for good in ["https://a.example/keys", "https://a.example", "https://a.example:8443/keys?x=1", "https://[::1]:1/k"]
    {
        assert_eq!(HttpsUrl::parse(good).unwrap().to_string().trim_end_matches('/'), good);
    }
    for bad in [
        "http://a.example/keys",
        "a.example",
        "https://",
        "https:///keys",
        "https://u@a.example/",
        "https://a.example/#k",
        "file:///keys",
        "",
    ] {
        assert_eq!(HttpsUrl::parse(bad), Err(UrlFault), "{bad}");
    }
}

fn has(keys: &Option<Arc<KeySet>>, kid: &str) -> bool {
    keys.as_ref().is_some_and(|keys| keys.find(Some(kid)).is_some())
}

#[tokio::test(start_paused = true)]
async fn keys_that_others_could_swap_or_that_never_end_are_not_read() {
    let rig = Rig::new(&Issuer::ed25519().document());
    fs::set_permissions(rig.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let error = rig.keys.0.place.read().await.unwrap_err();
    assert!(error.hint().contains("chmod 600"), "{error}: {}", error.hint());
    fs::remove_file(rig.path()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, rig.path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let error = rig.keys.0.place.read().await.unwrap_err();
    assert!(error.to_string().contains("keys.json"), "{error}");
    // A link of the operator's own making is followed.
    fs::remove_file(rig.path()).unwrap();
    fs::write(rig.folder.path().join("real.json"), Issuer::ed25519().document()).unwrap();
    std::os::unix::fs::symlink("real.json", rig.path()).unwrap();
    assert!(rig.keys.0.place.read().await.is_ok());
}

/// A set in a file.
struct Rig {
    keys: IssuerKeys,
    clock: Clock,
    folder: TempDir,
}

impl Rig {
    fn new(document: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(UnixMillis(0));
        let keys = IssuerKeys::new("test", Place::File(folder.path().join("keys.json")), clock.clone());
        let rig = Self { keys, clock, folder };
        rig.write(document);
        rig
    }

    fn write(&self, document: &str) {
        fs::write(self.path(), document).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }

    fn keep_fresh(&self) -> tokio::task::JoinSet<()> {
        let (mut kept, keys) = (tokio::task::JoinSet::new(), self.keys.clone());
        kept.spawn(async move { match keys.keep_fresh().await {} });
        kept
    }

    fn looks(&self) -> u64 {
        self.keys.0.state.borrow().looks
    }
}
