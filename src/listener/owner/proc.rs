//! `/proc/net/tcp` and its kin: the slower way to ask the kernel, and the way to name who holds a port.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::base::limits::{LABEL_CHARS_MAX, PROC_DESCRIPTORS_MAX, PROC_SOCKETS_MAX};
use crate::base::printable::printable;

use super::Holder;

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// One line of the table.
#[derive(Debug, Eq, PartialEq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    uid: u32,
    inode: u64,
}

/// The uid that owns the established socket from `caller` to `called`.
pub(super) fn owner(caller: SocketAddr, called: SocketAddr) -> Option<u32> {
    let same = |row: &Row| row.local == caller && row.remote == called && row.inode != 0;
    rows(ESTABLISHED).find(same).map(|row| row.uid)
}

/// Who listens on `address`, or on its port on all addresses.
pub(in crate::listener) fn holder(address: SocketAddr) -> Option<Holder> {
    let covers = |row: &Row| {
        let ip = row.local.ip();
        row.local.port() == address.port()
            && (ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified())
    };
    let row = rows(LISTEN).find(covers)?;
    let process = process_with(row.inode);
    let name = process.and_then(|process| fs::read_to_string(format!("/proc/{process}/comm")).ok());
    Some(Holder { process, name: name.map(|name| printable(name.trim_end(), LABEL_CHARS_MAX)), uid: row.uid })
}

fn rows(state: &'static str) -> impl Iterator<Item = Row> {
    let tables = TABLES.into_iter().filter_map(|path| fs::File::open(path).ok());
    let lines = tables.flat_map(|table| BufReader::new(table).lines().map_while(Result::ok).take(PROC_SOCKETS_MAX));
    lines.filter_map(move |line| read(&line, state))
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`
fn read(line: &str, state: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (words.next()?, words.next()?);
    if words.next()? != state {
        return None;
    }
    let mut words = words.skip(3);
    let (uid, inode) = (words.next()?, words.nth(1)?);
    Some(Row { local: end(local)?, remote: end(remote)?, uid: uid.parse().ok()?, inode: inode.parse().ok()? })
}

/// `0100007F:1F90`: the address as 32-bit words of this machine's byte order, the port in network order.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let digits = address.get(index.checked_mul(8)?..index.checked_add(1)?.checked_mul(8)?)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The process that holds the socket with this inode, as far as we may look.
fn process_with(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let numbered = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |process: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().filter_map(Result::ok);
        let mut links = descriptors.take(PROC_DESCRIPTORS_MAX).filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| link == Path::new(&wanted))
    };
    let mut numbered = numbered;
    numbered.find(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_the_kernel_writes_them() {
        let line =
            "   1: 0100007F:1F90 0A00A8C0:C350 01 00000000:00000000 00:00000000 00000000  1000        0 54321 1 0";
        let row = read(line, ESTABLISHED).unwrap();
        assert_eq!(row.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(row.remote, "192.168.0.10:50000".parse().unwrap());
        assert_eq!((row.uid, row.inode), (1000, 54321));
        assert_eq!(read(line, LISTEN), None);

        let line =
            "  0: 00000000000000000000000001000000:0050 0000000000000000FFFF00000100007F:0051 01 0:0 0:0 0 7 0 9";
        let row = read(line, ESTABLISHED).unwrap();
        assert_eq!((row.local, row.remote), ("[::1]:80".parse().unwrap(), "127.0.0.1:81".parse().unwrap()));
        for bad in ["", "sl local_address rem_address st", "1: x:y z:w 01 0 0 0 0 0 0", "1: 01:1 01:1 01 0 0 0 0 0 0"] {
            assert_eq!(read(bad, ESTABLISHED), None, "{bad}");
        }
    }
}
