//! This machine's links with their kinds and addresses, by netlink: sysfs shows another network than ours in a namespace.

use std::io;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::base::limits::{LINKS_MAX, NETLINK_ANSWERS_MAX};
use crate::origin::link::{Link, LinkKind};

/// The links, loopback among them.
///
/// # Errors
/// When the kernel does not tell, or not readably; a part of the truth is none.
pub(super) fn links() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |answer| {
        if let RouteNetlinkMessage::NewLink(link) = answer {
            links.push((link.header.index, described(&link)));
        }
    })?;
    dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |answer| {
        if let RouteNetlinkMessage::NewAddress(message) = answer
            && let Some((_, link)) = links.iter_mut().find(|(index, _)| *index == message.header.index)
        {
            link.addresses.extend(address(&message));
        }
    })?;
    told_apart(links)
}

fn told_apart(links: Vec<(u32, Link)>) -> io::Result<Vec<Link>> {
    if links.len() > LINKS_MAX {
        return Err(io::Error::other(format!("more than {LINKS_MAX} links")));
    }
    Ok(links.into_iter().map(|(_, link)| link).collect())
}

fn described(message: &LinkMessage) -> Link {
    let (mut name, mut kind) = (String::new(), LinkKind::Other);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(own) => name.clone_from(own),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(InfoKind::Bridge) => kind = LinkKind::Bridge,
                        LinkInfo::Kind(InfoKind::Veth) => kind = LinkKind::Veth,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Link { name, kind, addresses: Vec::new() }
}

/// Our own address: on a link with a peer, `Address` is the other end.
fn address(message: &AddressMessage) -> Option<IpNet> {
    let (mut own, mut other) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => own = Some(*ip),
            AddressAttribute::Address(ip) => other = Some(*ip),
            _ => {}
        }
    }
    IpNet::new(own.or(other)?, message.header.prefix_len).ok()
}

/// Asks for everything of a kind and hands each answer over.
fn dump(question: RouteNetlinkMessage, each: impl FnMut(RouteNetlinkMessage)) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    // Each part of the answer is queued by the time it is asked for: waiting is never needed.
    socket.set_non_blocking(true)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, question.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    read(|| socket.recv_from_full().map(|(answer, _)| answer), each)
}

/// Reads an answer to its end, a piece at a time.
fn read(mut next: impl FnMut() -> io::Result<Vec<u8>>, mut each: impl FnMut(RouteNetlinkMessage)) -> io::Result<()> {
    for _ in 0..NETLINK_ANSWERS_MAX {
        let answer = next()?;
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            let part = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            let length = usize::try_from(part.header.length).map_err(io::Error::other)?.next_multiple_of(4);
            match part.payload {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(inner) => each(inner),
                _ => {}
            }
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
    }
    Err(io::Error::other("an answer without end"))
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DoneMessage;

    use super::*;

    #[test]
    fn more_links_than_may_be_are_not_told_in_part() {
        let link = Link { name: "eth0".to_owned(), kind: LinkKind::Other, addresses: Vec::new() };
        let mut links = vec![(1, link.clone()); LINKS_MAX];
        assert_eq!(told_apart(links.clone()).unwrap().len(), LINKS_MAX);
        links.push((1, link));
        assert!(told_apart(links).unwrap_err().to_string().contains("4096 links"));
    }

    #[test]
    fn an_answer_without_end_is_no_answer() {
        let link = || bytes_of(NetlinkPayload::from(RouteNetlinkMessage::NewLink(LinkMessage::default())));
        for (links, is_whole) in [(NETLINK_ANSWERS_MAX - 1, true), (NETLINK_ANSWERS_MAX, false)] {
            let (mut asked, mut told) = (0, 0);
            let next = || {
                asked += 1;
                let is_link = asked <= links;
                Ok(if is_link { link() } else { bytes_of(NetlinkPayload::Done(DoneMessage::default())) })
            };
            assert_eq!(read(next, |_| told += 1).is_ok(), is_whole, "{links}");
            assert_eq!((asked, told), (NETLINK_ANSWERS_MAX, links));
        }
    }

    fn bytes_of(payload: NetlinkPayload<RouteNetlinkMessage>) -> Vec<u8> {
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }
}
