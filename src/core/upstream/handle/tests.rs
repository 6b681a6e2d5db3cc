//! What a dial that comes to nothing says.

use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::core::upstream::Mode;

fn upstream(address: SocketAddr, state_dir: &Path) -> Upstream {
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let settings = Settings { endpoint, token_file: None, mode: Mode::Device, open: Vec::new() };
    Upstream::open(settings, state_dir, "edge", OwnerCommand::default()).unwrap()
}

#[tokio::test]
async fn addresses_that_are_dead_are_not_called_silent() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    // The kernel answers nobody any more once its queue is full, as if nobody were there.
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        queue.push(stream);
    }
    let state = tempfile::tempdir().unwrap();
    let upstream = upstream(address, state.path());
    tokio::time::pause();
    for dead in [1, 2, 3] {
        let (begun, until) = (Deadline::now(), deadline());
        let found = upstream.shared.first_of(vec![address; dead], until).await.map(drop);
        assert_eq!(found, Err(State::Unreachable(Unreachable::TimedOut)), "{dead}");
        assert!(begun.elapsed() <= UPSTREAM_DIAL_WAIT + Duration::from_millis(10), "{dead}: {:?}", begun.elapsed());
    }
    let opened = upstream.shared.open(Face::Address, Page::Absent, None).await.err();
    assert_eq!(opened, Some(State::Unreachable(Unreachable::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn whoever_took_the_connection_and_says_nothing_is_silent() {
    let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let upstream = upstream(listening.local_addr().unwrap(), state.path());
    assert_eq!(upstream.shared.open(Face::Address, Page::Absent, None).await.err(), Some(State::Silent));
    assert_eq!(upstream.shared.page(64).await, Err(State::Silent));
}
