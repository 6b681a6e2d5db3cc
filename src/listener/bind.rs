//! Binding: one address at a time, first without `SO_REUSEPORT`, so that a taken port or a second
//! instance is noticed; then one more socket for each further event loop.
//!
//! Why the first socket is kept: it holds the address while the others join it. Whoever else wants the
//! address exclusively, another instance included, is refused from the first `listen` on; there is no
//! moment in between.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::owner::{Holder, holder};
use crate::base::limits::ACCEPT_BACKLOG;

/// One address, listening: a socket for each event loop.
#[derive(Debug)]
pub struct Bound {
    /// The address as the kernel knows it; a port 0 has become a real one.
    pub address: SocketAddr,
    /// As many as there are event loops, the same for all addresses.
    pub sockets: Vec<TcpListener>,
}

/// An address could not be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// Ports below 1024 need a capability.
    #[error("not allowed to listen on {address}")]
    Denied {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else the kernel said.
    #[error("cannot listen on {address}: {cause}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Somebody listens there.
    #[error("{address} is taken{}", by(.holder.as_ref()))]
    Taken {
        /// The address.
        address: SocketAddr,
        /// Who it is, where /proc tells.
        holder: Option<Holder>,
    },
    /// No interface of this machine has the address.
    #[error("this machine does not have the address {address}")]
    Unavailable {
        /// The address.
        address: SocketAddr,
    },
}

impl BindError {
    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Denied { address } => format!(
                "ports below 1024 need a right: `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, or another port than {}",
                address.port()
            ),
            Self::Failed { .. } => "see that the address is one of this machine (ip address)".to_owned(),
            Self::Taken { .. } => "end that process, or name another address in `bind`. If it is an OpenClaw gateway: \
                 doorward takes its place at this port, so give the gateway another one first \
                 (`openclaw config set gateway.port 18790`)"
                .to_owned(),
            Self::Unavailable { .. } => {
                "`ip address` lists the addresses this machine has; name one of them in `bind`".to_owned()
            }
        }
    }
}

/// Binds all `addresses`, or none: `sockets` listening sockets for each.
///
/// # Errors
/// [`BindError`] for the first address that cannot be had.
pub fn bind(addresses: &[SocketAddr], sockets: usize) -> Result<Vec<Bound>, BindError> {
    let held = addresses.iter().map(|address| hold(*address)).collect::<Result<Vec<_>, _>>()?;
    held.into_iter().zip(addresses).map(|(first, address)| share(first, *address, sockets)).collect()
}

/// Says which of `addresses` could not be had now. Nothing listens meanwhile, so no caller is let down.
pub fn judge(addresses: &[SocketAddr]) -> Vec<BindError> {
    let free = |address: &SocketAddr| socket(*address)?.bind(&(*address).into());
    let taken = |address: &SocketAddr| free(address).err().map(|cause| refused(*address, cause));
    addresses.iter().filter_map(taken).collect()
}

/// Takes `address` for us alone.
fn hold(address: SocketAddr) -> Result<Socket, BindError> {
    let held = || {
        let socket = socket(address)?;
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_BACKLOG)?;
        Ok(socket)
    };
    held().map_err(|cause| refused(address, cause))
}

