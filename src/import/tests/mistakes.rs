//! Each mistake is found where it stands.

use std::net::IpAddr;

use super::super::mistakes::{self, Judged, Mistake};
use super::super::*;
use super::write;

#[test]
fn an_entry_of_trusted_proxies_is_one_address_of_a_proxy_or_a_mistake() {
    let proxy = |text: &str| Judged::Proxy(text.parse::<IpAddr>().unwrap());
    for (entry, judged) in [
        ("10.77.0.9", proxy("10.77.0.9")),
        (" 10.77.0.9/32 ", proxy("10.77.0.9")),
        ("127.0.0.1", proxy("127.0.0.1")),
        ("fd00::7", proxy("fd00::7")),
        ("172.18.0.5", proxy("172.18.0.5")),
        ("172.17.0.1", Judged::Bridge),
        ("::ffff:172.17.0.1", Judged::Bridge),
        ("172.18.0.1/32", Judged::Bridge),
        ("172.16.0.0/12", Judged::Bridge),
        ("172.18.0.0/16", Judged::Bridge),
        ("172.0.0.0/8", Judged::Bridge),
        ("10.0.0.0/8", Judged::Bridge),
        ("192.168.0.0/16", Judged::Bridge),
        ("192.168.65.254", Judged::Bridge),
        ("10.88.0.1", Judged::Bridge),
        ("10.89.0.1", Judged::Bridge),
        ("10.90.3.1", Judged::Bridge),
        ("10.255.255.1", Judged::Bridge),
        ("10.89.0.5", proxy("10.89.0.5")),
        ("192.168.0.1", Judged::Bridge),
        ("192.168.240.1", Judged::Bridge),
        ("192.168.1.1", proxy("192.168.1.1")),
        ("192.168.1.0/24", Judged::Wide),
        ("2001:db8::/32", Judged::Wide),
        ("0.0.0.0/0", Judged::Everyone),
        ("::/0", Judged::Everyone),
        ("traefik", Judged::Unreadable),
        ("", Judged::Unreadable),
        ("10.0.0.1:80", Judged::Unreadable),
    ] {
        assert_eq!(mistakes::judge(entry), judged, "{entry}");
    }
}

#[test]
fn each_mistake_is_found_and_what_is_sound_is_none() {
    let sound = "k3yPq9vTz0aWx7LmN2bRc5dE";
    for (gateway, key) in [
        ("auth: {mode: 'none'}", "gateway.auth.mode"),
        ("auth: {mode: 'trusted-proxy'}", "gateway.auth.mode"),
        ("auth: {token: 'changeme'}", "the gateway token"),
        ("auth: {mode: 'password', password: 'hunter2'}", "the gateway token"),
        ("auth: {allowTailscale: true}", "gateway.auth.allowTailscale"),
        ("auth: {trustedProxy: {deviceAutoApprove: {enabled: true}}}", "gateway.auth.trustedProxy.deviceAutoApprove"),
        ("auth: {trustedProxy: {allowLoopback: true}}", "gateway.auth.trustedProxy.allowLoopback"),
        ("controlUi: {dangerouslyDisableDeviceAuth: true}", "gateway.controlUi.dangerouslyDisableDeviceAuth"),
        ("controlUi: {allowInsecureAuth: true}", "gateway.controlUi.allowInsecureAuth"),
        (
            "controlUi: {dangerouslyAllowHostHeaderOriginFallback: true}",
            "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
        ),
        ("controlUi: {allowedOrigins: ['*']}", "gateway.controlUi.allowedOrigins"),
        ("controlUi: {allowedOrigins: ['https://*.example.com']}", "gateway.controlUi.allowedOrigins"),
        ("controlUi: {allowedOrigins: ['null']}", "gateway.controlUi.allowedOrigins"),
        ("controlUi: {allowedOrigins: ['http://192.168.1.5:18789']}", "gateway.controlUi.allowedOrigins"),
        ("trustedProxies: ['172.17.0.1']", "gateway.trustedProxies"),
        ("allowRealIpFallback: true", "gateway.allowRealIpFallback"),
        ("bind: 'lan'", "gateway.bind"),
        ("tailscale: {mode: 'funnel'}", "gateway.tailscale.mode"),
        ("auth: {$include: './auth.json5'}", "$include"),
    ] {
        let found = found(&format!("{{gateway: {{{gateway}}}}}"), 0o600);
        assert_eq!(found.iter().map(|mistake| mistake.key).collect::<Vec<_>>(), [key], "{gateway}");
        for text in found.iter().map(|mistake| format!("{mistake:?}")) {
            assert!(!text.contains("changeme") && !text.contains("hunter2"), "a secret is shown: {text}");
        }
    }
    let readable = format!("{{gateway: {{auth: {{token: '{sound}'}}}}}}");
    assert_eq!(found(&readable, 0o644)[0].key, "the file itself");
    for gateway in [
        "",
        "bind: 'loopback', trustedProxies: ['127.0.0.1', '10.77.0.9']",
        "bind: 'lan', tls: {enabled: true}",
        "controlUi: {allowedOrigins: ['https://claw.example.com', 'http://localhost:5173']}",
        "auth: {token: 'k3yPq9vTz0aWx7LmN2bRc5dE', allowTailscale: false}, tailscale: {mode: 'serve'}",
        "auth: {token: '${OPENCLAW_GATEWAY_TOKEN}'}",
    ] {
        assert_eq!(found(&format!("{{gateway: {{{gateway}}}}}"), 0o600), [], "{gateway}");
    }
}

fn read(text: &str, mode: u32) -> settings::Settings {
    let state = tempfile::tempdir().unwrap();
    write(&state.path().join(settings::FILE), text.as_bytes());
    settings::Settings { mode, ..settings::read(state.path(), None).unwrap().unwrap() }
}

fn found(text: &str, mode: u32) -> Vec<Mistake> {
    mistakes::find(&read(text, mode))
}
