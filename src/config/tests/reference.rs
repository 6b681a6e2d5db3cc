//! `conf/reference.toml` shows every key, and says what holds without it.

use super::*;

#[test]
fn the_reference_shows_every_key_and_yields_the_defaults() {
    let text = include_str!("../../../conf/reference.toml");
    assert_eq!(format!("{:#?}", parse(text).unwrap()), format!("{:#?}", parse("").unwrap()));
    for keys in [
        &file::KEYS,
        &listeners::KEYS,
        &rooms::EDGE,
        &rooms::CERTIFICATES,
        &rooms::CERTIFICATE_FILE,
        &rooms::CORE,
        &crate::config::upstream::KEYS,
        &crate::config::upstream::OPEN,
        &crate::config::pairing::PAIRING,
        &crate::config::pairing::RULE,
        &crate::config::pairing::WHEN,
        &crate::config::pairing::WHO,
        &crate::config::pairing::TIME,
        &crate::config::pairing::THEN,
        &crate::config::identities::KEYS,
        &rooms::TAILSCALE,
        &rooms::LOG,
        &crate::config::admin::KEYS,
    ] {
        for key in keys.known {
            let shown = |line: &str| {
                let line = line.trim_start_matches(['#', ' ']);
                line.starts_with(&format!("{key} = ")) || line.contains(&format!("{key}]"))
            };
            assert!(text.lines().any(shown), "conf/reference.toml does not show {key}");
        }
    }
    // What stands in it as a comment is valid too.
    let all: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("#").map(|line| line.strip_prefix("     ").unwrap_or(line)).or(Some(line)))
        .filter(|line| !line.starts_with(' ') && !["names = []", "origins = []"].contains(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&all).unwrap();
    assert_eq!(config.edge.names.len(), 2);
    assert_eq!(config.certificates.files.len(), 1);
    assert_eq!(config.core.token_file.as_deref(), Some(Path::new("/etc/doorward/token")));
}
