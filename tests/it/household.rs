//! A household's first day: `doorward run --lan` on a terminal, a phone that scans the code, and what it finds there. An
//! address that comes later is on the certificate, without a restart.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::browser::Person;
use crate::support::caller::{Answer, Caller};
use crate::support::instance::{Instance, OWNERS, owners_and};
use crate::support::lan::Household;
use crate::support::namespace::Namespace;
use crate::support::program::{installed, run};
use crate::support::screen::scanned;
use crate::support::wait::wait_until;

const WAIT: Duration = Duration::from_secs(60);

#[test]
fn one_flag_brings_a_phone_from_the_terminals_code_to_a_trusted_dashboard() {
    let house = Household::new();
    let doorward = Terminal::start(&house.host);
    let screen = doorward.screen();
    for line in ["On the LAN: https://10.77.0.1/", "Each device first, once: http://10.77.0.1/doorward/ca"] {
        assert!(screen.contains(line), "{line}: {screen}");
    }
    let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let local = format!("https://{}.local/", host_name.trim().split('.').next().unwrap().to_ascii_lowercase());
    assert!(screen.contains(&local), "{local}: {screen}");
    assert_eq!(scanned(&screen, doorward.folder.path()), "http://10.77.0.1/doorward/ca");
    // Not every phone finds a name that only multicast DNS knows.
    let invite = doorward.command(&["invite", "--json"]);
    assert!(String::from_utf8_lossy(&invite.stdout).contains("\"url\": \"https://10.77.0.1/#"), "{invite:?}");

    let phone = |caller: Caller, path: &'static str| house.lan.on(move || caller.get(path, &[]).unwrap());
    let plain = || Caller::plain("10.77.0.1:80");
    let page = phone(plain(), "/doorward/ca");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("<a href=\"https://10.77.0.1/\">") && page.body.contains(&local), "{}", page.body);
    assert!(page.head.to_ascii_lowercase().contains("content-security-policy: default-src 'none'; script-src 'self'"));
    // All else in clear is led to https, and its port is the LAN's.
    let moved = phone(plain(), "/chat?token=x&a=1");
    assert!(
        moved.status == 308 && moved.head.to_ascii_lowercase().contains("location: https://10.77.0.1/chat?a=1\r\n")
    );
    let ca = phone(plain(), "/doorward/ca/doorward-ca.pem").body;
    let file = doorward.folder.path().join("ca.pem");
    fs::write(&file, &ca).unwrap();
    // What is on the page is what the terminal shows: that is what a person compares.
    for digest in ["-sha256", "-sha1"] {
        let print = run(Command::new(installed("openssl", "openssl"))
            .args(["x509", "-noout", "-fingerprint", digest, "-in"])
            .arg(&file));
        let print = String::from_utf8(print.stdout).unwrap();
        let print = print.trim().split_once('=').unwrap().1;
        let shown: String = screen.split_whitespace().collect();
        assert!(shown.contains(print), "{print}: {screen}");
        assert!(!page.body.contains(print));
    }
    let secure = |path| phone(Caller::trusting("10.77.0.1:443", &ca), path);
    assert_eq!(secure("/doorward/ca/seal.svg").status, 200, "the self-check's picture");
    let whoami: serde_json::Value = serde_json::from_str(&secure("/doorward/whoami").body).unwrap();
    assert_eq!((&whoami["class"], &whoami["local"]), (&"private".into(), &false.into()), "{whoami}");
    // The owner's own door is as ever, and the commands find this instance.
    let owner = house.host.on(|| Caller::plain("127.0.0.1:18789").get("/doorward/whoami", &[]).unwrap());
    assert!(owner.body.contains("\"local\":true"), "{owner:?}");
    let status = doorward.command(&["status", "--json"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("\"onDisk\": \"same\""), "{status:?}");
}

