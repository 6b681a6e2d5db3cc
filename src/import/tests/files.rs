//! Files that are not what they should be: each is refused with what to do, and nothing of the folder counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sqlx::Connection;

use super::super::*;
use super::*;
use crate::base::limits::{IMPORT_DEVICES_MAX, IMPORT_FILE_BYTES_MAX};

async fn refusal(folder: &Path) -> ImportError {
    let error = devices(folder, &OldSecret::Unknown, &room()).await.unwrap_err();
    assert!(!error.hint().is_empty() && !error.to_string().is_empty());
    error
}

#[tokio::test]
async fn a_file_that_is_no_file_of_the_gateways_is_refused() {
    let other = january(JANUARY);
    let real = other.path().join("devices/paired.json");
    let state = tempfile::tempdir().unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::Nothing(_)));
    assert!(matches!(refusal(&state.path().join("none")).await, ImportError::NotAFolder(_)));
    assert!(matches!(refusal(&real).await, ImportError::NotAFolder(_)));
    let devices = state.path().join("devices");
    symlink(other.path().join("devices"), &devices).unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::Link(path) if path == devices));
    fs::remove_file(&devices).unwrap();
    fs::create_dir(&devices).unwrap();
    fs::set_permissions(&devices, fs::Permissions::from_mode(0o700)).unwrap();
    let paired = devices.join("paired.json");
    symlink(&real, &paired).unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::Link(path) if path == paired));
    fs::remove_file(&paired).unwrap();
    mknodat(CWD, &paired, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(
        matches!(refusal(state.path()).await, ImportError::NotAFile(path) if path == paired),
        "nobody waits for a pipe"
    );
    fs::remove_file(&paired).unwrap();
    fs::create_dir(&paired).unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::NotAFile(_)));
}

#[tokio::test]
async fn a_list_that_others_can_write_to_is_refused() {
    for (name, mode) in
        [("devices/paired.json", 0o664), ("devices/paired.json", 0o602), ("devices", 0o777), ("", 0o777), ("", 0o770)]
    {
        let state = january(JANUARY);
        fs::set_permissions(state.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(refusal(state.path()).await, ImportError::Exposed { .. }), "{name} {mode:o}");
    }
    let (state, _connection) = september("").await;
    let log = state.path().join("state/openclaw.sqlite-wal");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::Exposed { path, .. } if path == log));
}

#[tokio::test]
async fn a_list_of_anothers_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file away.
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("NOT TESTED, because this needs root: a list of another's");
        return;
    }
    for name in ["devices", "devices/paired.json"] {
        let state = january(JANUARY);
        std::os::unix::fs::chown(state.path().join(name), Some(65_534), None).unwrap();
        let error = refusal(state.path()).await;
        assert!(matches!(&error, ImportError::Owner { uid: 65_534, owner: 0, .. }), "{name}: {error}");
    }
    let state = january(JANUARY);
    for name in ["", "devices", "devices/paired.json"] {
        std::os::unix::fs::chown(state.path().join(name), Some(65_534), None).unwrap();
    }
    assert_eq!(devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap().arrivals.len(), 2);
}

#[tokio::test]
async fn what_is_no_list_of_devices_is_refused_whole() {
    let deep = "[".repeat(200_000);
    for text in ["", "{", "[]", "null", "7", "{\"a\": 1", "{}x", deep.as_str()] {
        let error = refusal(january(text).path()).await;
        assert!(matches!(error, ImportError::Garbage { .. }), "{text:.20}: {error}");
    }
    let state = tempfile::tempdir().unwrap();
    write(&state.path().join("devices/paired.json"), b"\xff\xfe{}");
    assert!(matches!(refusal(state.path()).await, ImportError::Garbage { .. }));
    let secret = january("{\"a\": {\"token\": \"very-secret\" \"b\"}}");
    assert!(!refusal(secret.path()).await.to_string().contains("very-secret"));
    let many: Vec<_> = (0..=IMPORT_DEVICES_MAX).map(|number| format!("\"{number}\":{{}}")).collect();
    assert!(matches!(refusal(january(&format!("{{{}}}", many.join(","))).path()).await, ImportError::TooMany(_)));
    let state = january("{}");
    assert!(devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap().arrivals.is_empty());
    let large = fs::File::options().write(true).open(state.path().join("devices/paired.json")).unwrap();
    large.set_len(IMPORT_FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::TooLarge { .. }));
}

