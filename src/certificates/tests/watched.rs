//! Certificate files that change under a running edge.

use std::os::unix::fs::symlink;

use super::*;
use crate::certificates::files::FileError;
use crate::certificates::files::pairs::{News, Shows};

/// A house whose file is for `claw.local`, another one's CA that signs such files, and its edge.
struct Watched {
    house: House,
    other: House,
    certificates: Certificates,
    client: Arc<rustls::ClientConfig>,
}

impl Watched {
    fn new() -> Self {
        let mut house = House::new(&["claw.local"]);
        let other = House::new(&[]);
        let client = client_of(other.open(now()).unwrap().ca_pem());
        let mut signed = Self { certificates: house.open(now()).unwrap(), house: House::new(&[]), other, client };
        let (cert, key) = house.write_pair("claw", &signed.issue("claw.local", now()));
        house.settings.files.push(FilePair { cert, key });
        signed.certificates = house.open(now()).unwrap();
        signed.house = house;
        signed
    }

    fn issue(&self, name: &str, at: UnixMillis) -> String {
        let ca_pem = fs::read_to_string(self.other.state().join("local-ca/ca.pem")).unwrap();
        local_ca::tests_leaf(&ca_pem, &[Host::parse(name).unwrap()], at)
    }

    fn serial(&self, name: &str) -> Result<String, String> {
        client::serial_for(&self.client, &server(&self.certificates, &[]), name)
    }

    /// What a look tells: the words of what it took and refused.
    fn look(&self) -> Vec<String> {
        let words = |news: &News| match news {
            News::Gone(..) => "gone".to_owned(),
            News::Refused(error, Shows::Older) => format!("old one shown: {error}"),
            News::Refused(error, Shows::Nothing) => error.to_string(),
            News::Taken(_, loaded, _) => loaded.names.to_string(),
        };
        self.certificates.look_at_files(now()).iter().map(words).collect()
    }
}

#[test]
fn a_pair_written_in_two_steps_is_taken_when_it_is_whole() {
    let watched = Watched::new();
    let first = watched.serial("claw.local").unwrap();
    assert!(watched.look().is_empty(), "nothing has changed");
    let anew = watched.issue("claw.local", now());
    let (key, cert) = split(&anew);
    watched.house.write("claw.crt", cert, 0o644);
    let told = watched.look();
    assert!(told.len() == 1 && told[0].starts_with("old one shown: ") && told[0].contains("do not belong"), "{told:?}");
    assert_eq!(watched.serial("claw.local").unwrap(), first);
    assert!(watched.look().is_empty(), "told once");
    watched.house.write("claw.key", key, 0o600);
    assert_eq!(watched.look(), ["claw.local"]);
    assert_ne!(watched.serial("claw.local").unwrap(), first);
    // Touched, and the same: no news.
    watched.house.write("claw.key", key, 0o600);
    assert!(watched.look().is_empty());
}

#[test]
fn what_is_broken_on_disk_leaves_the_old_one_shown_and_is_told_once() {
    let watched = Watched::new();
    let first = watched.serial("claw.local").unwrap();
    let sound = fs::read_to_string(watched.house.folder().join("claw.key")).unwrap();
    let cert = fs::read_to_string(watched.house.folder().join("claw.crt")).unwrap();
    let spoil = |file: &str, text: &str, mode: u32, words: &str| {
        watched.house.write(file, text, mode);
        let told = watched.look();
        assert!(told.len() == 1 && told[0].contains("old one shown: ") && told[0].contains(words), "{told:?}");
        assert!(watched.look().is_empty());
        assert_eq!(watched.serial("claw.local").unwrap(), first);
    };
    spoil("claw.key", &sound, 0o644, "private key");
    spoil("claw.key", "", 0o600, "no private key");
    spoil("claw.crt", cert.split_at(cert.len() / 2).0, 0o644, "certificate");
    let (of_other, _) = (watched.issue("other.local", now()), ());
    spoil("claw.crt", split(&of_other).1, 0o644, "no private key");
    spoil("claw.key", &sound, 0o600, "do not belong together");
    let anew = watched.issue("claw.local", now());
    watched.house.write("claw.crt", split(&anew).1, 0o644);
    watched.house.write("claw.key", split(&anew).0, 0o600);
    let told = watched.certificates.look_at_files(now().plus(500 * DAY));
    assert!(matches!(&told[..], [News::Refused(FileError::Expired(_), Shows::Older)]), "{told:?}");
    assert_eq!(watched.serial("claw.local").unwrap(), first);
    for file in ["claw.crt", "claw.key"] {
        fs::remove_file(watched.house.folder().join(file)).unwrap();
    }
    assert_eq!(watched.look(), ["gone"]);
    assert!(watched.look().is_empty());
    assert_eq!(watched.serial("claw.local").unwrap(), first);
    // As it was: it is what is shown already.
    watched.house.write("claw.crt", &cert, 0o644);
    watched.house.write("claw.key", &sound, 0o600);
    assert!(watched.look().is_empty());
    assert_eq!(watched.serial("claw.local").unwrap(), first);
}

