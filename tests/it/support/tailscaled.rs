//! A stand-in for tailscaled's LocalAPI: the answers and the refusals of the real one, over its unix socket.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How long it keeps a question that it never answers.
const SILENCE: Duration = Duration::from_secs(30);

/// The addresses of the node that it speaks for.
pub(crate) const OWN: [&str; 2] = ["100.64.0.1", "fd7a:115c:a1e0::1"];

/// tailscaled at a socket, until the test ends.
#[derive(Debug)]
pub(crate) struct FakeTailscaled {
    asked: Arc<Mutex<Vec<SocketAddr>>>,
    certificates: Arc<Mutex<Certificates>>,
}

/// The names of this machine, and what is said of each when its certificate is asked for.
#[derive(Debug, Default)]
struct Certificates(HashMap<String, (u16, String)>);

/// What it says about a peer.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// Exactly this, as a 200.
    Answer(Value),
    /// This status, and text.
    Refusal(u16),
    /// Nothing at all.
    Silence,
}

impl FakeTailscaled {
    /// Listens at `socket` and knows these peers; of all others it says 404.
    pub(crate) fn start(socket: &Path, known: &[(&str, Says)]) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let known: HashMap<IpAddr, Says> = known.iter().map(|(ip, says)| (ip.parse().unwrap(), says.clone())).collect();
        let (known, asked) = (Arc::new(known), Arc::new(Mutex::new(Vec::new())));
        let notes = Arc::clone(&asked);
        let certificates = Arc::new(Mutex::new(Certificates::default()));
        let handed_out = Arc::clone(&certificates);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (known, notes, certificates) = (Arc::clone(&known), Arc::clone(&notes), Arc::clone(&handed_out));
                std::thread::spawn(move || serve(stream, &known, &notes, &certificates));
            }
        });
        Self { asked, certificates }
    }

    /// This machine has that name from now on, and this is said when its certificate is asked for.
    pub(crate) fn gives(&self, name: &str, status: u16, body: &str) {
        self.certificates.lock().unwrap().0.insert(name.to_owned(), (status, body.to_owned()));
    }

    /// The peers it was asked about since the last look.
    pub(crate) fn asked(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// The whois of somebody's node with these addresses.
pub(crate) fn node(login: &str, addresses: &[&str]) -> Value {
    json!({
        "Node": {
            "ID": 1, "StableID": "nABC", "Name": "phone.tail1234.ts.net.", "User": 5, "Key": "nodekey:00",
            "Addresses": addresses, "AllowedIPs": addresses, "Hostinfo": {"OS": "linux"}, "Online": true,
            "ComputedName": "phone",
        },
        "UserProfile": {"ID": 5, "LoginName": login, "DisplayName": "Somebody", "Groups": ["g"]},
        "CapMap": {"cap": [{"a": 1}]},
    })
}

fn serve(
    mut stream: UnixStream,
    known: &HashMap<IpAddr, Says>,
    asked: &Mutex<Vec<SocketAddr>>,
    certificates: &Mutex<Certificates>,
) {
    let Ok(head) = read_head(&mut stream) else { return };
    let (status, body) = match judge(&head) {
        Err(refusal) => certificates.lock().unwrap().answer(&head).unwrap_or(refusal),
        Ok(Question::Status) => {
            let names: Vec<String> = certificates.lock().unwrap().0.keys().cloned().collect();
            let node = json!({"TailscaleIPs": OWN, "Online": true});
            (200, json!({"Self": node, "CertDomains": names}).to_string())
        }
        Ok(Question::Whois(peer)) => {
            asked.lock().unwrap().push(peer);
            match known.get(&peer.ip()) {
                None => (404, format!("no match for {peer}\n")),
                Some(Says::Answer(answer)) => (200, serde_json::to_string_pretty(answer).unwrap()),
                Some(Says::Refusal(status)) => (*status, "whois access denied\n".to_owned()),
                Some(Says::Silence) => {
                    std::thread::sleep(SILENCE);
                    return;
                }
            }
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nTailscale-Cap: 130\r\n\r\n"
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

impl Certificates {
    /// The pair for one of this machine's names.
    fn answer(&self, head: &str) -> Option<(u16, String)> {
        let target = head.split(' ').nth(1)?;
        let name = target.strip_prefix("/localapi/v0/cert/")?.strip_suffix("?type=pair")?;
        Some(self.0.get(name).cloned().unwrap_or((500, format!("invalid domain {name:?}\n"))))
    }
}

fn read_head(stream: &mut UnixStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// What is asked.
enum Question {
    /// Its own node.
    Status,
    /// Whose node this peer is.
    Whois(SocketAddr),
}

/// The question, or the refusal of the real one.
fn judge(head: &str) -> Result<Question, (u16, String)> {
    let lines: Vec<(String, &str)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(n, v)| (n.to_ascii_lowercase(), v))
        .collect();
    let value = |name: &str| lines.iter().find(|(found, _)| found == name).map(|(_, value)| *value);
    if value("referer").is_some() || value("origin").is_some() || value("host") != Some("local-tailscaled.sock") {
        return Err((403, "invalid localapi request\n".to_owned()));
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    if target == "/localapi/v0/status?peers=false" {
        return Ok(Question::Status);
    }
    let query = target.strip_prefix("/localapi/v0/whois?").ok_or((404, "not found\n".to_owned()))?;
    let mut addr = None;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "addr" => addr = Some(value.replace("%5B", "[").replace("%5D", "]").replace("%3A", ":")),
            "proto" if value == "tcp" => {}
            _ => return Err((400, "invalid 'proto' parameter\n".to_owned())),
        }
    }
    let addr = addr.ok_or((400, "missing 'addr' parameter\n".to_owned()))?;
    addr.parse().map(Question::Whois).map_err(|_| (400, "invalid 'addr' parameter\n".to_owned()))
}