#[test]
fn the_page_turns_green_in_a_browser_that_trusts_the_ca_and_in_no_other() {
    let house = Household::new();
    let doorward = Terminal::start(&house.host);
    let ca = doorward.folder.path().join("ca.pem");
    let exported = doorward.command(&["certs", "export", "--ca", "--out", ca.to_str().unwrap()]);
    assert!(exported.status.success(), "{exported:?}");
    let verdict = |person: &Person| {
        let mut chromium = house.lan.command(&installed("chromium", "chromium"));
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        chromium.args(["--virtual-time-budget=15000", "--dump-dom", "http://10.77.0.1/doorward/ca"]);
        let output = chromium.env("HOME", person.home()).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (stranger, trusting) = (Person::new(), Person::new());
    let page = verdict(&stranger);
    assert!(page.contains("This device does not trust this house yet") && !page.contains("\"trusted\""), "{page}");
    trusting.trust(&ca);
    let page = verdict(&trusting);
    assert!(page.contains("data-state=\"trusted\"") && page.contains("This device trusts this house"), "{page}");
}

#[test]
fn an_address_that_comes_later_is_answered_and_on_the_certificate_without_a_restart() {
    let house = Household::new();
    let doorward = Instance::start(
        &house.host,
        &owners_and("[[listener]]\nname = \"lan\"\nbind = [\"0.0.0.0:8443\"]\n[edge]\nlan_names = true\n"),
    );
    let ca = doorward.authority();
    let ask = |address: &str| {
        let caller = Caller::trusting(&format!("{address}:8443"), &ca);
        house.lan.on(move || caller.get("/doorward/whoami", &[]).map_err(|error| error.to_string()))
    };
    assert_eq!(ask("10.77.0.1").unwrap().status, 200);
    house.host.address("lan0", "10.77.0.9/24");
    // Before it is noticed the name does not match, and no answer is given to an address that is not ours yet.
    wait_until(|| match ask("10.77.0.9") {
        Ok(answer) if answer.status == 200 => true,
        Ok(answer) => {
            assert_eq!(answer.status, 421, "{answer:?}");
            false
        }
        Err(error) => {
            assert!(error.contains("not valid for name"), "{error}");
            false
        }
    });
    let answer = ask("10.77.0.9").unwrap();
    assert!(answer.body.contains("10.77.0.2"), "{answer:?}");
    assert_eq!(ask("10.77.0.1").unwrap().status, 200);
    let exported = doorward.words(&["certs", "export", "10.77.0.9"]);
    assert!(exported.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn the_page_is_for_the_house_alone_and_while_it_is_of_use() {
    let house = Household::new();
    let configuration = owners_and(
        "[edge]\nnames = [\"10.77.0.1\"]\n[[listener]]\nname = \"lan\"\nbind = [\"10.77.0.1:8443\"]\n\
         [[listener]]\nname = \"plain\"\nbind = [\"10.77.0.1:8080\"]\nprotocol = \"http\"\n\
         [[listener]]\nname = \"proxied\"\nbind = [\"10.77.0.1:8081\"]\nprotocol = \"http\"\n\
         trusted_proxies = [\"10.77.0.2\"]\nclient_ip_header = \"x-real-ip\"\n",
    );
    let mut doorward = Instance::start(&house.host, &configuration);
    let get = |address: &'static str, path: &'static str, headers: &'static [(&'static str, &'static str)]| -> Answer {
        house.lan.on(move || Caller::plain(address).get(path, headers).unwrap())
    };
    let page = |headers| get("10.77.0.1:8081", "/doorward/ca", headers);
    assert_eq!(page(&[("x-real-ip", "192.168.1.9")]).status, 200);
    // A stranger meets what he would meet without such a page: the redirect here, 404 there.
    let stranger = page(&[("x-real-ip", "203.0.113.9")]);
    assert_eq!(stranger.status, 308, "{stranger:?}");
    for (path, status) in
        [("/doorward/ca/", 200), ("/doorward/ca/doorward-ca.mobileconfig", 200), ("/doorward/ca/x", 308)]
    {
        assert_eq!(get("10.77.0.1:8080", path, &[]).status, status, "{path}");
    }
    let foreign = get("10.77.0.1:8080", "/doorward/ca", &[("host", "evil.example")]);
    assert_eq!(foreign.status, 421, "a page of another site's name: {foreign:?}");
    // With a certificate from elsewhere for the only name there is nothing to install.
    let (cert, key) = self_signed(doorward.folder());
    let file = doorward.folder().join("doorward.toml");
    let pair = format!("[[certificates.file]]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    fs::write(&file, format!("{}\n{pair}", fs::read_to_string(&file).unwrap())).unwrap();
    doorward.words(&["reload"]);
    assert_eq!(get("10.77.0.1:8080", "/doorward/ca", &[]).status, 308);
    let there = house.lan.on(|| Caller::blind("10.77.0.1:8443").get("/doorward/ca", &[]).unwrap());
    assert_eq!(there.status, 404, "{there:?}");
    assert!(doorward.stop().success());
}

#[test]
fn the_flag_stands_alone() {
    let house = Household::new();
    let doorward = Instance::stopped(&house.host, OWNERS);
    let refused = doorward.command(&["run", "--lan"]);
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{says}");
    assert!(says.contains("--lan is a profile of its own") && says.contains("lan_names = true"), "{says}");
    // A machine that no device could dial.
    let alone = Namespace::new();
    let folder = tempfile::tempdir().unwrap();
    let refused = command(&alone, folder.path(), &["run", "--lan"]).output().unwrap();
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && says.contains("hint: join the lan"), "{says}");
}

/// A certificate for 10.77.0.1 that is none of the local CA's.
fn self_signed(folder: &Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.join("own.crt"), folder.join("own.key"));
    let ask = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=own -addext subjectAltName=IP:10.77.0.1";
    run(Command::new(installed("openssl", "openssl"))
        .args(ask.split(' '))
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert));
    (cert, key)
}

