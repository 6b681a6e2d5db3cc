//! `[core.upstream]`: the gateway behind us, and what of it is open.

use super::*;
use crate::config::fault::upstream::UpstreamFault;
use crate::core::upstream::{EndpointError, OpenPathError};

const TABLE: &str = "[core.upstream]\nurl = \"http://127.0.0.1:18790\"\n";

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let url = |url: &str| format!("[core.upstream]\nurl = «\"{url}\"»");
    let open = |rest: &str| format!("{TABLE}[[core.upstream.open]]\n{rest}");
    let on = |bind: &str, url: &str| {
        format!(
            "[edge]\nnames = [\"claw.example\"]\n[[listener]]\nname = \"web\"\nbind = [\"{bind}\"]\n[core.upstream]\nurl = «\"{url}\"»"
        )
    };
    let ours: Expected = |f| matches!(f, Fault::Upstream(UpstreamFault::Ourselves { .. }));
    vec![
        ("«[core.upstream]»".into(), |f| *f == Fault::Missing { key: "url" }),
        ("[core]\nupstream = «\"http://a\"»".into(), |f| matches!(f, Fault::WrongType { .. })),
        (format!("{TABLE}«tokenfile» = \"t\""), |f| {
            matches!(f, Fault::UnknownKey { closest: Some("token_file"), .. })
        }),
        (format!("{TABLE}token_file = «7»"), |f| matches!(f, Fault::WrongType { .. })),
        (format!("{TABLE}mode = «\"devise\"»"), |f| matches!(f, Fault::UnknownValue { closest: Some("device"), .. })),
        (format!("{TABLE}mode = «\"trusted-proxy\"»"), |f| matches!(f, Fault::Later { .. })),
        ("[core.upstream]\nurl = «7»".into(), |f| matches!(f, Fault::WrongType { .. })),
        (url("127.0.0.1:18790"), |f| is_url(f, EndpointError::Scheme)),
        (url("http://a:1/ui"), |f| is_url(f, EndpointError::Path)),
        (url("http://t@a:1"), |f| is_url(f, EndpointError::UserInfo)),
        // The built-in profile listens there.
        (url("ws://localhost:18789"), ours),
        (on("0.0.0.0:8443", "http://127.0.0.1:8443"), ours),
        (on("[::]:8443", "http://localhost:8443"), ours),
        (on("10.0.0.1:8443", "https://10.0.0.1:8443"), ours),
        (on("10.0.0.1:8443", "https://claw.example:8443"), ours),
        (on("10.0.0.1:8443", "https://claw.example"), ours),
        (open("path = «\"/*\"»\nmethods = \"POST\""), |f| is_open(f, OpenPathError::Everything)),
        (open("path = «\"hooks\"»\nmethods = \"POST\""), |f| is_open(f, OpenPathError::Relative)),
        (open("path = \"/hooks\"\nmethods = «[]»"), |f| *f == Fault::Upstream(UpstreamFault::NoMethods)),
        (open("path = \"/hooks\"\nmethods = «\"post\"»"), |f| matches!(f, Fault::UnknownValue { .. })),
        (
            open("path = \"/a\"\nmethods = \"GET\"\n[[core.upstream.open]]\npath = «\"/a\"»\nmethods = \"POST\""),
            |f| matches!(f, Fault::Upstream(UpstreamFault::OpenTwice(_))),
        ),
        (format!("{TABLE}«[[core.upstream.open]]»\nmethods = \"POST\""), |f| *f == Fault::Missing { key: "path" }),
        (format!("{TABLE}«[[core.upstream.open]]»\npath = \"/a\""), |f| *f == Fault::Missing { key: "methods" }),
    ]
}

fn is_url(fault: &Fault, cause: EndpointError) -> bool {
    matches!(fault, Fault::Upstream(UpstreamFault::Url { cause: found, .. }) if *found == cause)
}

fn is_open(fault: &Fault, cause: OpenPathError) -> bool {
    matches!(fault, Fault::Upstream(UpstreamFault::OpenPath { cause: found, .. }) if *found == cause)
}
