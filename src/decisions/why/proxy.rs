//! What to do about a proxy that names nobody, or whose word does not count: the sentences of the log and of `explain`.
//!
//! Promise: nobody is told to trust an address that hides strangers, and no sentence is longer than a line.

use std::net::IpAddr;

use crate::listener::Settings;
use crate::origin::Class;
use crate::origin::ClientIpHeader;
use crate::origin::Network;
use crate::origin::trail::Step;

/// What to do about `ip` of this `class`, which may be a proxy and is not believed.
pub fn trust(ip: IpAddr, class: Class, listener: &Settings) -> String {
    let (name, rules) = (&listener.name, &listener.origin);
    if matches!(class, Class::Nat | Class::Local) {
        return format!(
            "whoever comes through {ip} looks like it, so it cannot be trusted: let your proxy reach [[listener]] \
             \"{name}\" from an address of its own (a shared container network, or the host's), and trust that"
        );
    }
    let add = format!("add it to trusted_proxies in [[listener]] \"{name}\": \"{ip}\"");
    let read = "name the header that it sends in client_ip_header";
    match (rules.client_ip_header == ClientIpHeader::None, rules.trusted_proxies.contains(ip)) {
        (false, _) => format!("only if {ip} is a proxy of yours, {add}"),
        (true, false) => format!("only if {ip} is a proxy of yours, {read}, and {add}"),
        (true, true) => format!("no forwarding header is read: {read} of [[listener]] \"{name}\""),
    }
}

/// What to do about `ip`, which is not among the senders of PROXY headers, or hides strangers on this `network`.
pub fn admit(ip: IpAddr, listener: &Settings, network: &Network) -> String {
    if ip.is_loopback() || !network.is_gateway(ip) && network.masks_in(ip.into()).is_none() {
        let name = &listener.name;
        return format!(
            "only if {ip} is a proxy of yours, add it to proxy_protocol_from in [[listener]] \"{name}\": \"{ip}\""
        );
    }
    trust(ip, Class::Nat, listener)
}

/// What to do about a trusted `proxy` that named nobody, if this `step` says that it did not.
pub fn mend(step: Step, proxy: IpAddr, listener: &Settings) -> Option<String> {
    let (name, header) = (&listener.name, listener.origin.client_ip_header.as_str());
    Some(match step {
        Step::ChainWithoutClient => format!(
            "{proxy} names only addresses in trusted_proxies of [[listener]] \"{name}\", and a caller from one of those is \
             nobody: narrow that list to your proxies"
        ),
        Step::HeaderAbsent => format!(
            "let the proxy at {proxy} send {header}{}, or name the header that it does send in client_ip_header of \
             [[listener]] \"{name}\", or take {proxy} out of trusted_proxies there",
            example(&listener.origin.client_ip_header)
        ),
        Step::HopsTooMany => {
            format!("{proxy} sends more trusted hops in {header} than are walked: look for a circle among your proxies")
        }
        Step::HeaderRepeated | Step::HeaderUngrammatical | Step::HopNotPossible | Step::HopUnreadable => format!(
            "let the proxy at {proxy} write {header} anew, with the address of its own caller, and not keep what callers \
             send{}",
            example(&listener.origin.client_ip_header)
        ),
        _ => return None,
    })
}

/// How nginx writes this header; it cannot write RFC 7239's well.
fn example(header: &ClientIpHeader) -> String {
    match header {
        ClientIpHeader::Forwarded | ClientIpHeader::None => String::new(),
        ClientIpHeader::Single(_) | ClientIpHeader::XForwardedFor => {
            format!(" (nginx: proxy_set_header {} $remote_addr;)", header.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Protocol, Serve};
    use crate::net::range::{Ranges, Width};
    use crate::origin;

    #[test]
    fn who_may_be_a_proxy_is_trusted_by_one_line_and_who_hides_strangers_is_not() {
        let (private, public) = ("10.0.0.3", "203.0.113.9");
        for (ip, class, header, expected) in [
            (private, Class::Private, "forwarded", "only if 10.0.0.3 is a proxy of yours, add it to trusted_proxies"),
            (private, Class::Container, "x-real-ip", "in [[listener]] \"web\": \"10.0.0.3\""),
            (public, Class::Public, "x-forwarded-for", "only if 203.0.113.9 is a proxy of yours, add it"),
            (private, Class::Private, "none", "yours, name the header that it sends in client_ip_header, and add it"),
            ("10.0.0.2", Class::Private, "none", "is read: name the header that it sends in client_ip_header of"),
            (private, Class::Nat, "x-forwarded-for", "10.0.0.3 looks like it, so it cannot be trusted"),
            (private, Class::Local, "none", "10.0.0.3 looks like it, so it cannot be trusted"),
        ] {
            let told = trust(ip.parse().unwrap(), class, &listener(header));
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains('\n'), "{told:?}");
            let named = told.contains("add it to trusted_proxies");
            assert!(!(named && matches!(class, Class::Nat | Class::Local)), "{told}");
        }
    }

    #[test]
    fn each_way_to_name_nobody_is_mended_in_the_header_that_is_read() {
        let anew = "write x-real-ip anew, with the address of its own caller";
        for (step, header, expected) in [
            (Step::HeaderAbsent, "x-real-ip", "send x-real-ip (nginx: proxy_set_header x-real-ip $remote_addr;), or"),
            (Step::HeaderAbsent, "forwarded", "send forwarded, or name the header that it does send"),
            (Step::HeaderRepeated, "x-real-ip", anew),
            (Step::HeaderUngrammatical, "forwarded", "write forwarded anew"),
            (Step::HopNotPossible, "x-real-ip", anew),
            (Step::HopUnreadable, "x-forwarded-for", "send (nginx: proxy_set_header x-forwarded-for $remote_addr;)"),
            (Step::ChainWithoutClient, "x-forwarded-for", "narrow that list to your proxies"),
            (Step::HopsTooMany, "forwarded", "more trusted hops in forwarded than are walked"),
        ] {
            let told = mend(step, "10.0.0.2".parse().unwrap(), &listener(header)).unwrap();
            assert!(told.contains(expected) && told.contains("10.0.0.2") && !told.contains('\n'), "{told}");
            assert_eq!(told.contains("nginx"), header != "forwarded" && told.contains(" send"), "{told}");
        }
        for step in [Step::HopIsClient, Step::HeaderUntrusted, Step::HeaderNotRead, Step::PeerIsClient] {
            assert_eq!(mend(step, "10.0.0.2".parse().unwrap(), &listener("forwarded")), None);
        }
    }

    #[test]
    fn a_sender_of_proxy_headers_is_listed_by_one_line_unless_it_hides_strangers() {
        let (joined, web) = (origin::testing::joined(), listener("none"));
        let told = |ip: &str| admit(ip.parse().unwrap(), &web, &joined);
        assert!(told("10.0.0.3").contains("add it to proxy_protocol_from in [[listener]] \"web\": \"10.0.0.3\""));
        assert!(told(origin::testing::GATEWAY).contains("it cannot be trusted"));
    }

    fn listener(header: &str) -> Settings {
        let trusted_proxies = Ranges::parse(&["10.0.0.2"], Width::Narrow).unwrap();
        let client_ip_header = ClientIpHeader::parse(header).unwrap();
        let (name, bind) = ("web".to_owned(), Vec::new());
        let origin = origin::Settings { client_ip_header, trusted_proxies, ..Default::default() };
        Settings { name, bind, protocol: Protocol::Http, serve: Serve::All, origin }
    }
}
