//! The grammar as tables, and the walk over it.
#![cfg(test)]

use proptest::prelude::*;

use super::super::testing;
use super::*;
use crate::base::limits::FORWARDED_HOPS_MAX;
use crate::origin::ClientIpHeader;

#[test]
fn every_form_of_a_node_is_read() {
    for (line, expected) in [
        ("for=203.0.113.9", "203.0.113.9 None"),
        ("FOR=203.0.113.9", "203.0.113.9 None"),
        ("for=\"203.0.113.9\"", "203.0.113.9 None"),
        ("for=\"203.0.113.9:44321\"", "203.0.113.9 Some(44321)"),
        ("for=\"203.0.113.9:00080\"", "203.0.113.9 Some(80)"),
        ("for=\"203.0.113.9:0\"", "203.0.113.9 None"),
        ("for=\"203.0.113.9:_p0rt\"", "203.0.113.9 None"),
        ("for=\"203.0.113\\.9\"", "203.0.113.9 None"),
        ("for=\"[2001:DB8::9]\"", "2001:db8::9 None"),
        ("for=\"[2001:db8::9]:4711\"", "2001:db8::9 Some(4711)"),
        ("for=\"[2001:db8::9]:_a.b-c_d\"", "2001:db8::9 None"),
        ("for=\"[::ffff:203.0.113.9]:1\"", "203.0.113.9 Some(1)"),
        ("by=10.0.0.2;for=203.0.113.9;proto=https;host=\"a:1\"", "203.0.113.9 None"),
        (";;for=203.0.113.9;;secret=_x;", "203.0.113.9 None"),
        (" \t for=203.0.113.9 \t", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"a, for=6.6.6.6\"", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"a;for=6.6.6.6\"", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"\\\", for=6.6.6.6, x=\\\"\"", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"\\\\\"", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"=\"", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"\"", "203.0.113.9 None"),
        ("for=203.0.113.9;ext=\"\u{e9}\t\"", "203.0.113.9 None"),
    ] {
        match walk(&[line]).0 {
            Walk::Client { ip, port } => assert_eq!(format!("{ip} {port:?}"), expected, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn what_is_grammatical_and_names_no_address_is_nobody() {
    for line in [
        "",
        " ",
        ";",
        "for=unknown",
        "for=\"unknown:132\"",
        "for=_hidden",
        "for=\"_gazonk:_p0rt\"",
        "for=\"\"",
        "for=\"2001:db8::1\"",
        "for=\"[2001:db8::1]:\"",
        "for=\"[2001:db8::1\"",
        "for=\"[2001:db8::1]x\"",
        "for=\"[203.0.113.9]\"",
        "for=\"[fe80::1%eth0]\"",
        "for=\"203.0.113.9:\"",
        "for=\"203.0.113.9:65536\"",
        "for=\"203.0.113.9:000080\"",
        "for=\"203.0.113.9:+80\"",
        "for=\"203.0.113.9:_\"",
        "for=\"203.0.113.9:_a b\"",
        "for=\" 203.0.113.9\"",
        "for=\"010.0.0.1\"",
        "for=\"203.0.113.9, 6.6.6.6\"",
        "for=client.example",
        "by=203.0.113.9;host=127.0.0.1",
        "proto=https",
        "for=203.0.113.9,",
        "for=203.0.113.9, ,",
    ] {
        assert_eq!(walk(&["for=6.6.6.6", line]).0, Walk::Unreadable, "{line:?}");
    }
    let long = format!("for=\"{}203.0.113.9\"", "\\ ".repeat(FORWARDED_NODE_BYTES_MAX));
    assert_eq!(walk(&[&long]).0, Walk::Unreadable);
}

#[test]
fn a_line_that_breaks_the_grammar_makes_every_line_worthless() {
    let many: String = (0..=FORWARDED_PARAMETERS_MAX).map(|n| format!("p{n}=1;")).collect();
    for line in [
        "for",
        "for=",
        "=203.0.113.9",
        "for==203.0.113.9",
        "for =203.0.113.9",
        "for= 203.0.113.9",
        "for=203.0.113.9; proto=https",
        "for=203.0.113.9 ;proto=https",
        "for=203.0.113.9 for=6.6.6.6",
        "for=203.0.113.9;for=7.7.7.7",
        "for=203.0.113.9;For=203.0.113.9",
        "for=203.0.113.9;x=1;X=2",
        "for=[2001:db8::1]",
        "for=203.0.113.9:8080",
        "203.0.113.9",
        "for=\"203.0.113.9\"junk",
        "for=\"203.0.113.9",
        "for=203.0.113.9\"",
        "\"",
        "for=6.6.6.6;x=\"",
        "for=6.6.6.6;x=\", for=203.0.113.9",
        "for=6.6.6.6;x=\"\\\", for=203.0.113.9",
        "for=203.0.113.9/8",
        "for='203.0.113.9', {",
        &many,
    ] {
        for lines in [&[line] as &[&str], &["for=198.51.100.1", line], &[line, "for=198.51.100.1"]] {
            assert_eq!(walk(lines), (Walk::Ungrammatical, vec![]), "{lines:?}");
        }
    }
    assert!(!is_list(b"for=\"203.0.113.9\x0b\""));
    assert!(!is_list(b"for=\"a\\\x7f\""));
}

#[test]
fn the_walk_ends_at_the_first_hop_that_nobody_vouches_for() {
    let client = |ip: &str| Walk::Client { ip: ip.parse().unwrap(), port: None };
    let cases: [(&[&str], Walk, &[&str]); 7] = [
        (&[], Walk::Absent, &[]),
        (&["for=6.6.6.6, for=203.0.113.9, for=10.0.0.7;by=10.0.0.2"], client("203.0.113.9"), &["10.0.0.7"]),
        (&["for=6.6.6.6", "for=203.0.113.9", "for=\"10.0.0.7:1\""], client("203.0.113.9"), &["10.0.0.7"]),
        (&["for=6.6.6.6,, for=10.0.0.7"], Walk::Unreadable, &["10.0.0.7"]),
        (&["for=\"x y\", for=203.0.113.9"], client("203.0.113.9"), &[]),
        (&["for=10.0.0.9", "for=10.0.0.8"], Walk::AllTrusted, &["10.0.0.8", "10.0.0.9"]),
        (&["for=6.6.6.6, for=127.0.0.1"], Walk::NotPossible, &[]),
    ];
    for (lines, expected, via) in cases {
        let via: Vec<IpAddr> = via.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(walk(lines), (expected, via), "{lines:?}");
    }
    let chain = |trusted: usize| format!("for=203.0.113.9{}", ",for=10.0.0.7".repeat(trusted));
    assert!(matches!(walk(&[&chain(FORWARDED_HOPS_MAX - 1)]).0, Walk::Client { .. }));
    assert_eq!(walk(&[&chain(FORWARDED_HOPS_MAX)]).0, Walk::TooMany);
}

#[test]
fn a_witness_is_told_each_element_or_the_line_that_cannot_be_split() {
    let told = |lines| testing::witnessed(&ClientIpHeader::Forwarded, "forwarded", lines).2;
    assert_eq!(
        told(&["for=6.6.6.6", "for=7.7.7.7, for=203.0.113.9;x=\",\" , for=10.0.0.7"]),
        ["line 0", "0 for=10.0.0.7 Trusted", "1 for=203.0.113.9;x=\",\" Client"]
    );
    assert_eq!(told(&["for=\"", "for=203.0.113.9"]), ["line 1", "0 for=\" Ungrammatical"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_element_is_the_same_read_from_either_side(
        elements in proptest::collection::vec(
            "((for|by|x)=([a-z0-9._]{1,8}|\"([a-z,;= ]|\\\\[ -~])*\"))?(;y=\"([,;=]|\\\\[ -~])*\")?", 1..5
        ),
    ) {
        let list = elements.join(", ");
        prop_assert!(is_list(list.as_bytes()));
        let mut left = Some(list.as_bytes());
        let mut found = Vec::new();
        while let Some(text) = left {
            let element;
            (left, element) = split_last(text);
            found.push(String::from_utf8(trimmed(element).to_vec()).unwrap());
        }
        found.reverse();
        prop_assert_eq!(found, elements);
    }

    #[test]
    fn what_is_written_is_read(bits in any::<u128>(), port in proptest::option::of(1_u16..), escaped in any::<bool>()) {
        let ip = IpAddr::V6(bits.into()).to_canonical();
        let name = match ip { IpAddr::V4(ip) => ip.to_string(), IpAddr::V6(ip) => format!("[{ip}]") };
        let node = port.map_or(name.clone(), |port| format!("{name}:{port}"));
        let node: String = if escaped { node.chars().flat_map(|char| ['\\', char]).collect() } else { node };
        prop_assert_eq!(node_of(format!("proto=https;for=\"{node}\"").as_bytes()), Some((ip, port)));
    }
}

fn walk(lines: &[&str]) -> (Walk, Vec<IpAddr>) {
    testing::walk(&ClientIpHeader::Forwarded, "forwarded", lines)
}
