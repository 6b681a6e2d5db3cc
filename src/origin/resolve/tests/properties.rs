//! What no text of a caller can do, in any of the headers.
#![cfg(test)]

use proptest::prelude::*;

use super::*;

const FORWARDED: &str = "forwarded";
/// What the proxies wrote: the client's element and trusted hops, with and without quotes.
const OWN: &str = "(for|For)=(203\\.0\\.113\\.9|\"203\\.0\\.113\\.9\")(;proto=https|;ext=\"[,;= ]{0,4}\")?\
                   (, for=10\\.0\\.0\\.[1-9]){0,4}";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// RFC 7239's lists: a further element, whatever it names, is never reached.
    #[test]
    fn no_element_added_on_the_left_of_forwarded_changes_the_client(
        added in proptest::collection::vec("((for|by|x)=([a-z0-9._]{1,12}|\"([!#-\\[\\]-~ ,;]|\\\\[ -~])*\")?)?", 0..6),
        lines in 0_usize..3,
        own in OWN,
    ) {
        let added: Vec<_> = added.iter().filter(|element| !element.ends_with('=')).map(String::as_str).collect();
        let (apart, glued) = added.split_at(lines.min(added.len()));
        let case = apart.iter().fold(forwarded(), |case, line| case.header(FORWARDED, line));
        let forged = case.header(FORWARDED, &[glued, &[own.as_str()]].concat().join(", ")).resolve();
        let plain = forwarded().header(FORWARDED, &own).resolve();
        prop_assert_eq!(shown(&plain), "203.0.113.9 None public forwarded");
        prop_assert_eq!(shown(&forged), shown(&plain));
        prop_assert_eq!(forged.via, plain.via);
    }

    /// Text that breaks the grammar can make its own caller nobody, and never somebody else.
    #[test]
    fn no_text_added_on_the_left_of_forwarded_names_another_client(
        added in proptest::collection::vec("([ -~\\t]|for=6\\.6\\.6\\.6|[\",;=\\\\]){0,20}", 0..4),
        glued in "([ -~\\t]|for=6\\.6\\.6\\.6|[\",;=\\\\]){0,20},",
        own in OWN,
    ) {
        let case = added.iter().fold(forwarded(), |case, line| case.header(FORWARDED, line));
        let forged = case.header(FORWARDED, &format!("{glued}{own}")).resolve();
        let shown = shown(&forged);
        let nobody = forged.trail.steps().any(|step| step == Step::HeaderUngrammatical);
        prop_assert!(shown == "203.0.113.9 None public forwarded" || nobody, "{}", shown);
        prop_assert_eq!(nobody, forged.client.is_none());
    }

    /// Whatever the one header is, and whatever stands in it, its address is no proof of being here.
    #[test]
    fn no_value_of_the_one_header_makes_anyone_local(
        header in prop_oneof![Just(X_FORWARDED_FOR), Just(FORWARDED), Just("x-real-ip"), Just("my-client")],
        value in prop_oneof![
            "(127\\.0\\.0\\.1|::1|::ffff:127\\.0\\.0\\.1|localhost)(, 10\\.0\\.0\\.[1-9]){0,2}",
            "for=\"?(127\\.0\\.0\\.1|\\[::1\\]|localhost)(:[0-9]{1,5})?\"?(, for=10\\.0\\.0\\.[1-9]){0,2}",
            "[ -~]{0,40}",
        ],
        peer in prop_oneof![Just("10.0.0.2"), Just("127.0.0.1"), Just("203.0.113.9")],
    ) {
        let mut case = call(peer).at_the_machine().header(header, &value);
        case.settings.client_ip_header = ClientIpHeader::parse(header).unwrap();
        case.settings.trusted_proxies = Ranges::parse(&["10.0.0.0/24", "127.0.0.0/16"], Width::Narrow).unwrap();
        let origin = case.resolve();
        prop_assert!(!origin.is_local() && origin.class != Class::Local, "{:?}", origin);
        prop_assert!(origin.client.is_none_or(|client| !client.ip().is_loopback()), "{:?}", origin);
    }
}

fn forwarded() -> Call {
    let mut case = call("10.0.0.2");
    case.settings.client_ip_header = ClientIpHeader::Forwarded;
    case
}
