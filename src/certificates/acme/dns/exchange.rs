//! One DNS request and its answer, by datagram and where that does not do by TCP (RFC 7766).

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::base::limits::{
    DNS_ANSWER_WAIT, DNS_DATAGRAM_BYTES_MAX, DNS_DATAGRAM_REQUEST_BYTES_MAX, DNS_DATAGRAM_TRIES,
};

/// In the third byte of a message: it is an answer, and it was cut (RFC 1035 §4.1.1).
const IS_ANSWER: u8 = 0x80;
const IS_CUT: u8 = 0x02;

/// What `server` answers to `request`: a message that has its number, and nothing else is known of. A datagram that
/// `is_genuine` denies may be anybody's: the server's own is waited for (RFC 8945 §5.3), and asked for by TCP. Only when
/// that does not come either is it the answer.
///
/// # Errors
/// When there is no answer in time.
pub(super) async fn exchange(
    server: SocketAddr,
    request: &[u8],
    is_genuine: impl FnMut(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut doubtful = None;
    if request.len() <= DNS_DATAGRAM_REQUEST_BYTES_MAX
        && let Ok(answer) = by_datagram(server, request, is_genuine, &mut doubtful).await
        && answer.get(2).is_some_and(|flags| flags & IS_CUT == 0)
    {
        return Ok(answer);
    }
    let answered = timeout(DNS_ANSWER_WAIT, by_stream(server, request)).await;
    let answered = answered.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    last_word(answered, doubtful)
}

/// What came by TCP, else what anybody may have sent: it says more than silence.
fn last_word(by_stream: io::Result<Vec<u8>>, doubtful: Option<Vec<u8>>) -> io::Result<Vec<u8>> {
    by_stream.or_else(|error| doubtful.ok_or(error))
}

async fn by_datagram(
    server: SocketAddr,
    request: &[u8],
    mut is_genuine: impl FnMut(&[u8]) -> bool,
    doubtful: &mut Option<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    // A port of its own for each request: what nobody can guess, nobody can answer in the server's place.
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    let mut buffer = vec![0; DNS_DATAGRAM_BYTES_MAX];
    for _ in 0..DNS_DATAGRAM_TRIES {
        socket.send(request).await?;
        let heard = timeout(DNS_ANSWER_WAIT, async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                let answer = buffer.get(..length).unwrap_or_default();
                if !answers(answer, request) {
                    continue;
                }
                if is_genuine(answer) {
                    return io::Result::Ok(answer.to_vec());
                }
                *doubtful = Some(answer.to_vec());
            }
        });
        if let Ok(heard) = heard.await {
            return heard;
        }
    }
    Err(ErrorKind::TimedOut.into())
}

async fn by_stream(server: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(request.len()).map_err(|_| ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], request].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    if answers(&answer, request) { Ok(answer) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Whether `answer` has the number of `request`.
fn answers(answer: &[u8], request: &[u8]) -> bool {
    let is_answer = answer.get(2).is_some_and(|flags| flags & IS_ANSWER != 0);
    is_answer && answer.first_chunk::<2>() == request.first_chunk::<2>()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const REQUEST: &[u8] = &[7, 7, 0, 0];

    #[tokio::test]
    async fn an_answer_that_was_cut_is_asked_for_again_by_tcp() {
        let (udp, tcp, address) = server().await;
        let served = async {
            let (_, peer) = udp.recv_from(&mut [0; 64]).await.unwrap();
            // Of another number, and no answer at all: as if they were not there.
            for message in [&[7, 8, 0x80, 0][..], REQUEST, &[], &[7, 7, 0x82, 0]] {
                udp.send_to(message, peer).await.unwrap();
            }
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut request = [0; 6];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [0, 4, 7, 7, 0, 0]);
            stream.write_all(&[0, 5, 7, 7, 0x80, 0, 1]).await.unwrap();
        };
        let (answer, ()) = tokio::join!(exchange(address, REQUEST, |_| true), served);
        assert_eq!(answer.unwrap(), [7, 7, 0x80, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_ends_in_time() {
        let (_udp, _tcp, address) = server().await;
        let begun = tokio::time::Instant::now();
        assert_eq!(exchange(address, REQUEST, |_| true).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() <= DNS_ANSWER_WAIT * 4);
    }

    #[tokio::test]
    async fn a_datagram_that_anybody_could_send_ends_nothing() {
        let (udp, _tcp, address) = server().await;
        let (forged, genuine) = ([7, 7, 0x80, 0, 1], [7, 7, 0x80, 0, 2]);
        let served = async {
            let (_, peer) = udp.recv_from(&mut [0; 64]).await.unwrap();
            udp.send_to(&forged, peer).await.unwrap();
            udp.send_to(&genuine, peer).await.unwrap();
        };
        let (answer, ()) = tokio::join!(exchange(address, REQUEST, |answer| answer == genuine), served);
        assert_eq!(answer.unwrap(), genuine);
    }

    #[test]
    fn where_no_genuine_datagram_comes_tcp_decides_and_without_it_what_was_heard_is_told() {
        let silence = || Err(ErrorKind::TimedOut.into());
        for (by_stream, doubtful, told) in [
            (Ok(vec![1]), Some(vec![2]), Some(vec![1])),
            (Ok(vec![1]), None, Some(vec![1])),
            (silence(), Some(vec![2]), Some(vec![2])),
            (silence(), None, None),
        ] {
            assert_eq!(last_word(by_stream, doubtful).ok(), told);
        }
    }

    #[tokio::test]
    async fn a_long_request_goes_by_tcp_at_once() {
        let (_udp, tcp, address) = server().await;
        let served = async {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            stream.write_all(&[0, 3, 7, 7, 0x80]).await.unwrap();
            length
        };
        let long = [REQUEST, &[0; DNS_DATAGRAM_REQUEST_BYTES_MAX]].concat();
        let (answer, length) = tokio::join!(exchange(address, &long, |_| true), served);
        assert_eq!((answer.unwrap(), usize::from(length)), (vec![7, 7, 0x80], long.len()));
    }

    async fn server() -> (UdpSocket, TcpListener, SocketAddr) {
        // The port that one kernel gave may be taken in the other protocol.
        loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = udp.local_addr().unwrap();
            if let Ok(tcp) = TcpListener::bind(address).await {
                return (udp, tcp, address);
            }
        }
    }
}
