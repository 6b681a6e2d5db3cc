//! Certificates of a public CA, from a real one: by either challenge, through whatever the CA and the machine do meanwhile, and
//! with the local CA at the door until it is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::caller::Caller;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::pebble::{DIRECTORY, Manners, Pebble, handshake};
use crate::support::wait::wait_until;

const NAME: &str = "claw.example";

#[test]
fn a_certificate_comes_by_either_challenge_and_survives_a_restart_without_a_second_order() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let machine = Namespace::new();
        let pebble = Pebble::start(&machine, Manners::default());
        let mut instance =
            Instance::start(&machine, &configuration(&pebble, &format!("challenges = [\"{challenge}\"]")));
        wait_until(|| pebble.vouches_for(NAME));
        assert_eq!(orders(&instance), 1);
        let private = files(&instance);
        assert_eq!(private.len(), 3, "account, record, pair: {private:?}");
        for (name, mode) in private {
            assert_eq!(mode, 0o600, "{name}");
        }
        assert_eq!(instance.stop().code(), Some(0));
        instance.restart();
        assert!(pebble.vouches_for(NAME), "at once");
        assert_eq!(orders(&instance), 1);
    }
}

#[test]
fn strangers_get_nothing_by_the_ways_of_a_ca() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners { sleep: 5, ..Manners::default() });
    let instance = Instance::start(&machine, &configuration(&pebble, "challenges = [\"http-01\"]"));
    wait_until(|| orders(&instance) == 1);
    let authority = instance.authority();
    let no_order = machine.on({
        let authority = authority.clone();
        move || handshake(&authority, NAME, &["acme-tls/1"])
    });
    assert!(no_order.is_err(), "no challenge of that kind is open");
    assert!(machine.on(move || handshake(&authority, NAME, &["h2"])).is_ok(), "the local ca serves meanwhile");
    let long = "x".repeat(10_000);
    for path in ["", "../../etc/passwd", "%2e%2e%2f", "/", "..\\..\\", "a.b", "a%00b", &long] {
        for host in [NAME, "other.example"] {
            let path = format!("/.well-known/acme-challenge/{path}");
            let answer = machine.on(move || Caller::plain("127.0.0.1:80").get(&path, &[("Host", host)])).unwrap();
            assert_eq!(answer.status, 404, "{}", answer.head);
        }
    }
    wait_until(|| pebble.vouches_for(NAME));
}

#[test]
fn a_ca_that_wants_an_external_account_gets_it_and_half_the_nonces_may_be_rejected() {
    let machine = Namespace::new();
    let secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let eab = Some(("kid-1", secret));
    let pebble = Pebble::start(&machine, Manners { nonce_reject: 50, eab, ..Manners::default() });
    let text = configuration(&pebble, "eab = { kid = \"kid-1\", hmac_file = \"hmac\" }");
    let mut instance = Instance::stopped(&machine, &text);
    let refused = instance.command(&["check"]);
    let words = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
    assert!(words.contains("external account") && words.contains("hmac"), "{words}");
    let file = instance.folder().join("hmac");
    fs::write(&file, format!("{secret}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    instance.restart();
    wait_until(|| pebble.vouches_for(NAME));
    assert_eq!(orders(&instance), 1);
}

#[test]
fn a_closed_port_is_told_counted_on_disk_and_not_tried_again_by_restarts() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners::default());
    let text = configuration(&pebble, "challenges = [\"http-01\"]").replace("127.0.0.1:80\"", "127.0.0.1:8080\"");
    let mut instance = Instance::start(&machine, &text);
    wait_until(|| instance.log().contains("port 80 of claw.example is not reachable from the ca"));
    for _ in 0..5 {
        instance.kill_nine();
        instance.restart();
        // What it does at its start it has done: it knows of the order before, and sits its time out.
        wait_until(|| {
            let listed = instance.json(&["certs", "list"]);
            let mut all = listed["certificates"].as_array().unwrap().iter();
            all.any(|one| one["attempts"]["stage"] == "waiting")
        });
    }
    assert_eq!(orders(&instance), 1);
    let authority = instance.authority();
    assert!(machine.on(move || handshake(&authority, NAME, &[])).is_ok(), "the local ca serves");
}

#[test]
fn a_name_that_leads_nowhere_is_told_as_that() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners::default());
    pebble.dns("/set-default-ipv4", "{\"ip\":\"\"}");
    let instance = Instance::start(&machine, &configuration(&pebble, ""));
    wait_until(|| instance.log().contains("point its A or AAAA record to this machine"));
}

#[test]
fn an_order_that_a_kill_cut_off_is_gone_on_with_and_the_door_is_open_all_the_while() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners { sleep: 4, ..Manners::default() });
    let mut instance = Instance::start(&machine, &configuration(&pebble, ""));
    wait_until(|| orders(&instance) == 1);
    for pause in [0, 100, 400, 1_000] {
        std::thread::sleep(Duration::from_millis(pause));
        instance.kill_nine();
        instance.restart();
        let authority = instance.authority();
        let local = machine.on(move || handshake(&authority, NAME, &[])).is_ok();
        assert!(local || pebble.vouches_for(NAME), "a certificate is shown");
    }
    wait_until(|| pebble.vouches_for(NAME));
    assert!(instance.log().contains("going on with an order"));
    // The CA may have asked while nobody was there: then it took one more, after a wait.
    assert!(orders(&instance) <= 2, "{}", orders(&instance));
}

#[test]
fn a_certificate_that_lives_for_a_minute_is_renewed_in_time_and_the_next_ca_is_asked_when_one_is_away() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners { life: Some(60), ..Manners::default() });
    let both = format!("directory = [\"https://127.0.0.1:9/dir\", \"{DIRECTORY}\"]");
    let text = configuration(&pebble, "").replace(&format!("directory = \"{DIRECTORY}\""), &both);
    let instance = Instance::start(&machine, &text);
    wait_until(|| pebble.vouches_for(NAME));
    assert!(instance.log().contains("the next one is asked"));
    wait_until(|| {
        assert!(pebble.vouches_for(NAME), "it is over, and no other is there:\n{}", instance.log());
        instance.log().matches("certificate issued").count() == 2
    });
}

/// doorward in front of every name of these tests, with ACME by `pebble`.
fn configuration(pebble: &Pebble<'_>, more: &str) -> String {
    let root = pebble.root_file();
    format!(
        "[edge]\nnames = [\"{NAME}\"]\n\
         [[listener]]\nname = \"web\"\nbind = [\"127.0.0.1:443\"]\n\
         [[listener]]\nname = \"plain\"\nbind = [\"127.0.0.1:80\"]\nprotocol = \"http\"\n\
         [[certificates.acme]]\nnames = [\"{NAME}\"]\ndirectory = \"{DIRECTORY}\"\nroot_file = \"{root}\"\n{more}\n"
    )
}

/// The orders that were made so far.
fn orders(instance: &Instance<'_>) -> usize {
    instance.log().matches("order made").count()
}

/// What lies in its folder, with its mode.
fn files(instance: &Instance<'_>) -> Vec<(String, u32)> {
    let entries = fs::read_dir(instance.folder().join("state/acme")).unwrap();
    let file = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o7777)
    };
    entries.map(|entry| file(entry.unwrap())).collect()
}