fn command(machine: &Namespace, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = machine.command(Path::new(env!("CARGO_BIN_EXE_doorward")));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("DOORWARD_STATE", folder.join("state")).env_remove("DOORWARD_CONFIG");
    command
}

/// `doorward run --lan` on a terminal of its own.
struct Terminal<'a> {
    machine: &'a Namespace,
    folder: TempDir,
    child: Child,
}

impl<'a> Terminal<'a> {
    fn start(machine: &'a Namespace) -> Self {
        let folder = tempfile::Builder::new().prefix("doorward-").tempdir().unwrap();
        let screen = File::create(folder.path().join("screen")).unwrap();
        let mut script = machine.command(&installed("script", "bsdutils"));
        script.args(["--quiet", "--return", "--flush", "--command"]);
        script.arg(format!("{} run --lan", env!("CARGO_BIN_EXE_doorward"))).arg("/dev/null");
        script.current_dir(folder.path()).env("DOORWARD_STATE", folder.path().join("state"));
        script.env_remove("DOORWARD_CONFIG").stdin(Stdio::piped()).stdout(screen);
        let child = script.spawn().unwrap();
        let mut terminal = Self { machine, folder, child };
        let start = Instant::now();
        while !(terminal.screen().contains("firewall") && terminal.command(&["status"]).status.success()) {
            let gone = terminal.child.try_wait().unwrap();
            assert!(gone.is_none() && start.elapsed() < WAIT, "{gone:?}: {}", terminal.screen());
            std::thread::sleep(Duration::from_millis(50));
        }
        terminal
    }

    fn screen(&self) -> String {
        fs::read_to_string(self.folder.path().join("screen")).unwrap().replace('\r', "")
    }

    fn command(&self, arguments: &[&str]) -> std::process::Output {
        command(self.machine, self.folder.path(), arguments).output().unwrap()
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // The end of its terminal would be a SIGHUP, which is a reload.
        let lock = fs::read_to_string(self.folder.path().join("state/lock")).unwrap_or_default();
        if let Some(pid) = lock.lines().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
