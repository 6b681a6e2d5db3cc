//! Files that are made whole or not at all, and those that are not taken.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn a_file_is_made_once_and_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    create(&path, &Secret::new("one".to_owned())).unwrap();
    assert_eq!(read(&path).unwrap().expose(), "one");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let again = create(&path, &Secret::new("two".to_owned())).unwrap_err();
    assert!(matches!(again.fault, Fault::Exists));
    assert_eq!(read(&path).unwrap().expose(), "one");
    replace(&path, &Secret::new("two".to_owned())).unwrap();
    assert_eq!(read(&path).unwrap().expose(), "two");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_leftover_of_a_crash_is_no_obstacle_and_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, victim) = (folder.path().join("secret"), folder.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join("secret.new")).unwrap();
    create(&path, &Secret::new("one".to_owned())).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn whatever_others_could_read_or_swap_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fault = |name: &str| read(&at(name)).unwrap_err();
    let make = |name: &str, text: &[u8], mode: u32| {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    make("good", b"x", 0o600);
    make("group", b"x", 0o640);
    make("world", b"x", 0o604);
    make("empty", b"", 0o600);
    make("blank", b" \n", 0o600);
    make("binary", &[0xff, 0xfe], 0o600);
    make("long", &vec![b'x'; KEY_FILE_BYTES_MAX as usize + 1], 0o600);
    make("linked", b"x", 0o600);
    fs::hard_link(at("linked"), at("other name")).unwrap();
    symlink(at("good"), at("symlink")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    rustix::fs::mknodat(CWD, at("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();

    assert!(matches!(fault("group").fault, Fault::Mode { found: 0o640, .. }));
    assert!(matches!(fault("world").fault, Fault::Mode { found: 0o604, .. }));
    assert!(matches!(fault("empty").fault, Fault::Empty));
    assert!(matches!(fault("blank").fault, Fault::Empty));
    assert!(matches!(fault("binary").fault, Fault::NotText));
    assert!(matches!(fault("long").fault, Fault::TooLong));
    assert!(matches!(fault("linked").fault, Fault::HardLink));
    assert!(matches!(fault("symlink").fault, Fault::Symlink));
    assert!(matches!(fault("folder").fault, Fault::NotAFile));
    assert!(matches!(fault("fifo").fault, Fault::NotAFile));
    assert!(fault("nothing").is_absent());
    assert_eq!(fault("group").hint(), format!("chmod 600 {}", at("group").display()));
    assert_eq!(fs::read(at("group")).unwrap(), b"x");
}

#[test]
fn what_we_may_not_read_is_told_with_the_owner_and_mode_it_needs() {
    let path = Path::new("/etc/doorward/token");
    let denied = || Fault::Io(io::ErrorKind::PermissionDenied.into());
    let error = PrivateFileError::new(path, denied());
    assert_eq!(error.to_string(), "file cannot be used (permission denied): /etc/doorward/token");
    let own = rustix::process::geteuid().as_raw();
    for hint in [error.hint(), error.operators_hint()] {
        assert!(hint.starts_with(&format!("chown {own} {0} && chmod 600 {0}", path.display())), "{hint}");
    }
}

#[test]
fn a_folder_that_everybody_shares_is_not_to_be_closed() {
    let fault = Fault::Mode { found: 0o1777, wanted: 0o700 };
    let hint = PrivateFileError::new(Path::new("/tmp"), fault).hint();
    assert!(!hint.contains("chmod") && hint.contains("`state_dir`"), "{hint}");
}

#[test]
fn a_foreign_owner_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let own = rustix::process::geteuid().as_raw();
    let owned = |uid: u32, owners| {
        std::os::unix::fs::chown(file.path(), Some(uid), None).unwrap();
        check_owner(&fs::metadata(file.path()).unwrap(), owners)
    };
    assert!(owned(own, Owners::Us).is_ok());
    // What is root's is not ours, unless that was said.
    let of_root = fs::metadata("/proc/1").unwrap();
    assert_eq!(check_owner(&of_root, Owners::Us).is_ok(), own == of_root.uid());
    assert!(of_root.uid() != 0 || check_owner(&of_root, Owners::UsOrRoot).is_ok());
}

#[test]
fn a_secret_of_the_operators_is_read_behind_a_link_that_nobody_else_can_point_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "x").unwrap();
    symlink(&file, &link).unwrap();
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    assert!(matches!(read_operators(&link).unwrap_err().fault, Fault::Mode { found: 0o640, .. }));
    mode(0o600);
    assert_eq!(read_operators(&file).unwrap().expose(), b"x");
    assert_eq!(read_operators(&link).unwrap().expose(), b"x");
    fs::remove_file(&file).unwrap();
    assert!(read_operators(&link).unwrap_err().is_absent());
    assert!(matches!(read_operators(folder.path()).unwrap_err().fault, Fault::NotAFile));
}

#[test]
fn what_is_somebody_elses_is_refused_and_so_is_what_their_link_points_to() {
    assert!(rustix::process::geteuid().is_root(), "only root gives a file to somebody else: run the tests as root");
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    create(&file, &Secret::new("x".to_owned())).unwrap();
    symlink(&file, &link).unwrap();
    let is_foreign = |error: PrivateFileError| matches!(error.fault, Fault::Owner { found: 7, .. });
    std::os::unix::fs::lchown(&link, Some(7), None).unwrap();
    assert!(is_foreign(read_operators(&link).unwrap_err()));
    std::os::unix::fs::chown(&file, Some(7), None).unwrap();
    assert!(is_foreign(read_operators(&file).unwrap_err()));
    for owners in [Owners::Us, Owners::UsOrRoot] {
        let fault = check_owner(&fs::metadata(&file).unwrap(), owners);
        assert!(matches!(fault, Err(Fault::Owner { found: 7, .. })));
    }
}

#[test]
fn a_folder_in_which_others_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("keys"), folder.path().join("link"));
    ensure_folder(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    ensure_folder(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
    let error = ensure_folder(&path).unwrap_err();
    assert_eq!(error.hint(), format!("chmod 700 {}", path.display()));
    symlink(&path, &link).unwrap();
    assert!(matches!(ensure_folder(&link).unwrap_err().fault, Fault::Symlink));
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(matches!(ensure_folder(&folder.path().join("file")).unwrap_err().fault, Fault::NotAFolder));
}