#[test]
fn a_link_or_a_folder_that_is_swapped_is_a_new_pair() {
    let mut watched = Watched::new();
    let folder = watched.house.folder().to_owned();
    let fill = |name: &str| {
        let below = folder.join(name);
        fs::create_dir(&below).unwrap();
        let text = watched.issue("claw.local", now());
        let (key, cert) = split(&text);
        watched.house.write(&format!("{name}/tls.crt"), cert, 0o644);
        watched.house.write(&format!("{name}/tls.key"), key, 0o600);
    };
    fill("one");
    fill("two");
    fill("three");
    // As Kubernetes mounts it: files are links into `..data`, and that link is what is swapped.
    symlink("one", folder.join("..data")).unwrap();
    let pair = FilePair { cert: folder.join("..data/tls.crt"), key: folder.join("..data/tls.key") };
    watched.house.settings.files = vec![pair];
    watched.certificates = watched.house.open(now()).unwrap();
    let first = watched.serial("claw.local").unwrap();
    symlink("two", folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    assert_eq!(watched.look(), ["claw.local"]);
    let second = watched.serial("claw.local").unwrap();
    assert_ne!(second, first);
    // The folder itself.
    fs::rename(folder.join("two"), folder.join("old")).unwrap();
    assert_eq!(watched.look(), ["gone"]);
    fs::rename(folder.join("three"), folder.join("two")).unwrap();
    assert_eq!(watched.look(), ["claw.local"]);
    assert_ne!(watched.serial("claw.local").unwrap(), second);
}

#[test]
fn what_is_dropped_into_the_folder_is_found_and_a_reload_takes_nothing_sound_down() {
    let watched = Watched::new();
    let dropped = |file: &str| watched.house.settings.dir.join(file);
    assert!(watched.serial("new.local").is_err());
    let text = watched.issue("new.local", now());
    let (key, cert) = split(&text);
    watched.house.write("certs/new.crt", cert, 0o644);
    assert!(watched.look().is_empty(), "half a pair is nothing");
    watched.house.write("certs/new.key", key, 0o644);
    let told = watched.look();
    assert!(told.len() == 1 && told[0].starts_with("private key"), "{told:?}");
    assert!(watched.look().is_empty());
    fs::set_permissions(dropped("new.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(watched.look(), ["new.local"]);
    let first = watched.serial("new.local").unwrap();
    // What is configured wins over what lies about.
    let also = watched.issue("claw.local", now());
    watched.house.write("certs/also.crt", split(&also).1, 0o644);
    watched.house.write("certs/also.key", split(&also).0, 0o600);
    let configured = watched.serial("claw.local").unwrap();
    assert_eq!(watched.look(), ["claw.local"]);
    assert_eq!(watched.serial("claw.local").unwrap(), configured);
    // Broken since, a reload does not lose it; gone, a reload lets it go.
    watched.house.write("certs/new.crt", "", 0o644);
    watched.certificates.replace(&watched.house.settings, now()).unwrap();
    assert_eq!(watched.serial("new.local").unwrap(), first);
    fs::remove_file(dropped("new.crt")).unwrap();
    fs::remove_file(dropped("new.key")).unwrap();
    assert_eq!(watched.look(), ["gone"]);
    assert_eq!(watched.serial("new.local").unwrap(), first);
    watched.certificates.replace(&watched.house.settings, now()).unwrap();
    assert!(watched.serial("new.local").is_err());
}

#[test]
fn a_bad_folder_takes_nothing_down_that_lies_elsewhere_or_was_shown() {
    let watched = Watched::new();
    let chmod = |folder: &str, mode: u32| {
        let folder = watched.house.settings.dir.join(folder);
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    };
    let drop_pair = |stem: &str, name: &str| {
        let text = watched.issue(name, now());
        watched.house.write(&format!("certs/{stem}.crt"), split(&text).1, 0o644);
        watched.house.write(&format!("certs/{stem}.key"), split(&text).0, 0o600);
    };
    let is_fault = |told: &[String], words: &str| {
        assert!(told.len() == 1 && told[0].contains("certificates' folder") && told[0].starts_with(words), "{told:?}");
    };
    let reload = || watched.certificates.replace(&watched.house.settings, now()).unwrap();
    drop_pair("good", "good.local");
    assert_eq!(watched.look(), ["good.local"]);
    let good = watched.serial("good.local").unwrap();
    // A folder beside it: told once, and only what is in it is not taken.
    fs::create_dir(watched.house.settings.dir.join("sub")).unwrap();
    drop_pair("sub/new", "new.local");
    chmod("sub", 0o775);
    is_fault(&watched.look(), "certificates' folder");
    assert!(watched.look().is_empty(), "told once");
    reload();
    assert_eq!(watched.serial("good.local").unwrap(), good);
    assert!(watched.serial("new.local").is_err());
    let anew = Certificates::open(watched.house.settings.clone(), now()).unwrap();
    assert_eq!(
        client::serial_for(&watched.client, &server(&anew, &[]), "good.local").unwrap(),
        good,
        "after a restart"
    );
    chmod("sub", 0o755);
    assert_eq!(watched.look(), ["new.local"]);
    let new = watched.serial("new.local").unwrap();
    // The folder itself, later: what was shown is shown on, and what others may have put there is not looked at.
    chmod("", 0o775);
    drop_pair("good", "good.local");
    fs::remove_file(watched.house.settings.dir.join("sub/new.key")).unwrap();
    is_fault(&watched.look(), "old one shown: certificates' folder");
    reload();
    assert!(watched.look().is_empty(), "told once, by the reload too");
    assert_eq!(watched.serial("good.local").unwrap(), good);
    assert_eq!(watched.serial("new.local").unwrap(), new);
    // Mended: it is judged, and what is gone for certain is let go.
    chmod("", 0o755);
    reload();
    assert_ne!(watched.serial("good.local").unwrap(), good);
    assert!(watched.serial("new.local").is_err());
}

#[test]
fn a_deleted_certificate_makes_way_for_one_on_disk_that_ends_sooner() {
    let watched = Watched::new();
    let ca_pem = fs::read_to_string(watched.other.state().join("local-ca/ca.pem")).unwrap();
    let drop_pair = |stem: &str, names: &[&str], at: UnixMillis| {
        let names: Vec<_> = names.iter().map(|name| Host::parse(name).unwrap()).collect();
        let text = local_ca::tests_leaf(&ca_pem, &names, at);
        watched.house.write(&format!("certs/{stem}.crt"), split(&text).1, 0o644);
        watched.house.write(&format!("certs/{stem}.key"), split(&text).0, 0o600);
    };
    drop_pair("old", &["a.local", "only.local"], now());
    let look = || watched.certificates.look_at_files(now());
    assert!(matches!(&look()[..], [News::Taken(_, _, names)] if names.to_string() == "a.local, only.local"));
    let old = watched.serial("a.local").unwrap();
    drop_pair("new", &["a.local"], UnixMillis(now().0 - 5 * 86_400_000));
    let told = look();
    assert!(matches!(&told[..], [News::Taken(_, _, names)] if names.is_empty()), "{told:?}");
    assert_eq!(watched.serial("a.local").unwrap(), old, "both are there: the one that lasts longer");
    for file in ["certs/old.crt", "certs/old.key"] {
        fs::rename(watched.house.folder().join(file), watched.house.folder().join(file).with_extension("away"))
            .unwrap();
    }
    let told = look();
    assert!(matches!(&told[..], [News::Gone(_, names, _)] if names.to_string() == "only.local"), "{told:?}");
    assert_ne!(watched.serial("a.local").unwrap(), old);
    assert_eq!(watched.serial("only.local").unwrap(), old, "no other is for that name");
    assert!(look().is_empty());
}

#[test]
fn a_judgement_names_what_lies_about_and_is_wrong() {
    let watched = Watched::new();
    watched.house.write("certs/bad.crt", "x", 0o644);
    watched.house.write("certs/bad.key", "x", 0o600);
    let faults = Certificates::judge(&watched.house.settings, now());
    assert!(matches!(&faults[..], [CertificateError::File(FileError::NoCertificate(_))]), "{faults:?}");
    // No reason not to start.
    Certificates::open(watched.house.settings.clone(), now()).unwrap();
}

#[test]
fn one_that_is_not_valid_yet_is_taken_when_its_time_comes() {
    let watched = Watched::new();
    let first = watched.serial("claw.local").unwrap();
    let text = watched.issue("claw.local", now().plus(2 * DAY));
    watched.house.write("claw.crt", split(&text).1, 0o644);
    watched.house.write("claw.key", split(&text).0, 0o600);
    let told = watched.look();
    assert!(told.len() == 1 && told[0].contains("not valid yet"), "{told:?}");
    assert!(watched.look().is_empty());
    assert_eq!(watched.serial("claw.local").unwrap(), first);
    assert_eq!(watched.certificates.look_at_files(now().plus(3 * DAY)).len(), 1);
}
