//! `sock_diag`: one question, one answer, microseconds.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_ESTABLISHED};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::base::limits::SOCKET_ANSWER_BYTES_MAX;

/// The kernel takes a cookie of ones as "any".
const ANY_COOKIE: [u8; 8] = [0xff; 8];

/// The uid that owns the established socket from `caller` to `called`; `None` if there is none.
///
/// # Errors
/// When this kernel cannot be asked.
pub(super) fn owner(caller: SocketAddr, called: SocketAddr) -> io::Result<Option<u32>> {
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    // The answer is queued before `send` returns, so waiting is never needed.
    socket.set_non_blocking(true)?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    socket.send(&question(caller, called), 0)?;
    let mut answer = Vec::with_capacity(SOCKET_ANSWER_BYTES_MAX);
    socket.recv(&mut answer, 0)?;
    let message = NetlinkMessage::<SockDiagMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match message.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => Ok(uid(&found, caller, called)),
        NetlinkPayload::Error(error) => match error.to_io() {
            absent if absent.kind() == io::ErrorKind::NotFound => Ok(None),
            other => Err(other),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn question(caller: SocketAddr, called: SocketAddr) -> Vec<u8> {
    let request = InetRequest {
        family: if caller.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::ESTABLISHED,
        socket_id: SocketId {
            source_port: caller.port(),
            destination_port: called.port(),
            source_address: caller.ip(),
            destination_address: called.ip(),
            interface_id: 0,
            cookie: ANY_COOKIE,
        },
    };
    let mut header = NetlinkHeader::default();
    // No dump: an exact look-up of one socket.
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The look-up falls back to a listening socket on the port, and finds sockets that nobody holds any
/// more: neither may speak for the caller.
fn uid(found: &InetResponse, caller: SocketAddr, called: SocketAddr) -> Option<u32> {
    let header = &found.header;
    let id = &header.socket_id;
    let end = |ip: IpAddr, port: u16| SocketAddr::new(ip.to_canonical(), port);
    let same =
        end(id.source_address, id.source_port) == caller && end(id.destination_address, id.destination_port) == called;
    (same && header.state == TCP_ESTABLISHED && header.inode != 0).then_some(header.uid)
}