#[tokio::test]
async fn a_database_that_is_none_of_the_gateways_is_refused() {
    let (state, connection) = september("").await;
    connection.close().await.unwrap();
    let path = state.path().join("state/openclaw.sqlite");
    let good = fs::read(&path).unwrap();
    for bytes in [b"no database at all, but long enough to be looked at".to_vec(), good[..good.len() / 2].to_vec()] {
        fs::write(&path, &bytes).unwrap();
        let error = refusal(state.path()).await;
        assert!(matches!(error, ImportError::Database { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::write(&path, b"").unwrap();
    assert!(matches!(refusal(state.path()).await, ImportError::UnknownSchema(_)));
    for statement in [
        "DROP TABLE device_pairing_paired",
        "ALTER TABLE device_pairing_paired DROP COLUMN tokens_json",
        "ALTER TABLE device_pairing_paired RENAME TO hidden;
         CREATE VIEW device_pairing_paired AS SELECT * FROM hidden",
    ] {
        let (state, _connection) = september(statement).await;
        assert!(matches!(refusal(state.path()).await, ImportError::UnknownSchema(_)), "{statement}");
    }
}

#[tokio::test]
async fn a_journal_of_the_gateways_removes_no_file_and_ends_the_import() {
    let (state, connection) = september("PRAGMA journal_mode = DELETE").await;
    connection.close().await.unwrap();
    let folder = state.path().join("state");
    let elsewhere = tempfile::tempdir().unwrap();
    let named = elsewhere.path().join("doorward.revoked");
    fs::write(&named, "what was taken back").unwrap();
    let journal = folder.join("openclaw.sqlite-journal");
    // A journal that SQLite plays back; what it then removes is the journal above it, that of a change of more than one
    // database, whose name stands at its end (SQLite file format §3).
    let name = named.to_str().unwrap().as_bytes();
    let mut bytes = vec![b'X'; 512];
    bytes.extend(name);
    bytes.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
    bytes.extend(name.iter().map(|byte| u32::from(*byte)).sum::<u32>().to_be_bytes());
    bytes.extend([0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    write(&journal, &bytes);
    let before = contents(&folder);
    let read = devices(state.path(), &OldSecret::Unknown, &room()).await;
    assert!(named.exists(), "a look at another's folder removed a file of ours");
    let error = read.unwrap_err();
    assert!(matches!(&error, ImportError::Interrupted(_)), "{error}");
    assert!(error.hint().contains("start and stop that gateway once"), "{}", error.hint());
    assert_eq!(contents(&folder), before);
    // An empty one is no journal.
    write(&journal, b"");
    assert_eq!(devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap().arrivals.len(), 1);
}

#[tokio::test]
async fn a_copy_leaves_nothing_and_what_a_killed_import_left_goes() {
    let room = tempfile::tempdir().unwrap();
    let (left, used) = (room.path().join("doorward-import-left"), room.path().join("doorward-import-used"));
    for folder in [&left, &used] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("copy.sqlite"), "conversations").unwrap();
    }
    let lock = fs::File::open(&used).unwrap();
    lock.try_lock().unwrap();
    let (state, _connection) = september("").await;
    assert_eq!(devices(state.path(), &OldSecret::Unknown, room.path()).await.unwrap().arrivals.len(), 1);
    let names = contents_of(room.path());
    assert_eq!(names, [used], "another import's stays");
}

fn contents_of(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_database_wins_over_the_files_that_it_came_from() {
    let (state, _connection) = september("").await;
    write(&state.path().join("devices/paired.json"), JANUARY.as_bytes());
    let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
    assert_eq!((found.release, found.arrivals.len()), (Release::September, 1));
}

#[test]
fn settings_are_json5_and_a_secret_that_stands_elsewhere_is_not_guessed() {
    use settings::Stated;
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join(settings::FILE);
    assert!(settings::read(state.path(), None).unwrap().is_none());
    let read = |text: &str| {
        write(&path, text.as_bytes());
        settings::read(state.path(), None)
    };
    let plain = read("// mine\n{gateway: {port: 1234, auth: {token: 'abc',},},}").unwrap().unwrap().gateway;
    assert!(matches!(plain.auth.stated(), Stated::Plain(token) if token.is("abc")));
    assert_eq!((plain.port, plain.auth.kind()), (Some(1234), SecretKind::Token));
    for (auth, kind) in [
        (r#"{"token": "${OPENCLAW_GATEWAY_TOKEN}"}"#, SecretKind::Token),
        (r#"{"token": {"source": "env", "id": "X"}}"#, SecretKind::Token),
        (r#"{"mode": "password", "token": "abc", "password": "$${A}"}"#, SecretKind::Password),
        ("{}", SecretKind::Token),
    ] {
        let gateway = read(&format!("{{gateway: {{auth: {auth}}}}}")).unwrap().unwrap().gateway;
        assert_eq!(gateway.auth.kind(), kind, "{auth}");
        assert!(matches!(gateway.auth.old_secret(), OldSecret::Unknown), "{auth}");
    }
    let deep = "[".repeat(100_000);
    for text in
        ["", "{", "[]", "{gateway: 7}", "{gateway: {port: 'abc-secret'}}", "{gateway: {port: 99999}}", deep.as_str()]
    {
        let error = read(text).unwrap_err();
        assert!(matches!(error, ImportError::Unsettled { .. }), "{text:.20}: {error}");
        assert!(!error.to_string().contains("secret") && error.hint().contains("--openclaw-json"));
    }
    let link = state.path().join("link");
    fs::rename(&path, &link).unwrap();
    symlink(&link, &path).unwrap();
    write(&link, b"{}");
    let error = settings::read(state.path(), None).unwrap_err();
    assert!(matches!(&error, ImportError::Link(_)) && error.hint().contains("--openclaw-json"), "{error}");
    assert!(settings::read(state.path(), Some(&path)).unwrap().is_some(), "who names it means where it leads");
}