/// Lets further sockets join the one that holds the `configured` address, whose port 0 has become a real one.
fn share(first: Socket, configured: SocketAddr, sockets: usize) -> Result<Bound, BindError> {
    let unknown = |cause| BindError::Failed { address: configured, cause };
    let address = first.local_addr().map_err(unknown)?.as_socket();
    let address = address.ok_or_else(|| unknown(io::ErrorKind::InvalidData.into()))?;
    let join = || {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_BACKLOG)?;
        Ok(socket.into())
    };
    let shared = || {
        let more = sockets.saturating_sub(1);
        if more > 0 {
            first.set_reuse_port(true)?;
        }
        let others = (0..more).map(|_| join()).collect::<io::Result<Vec<TcpListener>>>()?;
        let mut all = vec![TcpListener::from(first)];
        all.extend(others);
        Ok(all)
    };
    Ok(Bound { address, sockets: shared().map_err(|cause| refused(address, cause))? })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Only TIME_WAIT is passed over by this; a listening socket still refuses us.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // One socket, one family: `[::]` never answers for 0.0.0.0 by accident.
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn refused(address: SocketAddr, cause: io::Error) -> BindError {
    match cause.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address, holder: holder(address) },
        io::ErrorKind::AddrNotAvailable => BindError::Unavailable { address },
        io::ErrorKind::PermissionDenied => BindError::Denied { address },
        _ => BindError::Failed { address, cause },
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn every_event_loop_has_its_socket_on_the_same_port() {
        let bound = bind(&[ANY.parse().unwrap(), "[::1]:0".parse().unwrap()], 3).unwrap();
        for bound in &bound {
            assert_eq!(bound.sockets.len(), 3);
            assert_ne!(bound.address.port(), 0);
            assert!(bound.sockets.iter().all(|socket| socket.local_addr().unwrap() == bound.address));
        }
    }

    #[test]
    fn a_second_instance_is_noticed_in_spite_of_reuseport() {
        let first = bind(&[ANY.parse().unwrap()], 2).unwrap();
        let address = first[0].address;
        match bind(&[address], 2).unwrap_err() {
            BindError::Taken { address: taken, holder: Some(holder) } => {
                assert_eq!(taken, address);
                assert_eq!(holder.process, Some(std::process::id()));
                assert!(holder.name.is_some());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_judgement_names_every_address_that_cannot_be_had_and_takes_none() {
        let free = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
        let held = bind(&[ANY.parse().unwrap()], 1).unwrap();
        let faults = judge(&[free, held[0].address, "192.0.2.1:1".parse().unwrap()]);
        assert!(
            matches!(faults[..], [BindError::Taken { holder: Some(_), .. }, BindError::Unavailable { .. }]),
            "{faults:?}"
        );
        assert!(judge(&[free]).is_empty());
        assert!(TcpListener::bind(free).is_ok());
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let address = "192.0.2.1:443".parse().unwrap();
        for (error, act) in [
            (BindError::Denied { address }, "another port than 443"),
            (BindError::Failed { address, cause: io::ErrorKind::Other.into() }, "ip address"),
            (BindError::Taken { address, holder: None }, "openclaw config set gateway.port"),
            (BindError::Unavailable { address }, "`bind`"),
        ] {
            assert!(error.hint().contains(act), "{error}: {}", error.hint());
        }
    }

    #[test]
    fn a_taken_wildcard_is_noticed_too() {
        let other = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], other.local_addr().unwrap().port()));
        assert!(matches!(bind(&[address], 1), Err(BindError::Taken { holder: Some(_), .. })));
    }

    #[test]
    fn all_addresses_or_none() {
        let other = TcpListener::bind(ANY).unwrap();
        let free = { TcpListener::bind(ANY).unwrap().local_addr().unwrap() };
        assert!(bind(&[free, other.local_addr().unwrap()], 1).is_err());
        assert!(TcpListener::bind(free).is_ok(), "the free one was let go");
    }

    #[test]
    fn an_address_of_another_machine_is_unavailable() {
        let error = bind(&["192.0.2.1:0".parse().unwrap()], 1).unwrap_err();
        assert!(matches!(error, BindError::Unavailable { .. }), "{error:?}");
    }

    #[test]
    fn a_socket_that_cannot_say_its_address_is_shared_with_nobody() {
        let nameless = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let configured: SocketAddr = ANY.parse().unwrap();
        match share(nameless, configured, 2).unwrap_err() {
            BindError::Failed { address, .. } => assert_eq!(address, configured),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn connections_reach_every_socket() {
        let bound = bind(&[ANY.parse().unwrap()], 2).unwrap().remove(0);
        let callers: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(bound.address).unwrap()).collect();
        let taken = |socket: &TcpListener| std::iter::from_fn(|| socket.accept().ok()).count();
        let counts: Vec<_> = bound.sockets.iter().map(taken).collect();
        assert_eq!(counts.iter().sum::<usize>(), callers.len());
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}
