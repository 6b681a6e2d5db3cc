//! A stranger's page in a browser of the household: it does not learn that the device trusts this house, while the house's own
//! page does.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::browser::Person;
use crate::support::instance::{Instance, owners_and};
use crate::support::lan::Household;
use crate::support::program::installed;

const CONFIGURATION: &str = r#"
[edge]
names = ["10.77.0.1"]
https_port = 8443

[[listener]]
name = "lan"
bind = ["10.77.0.1:8443"]

[[listener]]
name = "plain"
bind = ["10.77.0.1:80"]
protocol = "http"
"#;

/// Everything a page can load from elsewhere without leave. What it may see of each is in its text at the end.
const PAGE: &str = r#"<!doctype html><title>strange</title><p id=found>nothing</p><script>
(async () => {
  const door = "https://10.77.0.1:8443", found = [];
  const element = (make) => new Promise((resolve) => {
    const one = make();
    one.onload = () => resolve("loaded");
    one.onerror = () => resolve("failed");
    document.head.append(one);
  });
  const made = (kind, more) => element(() => Object.assign(document.createElement(kind), more));
  const fetched = (url) => fetch(url, { mode: "no-cors" }).then(() => "loaded", () => "failed");
  found.push("own:" + await fetched("/own"));
  found.push("seal:" + await made("img", { src: door + "/doorward/ca/seal.svg?1" }));
  found.push("cors:" + await made("img", { crossOrigin: "anonymous", src: door + "/doorward/ca/seal.svg?2" }));
  found.push("script:" + await made("script", { src: door + "/doorward/ca/check.js" }));
  found.push("style:" + await made("link", { rel: "stylesheet", href: door + "/doorward/ca/page.css" }));
  for (const path of ["/", "/healthz", "/doorward/whoami", "/doorward/ca", "/nothing", "/doorward/why/x"]) {
    found.push(path + ":" + await fetched(door + path));
  }
  document.getElementById("found").textContent = "found " + found.join(" ") + " end";
})();
</script>"#;

#[test]
fn a_strangers_page_does_not_learn_whom_its_visitor_trusts() {
    let house = Household::new();
    let doorward = Instance::start(&house.host, &owners_and(CONFIGURATION));
    let listener = house.lan.on(|| TcpListener::bind("10.77.0.2:8088").unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let length = PAGE.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let _ = write!(socket, "{head}Content-Length: {length}\r\n\r\n{PAGE}");
        }
    });
    let trusting = Person::new();
    trusting.trust(&doorward.folder().join("certs/local-ca.crt"));
    let seen = |url: &str| {
        let mut chromium = house.lan.command(&installed("chromium", "chromium"));
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        chromium.args(["--virtual-time-budget=15000", "--dump-dom", url]);
        let output = chromium.env("HOME", trusting.home()).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let own = seen("http://10.77.0.1/doorward/ca");
    assert!(own.contains("data-state=\"trusted\""), "the house's own page does not see it: {own}");
    let strange = seen("http://10.77.0.2:8088/");
    let found = strange.split("found ").nth(1).and_then(|rest| rest.split(" end").next());
    let found = found.unwrap_or_else(|| panic!("{strange}"));
    assert!(found.starts_with("own:loaded "), "it can load what is its own: {found}");
    let learned: Vec<_> = found.split(' ').skip(1).filter(|one| !one.ends_with(":failed")).collect();
    assert!(learned.is_empty(), "{learned:?} of {found}");
    assert!(found.split(' ').count() > 10, "{found}");
}
