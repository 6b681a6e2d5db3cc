//! The account as a person reads it on a terminal.

use std::fmt::Write;

use super::Account;
use crate::base::clock::UnixMillis;

pub(super) fn text(account: &Account, now: UnixMillis) -> String {
    let mut out = headline(account, now);
    let mut section = |title: &str, lines: Vec<(&str, String)>| {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{title}");
            for (label, value) in lines {
                let _ = writeln!(out, "  {label:<13} {value}");
            }
        }
    };
    section("What was asked", request(account));
    section("Who called", caller(account));
    section("The header that names the client", header(account));
    section("How we know", account.origin.steps.iter().map(|step| ("-", (*step).to_owned())).collect());
    let yes_no = |holds: bool| if holds { "holds" } else { "fails" };
    let local = account.local.iter().map(|condition| (yes_no(condition.holds), condition.condition.to_owned()));
    section(if account.origin.local { "Local: yes" } else { "Local: no" }, local.collect());
    section("The connect", connect(account));
    section("The rules of pairing", rules(account));
    section("Since then", account.since.iter().map(|since| since.line(now)).collect());
    section("What to change", account.next.iter().map(|step| ("-", step.clone())).collect());
    out
}

fn headline(account: &Account, now: UnixMillis) -> String {
    let mut out = match (account.outcome, account.reason) {
        ("refused", Some(reason)) => format!("Refused: {reason}"),
        ("admitted", _) => "Let in".to_owned(),
        ("gone", _) => "The caller left before it was answered".to_owned(),
        _ => "Answered".to_owned(),
    };
    if let Some(status) = account.status {
        let _ = write!(out, ", status {status}");
    }
    if let Some(code) = &account.code {
        let _ = write!(out, ", code {code}");
    }
    let _ = writeln!(out, ", {}", UnixMillis(account.at_ms).ago(now));
    for line in account.meaning.map(str::to_owned).into_iter().chain(account.cause.clone()) {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn request(account: &Account) -> Vec<(&'static str, String)> {
    let asked = &account.request;
    let host = asked.host.as_deref().unwrap_or("no readable host");
    let none_came = asked.protocol == asked.method;
    let mut lines = vec![
        (
            "request",
            if none_came {
                "none came".to_owned()
            } else {
                format!("{} {} for {host} ({} over {})", asked.method, asked.path, asked.protocol, asked.scheme)
            },
        ),
        ("connection", account.connection.clone()),
        ("listener", account.listener.clone()),
    ];
    lines.extend(asked.web_origin.clone().map(|origin| ("origin", origin)));
    if let Some(tls) = &asked.tls {
        let (name, alpn) = (tls.server_name.as_deref().unwrap_or("no server name"), tls.alpn.unwrap_or("no alpn"));
        lines.push(("tls", format!("{}, {name}, {alpn}", tls.version)));
        if let Some(shown) = &tls.client_cert {
            let names = if shown.san.is_empty() { "no names".to_owned() } else { shown.san.join(", ") };
            let words = format!("{} ({names}), sha-256 {}; it opens nothing by itself", shown.subject, shown.sha256);
            lines.push(("client certificate", words));
        }
    }
    lines
}

fn caller(account: &Account) -> Vec<(&'static str, String)> {
    let origin = &account.origin;
    let client = origin.client_ip.as_deref().unwrap_or("nobody we trust can say");
    let proxy = match &account.proxy_header {
        None => "none is read on this listener".to_owned(),
        Some(proxy) => {
            let source = proxy.source.as_deref().unwrap_or("none came");
            let allowed = if proxy.sender_allowed { "allowed" } else { "not allowed" };
            format!("{source} (its sender is {allowed})")
        }
    };
    let mut lines = vec![
        ("peer", account.peer.clone()),
        ("PROXY header", proxy),
        ("client", format!("{client} ({})", origin.class)),
    ];
    if let Some(identity) = &account.identity {
        lines.push(("identity", format!("{}, as {} says", identity.login, identity.provider)));
        if let Some(groups) = &identity.groups {
            lines.push(("groups", if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }));
        }
    }
    if !origin.via.is_empty() {
        lines.push(("via", origin.via.join(", ")));
    }
    lines
}

fn header(account: &Account) -> Vec<(&'static str, String)> {
    let walk = &account.client_ip_header;
    let mut lines = vec![("read", walk.name.clone())];
    if !walk.present.is_empty() {
        lines.push(("came", walk.present.join(", ")));
    }
    if let Some(unread) = walk.unread {
        lines.push(("note", unread.to_owned()));
    } else if !walk.complete {
        lines.push(("note", "more came than is kept: how we know stands below, as it was found then".to_owned()));
    }
    let elements = walk.elements.iter();
    lines.extend(elements.map(|found| ("-", format!("line {} \"{}\": {}", found.line, found.text, found.verdict))));
    lines
}

fn rules(account: &Account) -> Vec<(&'static str, String)> {
    let Some(rules) = &account.rules else { return Vec::new() };
    let looked_at = rules.looked_at.iter().map(|looked| {
        let words = if looked.matches { format!(": {}", looked.then) } else { String::new() };
        (if looked.matches { "matches" } else { "does not" }, format!("{} ({}){words}", looked.rule, looked.because))
    });
    looked_at.chain([("so", rules.effect.to_owned())]).collect()
}

fn connect(account: &Account) -> Vec<(&'static str, String)> {
    let Some(connect) = &account.connect else { return Vec::new() };
    let or_none = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
    let mut lines = vec![
        ("program", format!("{}, protocol {}", connect.client, connect.version)),
        ("credential", connect.credential.to_owned()),
        ("device", connect.device.clone().unwrap_or_else(|| "none that proved itself".to_owned())),
        ("asked for", format!("{}: {}", connect.role, or_none(&connect.asked))),
        ("granted", or_none(&connect.granted)),
    ];
    lines.extend(connect.approved_via.clone().map(|via| ("approved by", via)));
    lines.extend(connect.request_id.clone().map(|id| ("request id", id)));
    lines
}
