//! The kernel's word on who owns a socket. The peer's: asked only for a loopback peer of a listener whose
//! rule is `loopback`, right after `accept`, while the caller still has its socket.
//!
//! Promise: an answer names the owner of exactly that connection. Whatever is unclear is unknown.

use std::fmt;
use std::net::SocketAddr;

use crate::net::addr::PeerAddr;
use crate::origin::Owner;

mod diag;
mod proc;

pub(super) use proc::holder;

/// The process that listens on an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Its process id, where we may look into its descriptors.
    pub process: Option<u32>,
    /// Its name, made printable.
    pub name: Option<String>,
    /// The user it runs as.
    pub uid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.process) {
            (Some(name), Some(process)) => write!(f, "{name} (process {process}, uid {})", self.uid),
            (_, Some(process)) => write!(f, "process {process} (uid {})", self.uid),
            _ => write!(f, "a process of uid {}", self.uid),
        }
    }
}

/// Asks the kernel for the owner of the socket at the other end of the connection from `peer` to
/// `local`, an address of ours.
pub async fn owner(peer: PeerAddr, local: SocketAddr) -> Owner {
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    if let Ok(answer) = diag::owner(peer.socket(), local) {
        return answer.map_or(Owner::Unknown, |uid| Owner::Known { uid });
    }
    // sock_diag is a kernel module that a container may lack; /proc reads can be slow, so off the loop.
    let read = tokio::task::spawn_blocking(move || proc::owner(peer.socket(), local)).await;
    read.ok().flatten().map_or(Owner::Unknown, |uid| Owner::Known { uid })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_sources_name_us_and_nobody_else() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(bind).unwrap();
            let local = listener.local_addr().unwrap();
            let caller = TcpStream::connect(local).unwrap();
            let (_held, peer) = listener.accept().unwrap();
            let us = rustix::process::getuid().as_raw();
            assert_eq!(diag::owner(peer, local).unwrap(), Some(us), "{bind}");
            assert_eq!(proc::owner(peer, local), Some(us), "{bind}");

            // The listener itself answers for a connection that is not there: it must not be believed.
            let nobody = SocketAddr::new(peer.ip(), 1);
            assert_eq!(diag::owner(local, nobody).ok().flatten(), None, "{bind}");
            assert_eq!(proc::owner(local, nobody), None, "{bind}");
            drop(caller);
        }
    }

    #[test]
    fn a_mapped_ipv6_caller_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", local.port()).parse().unwrap();
        let _caller = TcpStream::connect(mapped).unwrap();
        let (_held, peer) = listener.accept().unwrap();
        let us = Some(rustix::process::getuid().as_raw());
        assert_eq!(diag::owner(peer, local).unwrap(), us);
        assert_eq!(proc::owner(peer, local), us);
    }

    #[tokio::test]
    async fn a_caller_that_left_has_no_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let caller = TcpStream::connect(local).unwrap();
        let (_held, peer) = listener.accept().unwrap();
        let peer = PeerAddr::from_accept(peer);
        assert!(matches!(owner(peer, local).await, Owner::Known { .. }));
        drop(caller);
        assert!(matches!(owner(peer, local).await, Owner::Unknown));
    }
}
