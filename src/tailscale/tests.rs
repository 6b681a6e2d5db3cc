//! The question as it goes out, its bounds, and what is said of a tailscaled that does not answer.

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::base::limits::{WHOIS_ANSWER_BYTES_MAX, WHOIS_LIFE};

const PEER: &str = "100.64.0.7:4711";
/// What the peer dialled.
const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(100, 64, 0, 1));

/// tailscaled at `socket`, asked about whatever was dialled.
fn settings(socket: PathBuf) -> Settings {
    Settings { socket, dialled: Dialled::AnyAddress }
}

#[tokio::test]
async fn the_question_is_what_tailscaled_answers() {
    let mut rig = Rig::start(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    for (peer, addr) in [(PEER, "100.64.0.7:4711"), ("[fd7a:115c:a1e0::7]:4711", "%5Bfd7a:115c:a1e0::7%5D:4711")] {
        assert_eq!(rig.whois(peer).await, Word::Nobody);
        let question = rig.questions.recv().await.unwrap().to_ascii_lowercase();
        assert!(
            question.starts_with(&format!(
                "get /localapi/v0/whois?addr={}&proto=tcp http/1.1\r\n",
                addr.to_ascii_lowercase()
            )),
            "{question}"
        );
        assert!(question.contains("host: local-tailscaled.sock\r\n"), "{question}");
        assert!(!question.contains("origin:") && !question.contains("referer:"), "{question}");
    }
}

#[tokio::test]
async fn only_a_whole_positive_answer_names_somebody() {
    let body = whois::tests::ALICE;
    let with = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes();
    let length = format!("Content-Length: {}", body.len());
    let good = with(&format!("200 OK\r\n{length}"), body);
    assert_eq!(Rig::start(move |_| good.clone()).whois(PEER).await.identity().unwrap().login, "alice@example.com");
    let endless = "x".repeat(WHOIS_ANSWER_BYTES_MAX + 1);
    for (bad, word) in [
        (with(&format!("404 Not Found\r\n{length}"), body), Word::Nobody),
        (with(&format!("403 Forbidden\r\n{length}"), body), Word::NoAnswer),
        (with(&format!("400 Bad Request\r\n{length}"), body), Word::NoAnswer),
        (with(&format!("201 Created\r\n{length}"), body), Word::NoAnswer),
        (with(&format!("302 Found\r\nLocation: /x\r\n{length}"), body), Word::NoAnswer),
        (with(&format!("200 OK\r\nContent-Length: {}", body.len() + 1), body), Word::NoAnswer),
        (with("200 OK\r\nTransfer-Encoding: chunked", "5\r\n{\"Nod"), Word::NoAnswer),
        (with("200 OK", &endless), Word::NoAnswer),
        (body.as_bytes().to_vec(), Word::NoAnswer),
        (Vec::new(), Word::NoAnswer),
    ] {
        let shown = String::from_utf8_lossy(&bad).chars().take(60).collect::<String>();
        assert_eq!(Rig::start(move |_| bad.clone()).whois(PEER).await, word, "{shown}");
    }
}

#[tokio::test]
async fn nobody_is_named_who_did_not_dial_this_node() {
    let answer = |question: &str| {
        let body = if question.contains("/status?") { status::tests::STATUS } else { whois::tests::ALICE };
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    for (own, is_named, questions) in [
        ("100.64.0.1", true, 2),
        ("fd7a:115c:a1e0::1", true, 2),
        // Of the tailnet's ranges, and not ours: a carrier's, or another node's.
        ("100.64.0.9", false, 1),
        ("192.0.2.1", false, 0),
        ("127.0.0.1", false, 0),
    ] {
        let mut rig = Rig::start(answer);
        let socket = rig.tailscale.0.settings.socket.clone();
        let strict = Tailscale::new(Settings { socket, dialled: Dialled::ThisNode });
        let word = strict.whois(PeerAddr::from_accept(PEER.parse().unwrap()), own.parse().unwrap()).await;
        assert_eq!(word.identity().is_some(), is_named, "{own}: {word:?}");
        assert!(is_named || word == Word::Elsewhere, "{own}: {word:?}");
        for _ in 0..questions {
            rig.questions.recv().await.unwrap();
        }
        assert!(rig.questions.try_recv().is_err(), "{own}");
    }
}

#[tokio::test]
async fn a_status_that_is_not_had_names_nobody() {
    let answer = |question: &str| {
        let body = whois::tests::ALICE;
        let (status, body) = if question.contains("/status?") { ("404 Not Found", "") } else { ("200 OK", body) };
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let rig = Rig::start(answer);
    let socket = rig.tailscale.0.settings.socket.clone();
    let strict = Tailscale::new(Settings { socket, dialled: Dialled::ThisNode });
    assert_eq!(strict.whois(PeerAddr::from_accept(PEER.parse().unwrap()), OWN).await, Word::NoAnswer);
}

#[tokio::test]
async fn an_old_word_is_asked_for_again_and_nothing_is_left_of_a_person_who_is_named_no_more() {
    let (alice, gone) = (whois::tests::ALICE, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let named = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{alice}", alice.len());
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    for (second, word) in [(gone, Word::Nobody), (refused, Word::NoAnswer)] {
        let first = std::sync::atomic::AtomicBool::new(true);
        let answers = [named.clone().into_bytes(), second.as_bytes().to_vec()];
        let mut rig = Rig::start(move |_| answers[usize::from(!first.swap(false, Ordering::SeqCst))].clone());
        let kept = PeerWord::ask(&rig.tailscale, PeerAddr::from_accept(PEER.parse().unwrap()), OWN).await;
        let login = |word: &Word| word.identity().map(|alice| alice.login.clone());
        for _ in 0..3 {
            assert_eq!(login(&*kept.fresh().await).as_deref(), Some("alice@example.com"));
        }
        rig.questions.recv().await.unwrap();
        assert!(rig.questions.try_recv().is_err(), "a young word is not asked for again");
        tokio::time::pause();
        tokio::time::advance(WHOIS_LIFE).await;
        tokio::time::resume();
        let both = tokio::join!(kept.fresh(), kept.fresh());
        assert_eq!((&*both.0, &*both.1, &*kept.last()), (&word, &word, &word));
        rig.questions.recv().await.unwrap();
        assert!(rig.questions.try_recv().is_err(), "one question is enough for all who wait");
    }
    assert_eq!(*PeerWord::not_asked().fresh().await, Word::NotAsked);
}

#[tokio::test(start_paused = true)]
async fn a_silent_tailscaled_is_waited_for_no_longer_than_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let tailscale = Tailscale::new(settings(socket));
    let start = Instant::now();
    let all = (0..WHOIS_AT_ONCE_MAX + 20).map(|_| tailscale.whois(PeerAddr::from_accept(PEER.parse().unwrap()), OWN));
    let words = futures_util::future::join_all(all).await;
    assert!(words.iter().all(|word| *word == Word::NoAnswer));
    assert!(start.elapsed() < WHOIS_WAIT * 2, "{:?}", start.elapsed());
    assert_eq!(tailscale.0.questions.available_permits(), WHOIS_AT_ONCE_MAX);
}

#[tokio::test]
async fn no_more_questions_at_once_than_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let tailscale = Tailscale::new(settings(socket));
    for _ in 0..WHOIS_AT_ONCE_MAX + 5 {
        let tailscale = tailscale.clone();
        tokio::spawn(async move { tailscale.whois(PeerAddr::from_accept(PEER.parse().unwrap()), OWN).await });
    }
    let mut held = Vec::new();
    while let Ok(Ok((stream, _))) = timeout(WHOIS_WAIT / 4, listener.accept()).await {
        held.push(stream);
    }
    assert_eq!(held.len(), WHOIS_AT_ONCE_MAX);
}

#[tokio::test]
async fn each_cause_is_told_once_until_tailscaled_answers() {
    let tailscale = Tailscale::new(settings("/nonexistent/tailscaled.sock".into()));
    let peer = PeerAddr::from_accept(PEER.parse().unwrap());
    assert_eq!(tailscale.whois(peer, OWN).await, Word::NoAnswer);
    let absent = tailscale.0.told.load(Ordering::Relaxed);
    assert_eq!(absent.count_ones(), 1);
    assert_eq!(tailscale.whois(peer, OWN).await, Word::NoAnswer);
    tailscale.tell(&LocalApiError::Deadline);
    assert_eq!(tailscale.0.told.load(Ordering::Relaxed).count_ones(), 2);
    let mut rig = Rig::start(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    rig.tailscale.tell(&LocalApiError::Deadline);
    assert_eq!(rig.whois(PEER).await, Word::Nobody);
    assert_eq!(rig.tailscale.0.told.load(Ordering::Relaxed), 0);
}

/// A socket that answers every question with these bytes and hangs up.
struct Rig {
    tailscale: Tailscale,
    questions: mpsc::UnboundedReceiver<String>,
    _folder: TempDir,
}

impl Rig {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("tailscaled.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (told, questions) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let question = read_head(&mut stream).await;
                let _ = stream.write_all(&answer(&question)).await;
                let _ = told.send(question);
            }
        });
        Self { tailscale: Tailscale::new(settings(socket)), questions, _folder: folder }
    }

    async fn whois(&mut self, peer: &str) -> Word {
        self.tailscale.whois(PeerAddr::from_accept(peer.parse().unwrap()), OWN).await
    }
}

async fn read_head(stream: &mut UnixStream) -> String {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(length) if length > 0 => head.extend(&piece[..length]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}
