//! tailscaled's certificates: asked for in time, shown where nothing better is, and never the cause of an outage.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::base::clock::Clock;
use crate::certificates::tailnet::Runner;
use crate::tailscale::{Dialled, Tailscale};

const NAME: &str = "claw.tail1234.ts.net";

/// A day after two thirds of a leaf's life.
fn due() -> i64 {
    i64::try_from(LEAF_LIFE.as_millis()).unwrap() * 2 / 3 + DAY
}

/// Status and body, by what is asked.
type Answers = Arc<Mutex<HashMap<String, (u16, Vec<u8>)>>>;

/// tailscaled with answers that can be changed, and an edge that asks it.
struct Tailnet {
    house: House,
    signer: House,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
    certificates: Arc<Certificates>,
    clock: Clock,
    runner: Runner,
    client_pem: String,
}

impl Tailnet {
    async fn new(names: &[&str]) -> Self {
        let (house, signer) = (House::new(names), House::new(&[NAME, "other.tail1234.ts.net"]));
        let client_pem = signer.open(now()).unwrap().ca_pem().to_owned();
        let (answers, asked) = (Answers::default(), Arc::new(Mutex::new(Vec::new())));
        let socket = house.folder().join("tailscaled.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (known, notes) = (Arc::clone(&answers), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap();
                let target = String::from_utf8_lossy(&head[..length]).split(' ').nth(1).unwrap().to_owned();
                notes.lock().unwrap().push(target.clone());
                let (status, body): (u16, Vec<u8>) =
                    known.lock().unwrap().get(&target).cloned().unwrap_or((404, b"not found".to_vec()));
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        let clock = Clock::fixed(now());
        let certificates = Arc::new(house.open(now()).unwrap());
        let tailscale = Tailscale::new(crate::tailscale::Settings { socket, dialled: Dialled::ThisNode });
        let runner = Runner::new(Arc::clone(&certificates), tailscale, clock.clone());
        Self { house, signer, answers, asked, certificates, clock, runner, client_pem }
    }

    fn domains(&self, names: &[&str]) {
        let body = serde_json::json!({"BackendState": "Running", "CertDomains": names}).to_string();
        self.says("/localapi/v0/status?peers=false", 200, body.as_bytes());
    }

    fn says(&self, target: &str, status: u16, body: &[u8]) {
        self.answers.lock().unwrap().insert(target.to_owned(), (status, body.to_vec()));
    }

    fn gives(&self, status: u16, body: &str) {
        self.says(&format!("/localapi/v0/cert/{NAME}?type=pair"), status, body.as_bytes());
    }

    fn issue(&self, name: &str) -> String {
        let ca_pem = fs::read_to_string(self.signer.state().join("local-ca/ca.pem")).unwrap();
        local_ca::tests_leaf(&ca_pem, &[Host::parse(name).unwrap()], self.clock.now())
    }

    /// What is asked in a look this much later.
    async fn look(&mut self, later: i64) -> Vec<String> {
        self.clock.advance(later);
        self.runner.look().await;
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn shown(&self) -> Result<String, String> {
        let client = client_at(&self.client_pem, self.clock.now());
        client::serial_for(&client, &server(&self.certificates, &[]), NAME)
    }
}

#[tokio::test]
async fn a_certificate_is_asked_for_when_it_is_due_and_not_before() {
    let mut tailnet = Tailnet::new(&[NAME]).await;
    tailnet.domains(&[NAME, "other.tail1234.ts.net"]);
    tailnet.gives(200, &tailnet.issue(NAME));
    assert!(tailnet.shown().is_err(), "the local ca's, which this client does not trust");
    let asked = tailnet.look(0).await;
    assert_eq!(asked.len(), 2, "the names, and the one that is configured: {asked:?}");
    let first = tailnet.shown().unwrap();
    tailnet.gives(200, &tailnet.issue(NAME));
    assert!(tailnet.look(3_599_000).await.is_empty(), "an hour is not over");
    assert_eq!(tailnet.look(2_000).await.len(), 1, "only the names: it is not due");
    assert_eq!(tailnet.shown().unwrap(), first);
    tailnet.look(due()).await;
    assert_ne!(tailnet.shown().unwrap(), first);
}

#[tokio::test]
async fn whatever_tailscaled_gives_that_is_not_sound_leaves_the_old_one_shown() {
    let mut tailnet = Tailnet::new(&[NAME]).await;
    tailnet.domains(&[NAME]);
    tailnet.gives(200, &tailnet.issue(NAME));
    tailnet.look(0).await;
    let first = tailnet.shown().unwrap();
    tailnet.clock.advance(due());
    let (one, other) = (tailnet.issue(NAME), tailnet.issue(NAME));
    let mismatched = format!("{}{}", split(&one).0, split(&other).1);
    for (status, body) in [
        (500, "acme: rate limited\u{7}".to_owned()),
        (403, "cert access denied".to_owned()),
        (200, tailnet.issue("other.tail1234.ts.net")),
        (200, mismatched),
        (200, split(&one).1.to_owned()),
        (200, String::new()),
        (200, "<html>".to_owned()),
        (200, "x".repeat(crate::base::limits::WHOIS_ANSWER_BYTES_MAX + 1)),
    ] {
        tailnet.gives(status, &body);
        assert_eq!(tailnet.look(4_000_000).await.len(), 2, "it is asked again");
        assert_eq!(tailnet.shown().unwrap(), first, "{status} {}", body.chars().take(40).collect::<String>());
    }
    for body in ["", "{}", r#"{"CertDomains":null}"#, r#"{"CertDomains":7}"#, r#"{"CertDomains":["x"]}"#] {
        tailnet.says("/localapi/v0/status?peers=false", 200, body.as_bytes());
        assert_eq!(tailnet.look(4_000_000).await.len(), 1);
        assert_eq!(tailnet.shown().unwrap(), first, "{body}");
    }
    // A socket that is dead takes nothing down either, and what comes after is taken.
    fs::rename(tailnet.house.folder().join("tailscaled.sock"), tailnet.house.folder().join("away")).unwrap();
    assert!(tailnet.look(4_000_000).await.is_empty());
    assert_eq!(tailnet.shown().unwrap(), first);
    fs::rename(tailnet.house.folder().join("away"), tailnet.house.folder().join("tailscaled.sock")).unwrap();
    tailnet.domains(&[NAME]);
    tailnet.gives(200, &one);
    tailnet.look(4_000_000).await;
    assert_ne!(tailnet.shown().unwrap(), first);
}

#[tokio::test]
async fn it_is_asked_in_vain_ever_less_often() {
    let mut tailnet = Tailnet::new(&[NAME]).await;
    let mut waits = Vec::new();
    tailnet.look(0).await;
    for _ in 0..12 {
        let mut seconds = 0;
        while tailnet.look(1_000).await.is_empty() {
            seconds += 1;
        }
        waits.push(seconds + 1);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
}

#[tokio::test]
async fn a_file_for_the_name_wins_and_no_name_is_asked_for_that_is_not_configured() {
    let mut tailnet = Tailnet::new(&["claw.local"]).await;
    tailnet.domains(&[NAME]);
    tailnet.gives(200, &tailnet.issue(NAME));
    assert_eq!(tailnet.look(0).await.len(), 1, "not configured: not asked for");
    let mut tailnet = Tailnet::new(&[NAME]).await;
    tailnet.domains(&[NAME]);
    tailnet.gives(200, &tailnet.issue(NAME));
    tailnet.look(0).await;
    let given = tailnet.shown().unwrap();
    let (cert, key) = tailnet.house.write_pair("own", &tailnet.issue(NAME));
    tailnet.house.settings.files = vec![FilePair { cert, key }];
    tailnet.certificates.replace(&tailnet.house.settings, now()).unwrap();
    assert_ne!(tailnet.shown().unwrap(), given);
    tailnet.house.settings.files.clear();
    tailnet.certificates.replace(&tailnet.house.settings, now()).unwrap();
    assert_eq!(tailnet.shown().unwrap(), given);
}
