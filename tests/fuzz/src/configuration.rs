//! The configuration: whatever an operator writes is either a configuration that keeps its promises or problems, each with
//! its place inside the text and a hint.

use std::net::IpAddr;

use doorward::config::place::Environment;
use doorward::config::{Config, ConfigError};
use doorward::origin::LocalRule;

/// More is only slower.
const TEXT_BYTES: usize = 8 * 1024;

/// Checks any text as a configuration.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(&bytes[..bytes.len().min(TEXT_BYTES)]) else { return };
    let environment = Environment { home: Some("/home/owner".into()), folder: "/srv".into(), ..Environment::default() };
    match Config::parse(text, Some("/srv/doorward.toml".into()), &environment) {
        Ok(config) => is_sound(&config),
        Err(ConfigError::Invalid(report)) => {
            assert!(!report.problems().is_empty(), "refused for nothing");
            for problem in report.problems() {
                let span = &problem.span;
                assert!(text.get(span.clone()).is_some(), "{span:?} is no place in the text: {:?}", problem.fault);
                let (line, column) = report.line_and_column(span.start);
                let shown = text.split('\n').nth(line - 1);
                assert!(shown.is_some_and(|shown| column <= shown.chars().count() + 1), "{line}:{column}");
            }
            let told = report.to_string();
            assert_eq!(told.matches("\nhint: ").count(), report.problems().len(), "{told}");
            assert!(!told.chars().any(|char| char.is_control() && char != '\n'), "{told:?}");
        }
        Err(other) => panic!("no text can cause this: {other}"),
    }
}

fn is_sound(config: &Config) {
    assert!(!config.listeners.is_empty() && config.state_dir.is_absolute(), "{config:?}");
    for listener in &config.listeners {
        assert!(!listener.bind.is_empty(), "{listener:?}");
        let loopback_alone = listener.bind.iter().all(|address| address.ip().is_loopback());
        let may_be_local = matches!(listener.origin.local, LocalRule::Loopback { .. });
        assert!(loopback_alone || !may_be_local, "local off loopback: {listener:?}");
        let everybody = ["1.1.1.1", "9.9.9.9", "200.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let trusted = &listener.origin.trusted_proxies;
        assert!(!everybody.iter().all(|ip| trusted.contains(*ip)), "everybody is a trusted proxy: {listener:?}");
    }
}
