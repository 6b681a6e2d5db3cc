//! What is suggested for a gateway's settings is a configuration, whatever they say.

use std::fs;

use super::super::Form;
use super::*;
use crate::base::secret::Fingerprint;
use crate::config::place::Environment;
use crate::import::suggestion;
use crate::pairing::invite::{Invite, InviteId, usual_scopes};
use crate::pairing::step::Change;

#[test]
fn whatever_the_settings_say_what_is_suggested_is_a_configuration_that_trusts_no_mistake() {
    let environment = Environment { home: Some("/h".into()), folder: "/srv".into(), ..Environment::default() };
    for (gateway, has, lacks) in [
        ("", &["127.0.0.1:18789"][..], &["lan", "origins", "proxied"][..]),
        ("port: 8443, bind: 'lan'", &["127.0.0.1:8443", "0.0.0.0:18443", "lan_names = true"], &[]),
        (
            "port: 65535, trustedProxies: ['127.0.0.1']",
            &["127.0.0.1:18789", "trusted_proxies = [\"127.0.0.1\"]"],
            &["0.0.0.0"],
        ),
        (
            "port: 8442, bind: 'lan', trustedProxies: ['10.77.0.9']",
            &["127.0.0.1:8442", "0.0.0.0:8443", "0.0.0.0:8444"],
            &[],
        ),
        ("port: 0", &["127.0.0.1:18789"], &[]),
        ("bind: 'custom', customBindHost: '10.77.0.1'", &["\"10.77.0.1:8443\""], &["0.0.0.0"]),
        ("bind: 'custom', customBindHost: '0.0.0.0'", &["0.0.0.0:8443"], &[]),
        ("bind: 'custom', customBindHost: 'evil\"]\\n[core]'", &[], &["evil"]),
        ("bind: 'tailnet'", &["#whois = true"], &["0.0.0.0"]),
        (
            "trustedProxies: ['10.77.0.9', '172.16.0.0/12', '0.0.0.0/0', 'x']",
            &["[\"10.77.0.9\"]"],
            &["172.16", "0.0.0.0/0"],
        ),
        (
            "controlUi: {allowedOrigins: ['*', 'https://claw.example.com', 'https://[fd00::7]:8443', 'http://10.0.0.5']}",
            &["names = [\"claw.example.com\", \"[fd00::7]\", \"10.0.0.5\"]", "origins = [\"https://claw.example.com\""],
            &["*", "http://10"],
        ),
        ("tls: {enabled: true, certPath: '/a\\n[core]\\nid = \"x\"', keyPath: '/b'}", &["#cert"], &["\n[core]"]),
        ("auth: {token: 'very-secret-very-secret-1'}", &[], &["very-secret"]),
    ] {
        let settings = read(&format!("{{gateway: {{{gateway}}}}}"));
        let text = suggestion::toml(&settings);
        let config = Config::parse(&text, None, &environment).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // Which name a proxy passes on, no settings tell.
        let told: Vec<_> = config.warnings.iter().filter(|told| !told.contains("edge.names is empty")).collect();
        assert!(told.is_empty(), "{told:?}\n{text}");
        for words in has {
            assert!(text.contains(words), "{gateway}: no {words} in\n{text}");
        }
        for words in lacks {
            assert!(!text.contains(words), "{gateway}: {words} in\n{text}");
        }
    }
}

#[test]
fn who_takes_the_others_token_over_ends_an_open_invite() {
    let home = tempfile::tempdir().unwrap();
    let environment =
        Environment { home: Some(home.path().into()), folder: home.path().into(), ..Environment::default() };
    let text = format!("state_dir = {:?}\n", home.path().join("state").to_str().unwrap());
    let config = Config::parse(&text, None, &environment).unwrap();
    let instance = Instance::of(config.clone(), &Context { named: None, environment, form: Form::Json });
    let invite = Invite {
        id: InviteId::random(),
        secret: Fingerprint::of(b"secret"),
        scopes: usual_scopes(),
        made_at: Clock::system().now(),
        life_ms: 3_600_000,
        redeemed: None,
    };
    let path = config.state_dir.join(FILE_NAME);
    let open = || wait(async { Store::open(&path).await?.invite().await }).ok().unwrap();
    {
        let _lock = lock(&config).ok().unwrap();
        let act = Act::owner("invite", invite.made_at);
        let change = Change::PutInvite(Box::new(invite.clone()));
        wait(async { Store::open(&path).await?.commit(&[change], &act).await }).ok().unwrap();
    }
    assert!(open().is_some());
    let token = Secret::new("k3yPq9vTz0aWx7LmN2bRc5dE".to_owned());
    for (mode, is_open) in [(Mode::Planned, true), (Mode::Done, false)] {
        let import = Import { devices: Vec::new(), again: Vec::new(), mode };
        assert!(with_token(&token, import, &instance).is_ok());
        assert_eq!(open().is_some(), is_open, "{mode:?}");
    }
}

fn read(text: &str) -> Settings {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join(settings::FILE), text).unwrap();
    settings::read(state.path(), None).unwrap().unwrap()
}
