//! The owner's invite, asked for by command: what it gives, for how long, and the address that it is handed on by.

use std::time::Duration;

use serde_json::json;

use super::address::{self, Ports};
use super::request::Reply;
use crate::base::clock::UnixMillis;
use crate::base::limits::INVITE_LIFE_SECONDS_MAX;
use crate::base::limits::INVITE_LIFE_SECONDS_MIN;
use crate::base::limits::INVITE_SCOPES_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::certificates::acme::subject::Subject;
use crate::certificates::standing::{Source, Standing};
use crate::core::{Core, InviteError};
use crate::edge;
use crate::listener::{self, Protocol};
use crate::net::host::{Scheme, WebOrigin};
use crate::pairing::invite::usual_scopes;
use crate::protocol::scope::{Scope, Scopes};

/// What the owner asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// What a device gets; the usual, if nothing is named.
    pub(super) scopes: Option<Scopes>,
    /// For how long; as long as may be, if nothing is named.
    pub(super) seconds: Option<u64>,
    /// Where; found, if nothing is named.
    pub(super) url: Option<String>,
}

/// How this instance is reached.
pub(super) struct Doors<'a> {
    pub(super) listeners: Vec<&'a listener::Settings>,
    pub(super) edge: &'a edge::Settings,
    pub(super) certificates: Vec<Standing>,
    pub(super) ports: Ports,
}

/// Makes the invite, and the link with it.
pub(super) async fn make(wish: Wish, doors: &Doors<'_>, core: &Core, now: UnixMillis) -> Reply {
    let (scopes, life, door) = match judged(wish, doors) {
        Ok(wish) => wish,
        Err(reply) => return reply,
    };
    let warnings = warnings(&door, &scopes, doors, now);
    match core.invites().make(scopes.clone(), life).await {
        // The fragment never leaves the browser: no server, proxy or log on the way sees it.
        Ok(made) => Reply::Done(json!({
            "url": format!("{door}/#bootstrapToken={}", made.secret.expose()),
            "secret": made.secret.expose(),
            "expiresAtMs": made.expires_at_ms,
            "scopes": scopes,
            "replaced": made.replaced,
            // Scanned by a phone, it would lead the phone to itself.
            "thisMachineOnly": door.host.is_loopback(),
            "warnings": warnings,
        })),
        Err(error) => failed(&error),
    }
}

/// Ends the open one.
pub(super) async fn cancel(core: &Core) -> Reply {
    match core.invites().cancel().await {
        Ok(cancelled) => Reply::Done(json!({"cancelled": cancelled})),
        Err(error) => failed(&error),
    }
}

fn failed(error: &InviteError) -> Reply {
    Reply::failed(error, error.hint())
}

fn judged(wish: Wish, doors: &Doors<'_>) -> Result<(Scopes, Duration, WebOrigin), Reply> {
    let scopes = wish.scopes.unwrap_or_else(usual_scopes);
    let strange = scopes.iter().find(|scope| !scope.as_str().starts_with("operator."));
    if scopes.is_empty() || scopes.iter().count() > INVITE_SCOPES_MAX || strange.is_some() {
        return Err(Reply::failed(
            format!("an invite gives an operator one to {INVITE_SCOPES_MAX} scopes, each named operator.…"),
            "for example --scopes operator.read,operator.write; other devices wait, and are approved by \
             `doorward devices approve`",
        ));
    }
    let seconds = wish.seconds.unwrap_or(INVITE_LIFE_SECONDS_MAX);
    if !(INVITE_LIFE_SECONDS_MIN..=INVITE_LIFE_SECONDS_MAX).contains(&seconds) {
        return Err(Reply::failed(
            format!("an invite counts for {INVITE_LIFE_SECONDS_MIN} to {INVITE_LIFE_SECONDS_MAX} seconds: {seconds}"),
            "name a shorter time, and make another invite when this one is over",
        ));
    }
    let door = match wish.url {
        Some(url) => named(&url)?,
        None => address::anywhere(doors.listeners.iter().copied(), doors.edge, doors.ports).ok_or_else(|| {
            Reply::failed(
                "no listener serves devices",
                "add a listener with `serve = \"all\"`, or name the address with --url",
            )
        })?,
    };
    Ok((scopes, Duration::from_secs(seconds), door))
}

fn named(url: &str) -> Result<WebOrigin, Reply> {
    let door = WebOrigin::parse(url.strip_suffix('/').unwrap_or(url)).map_err(|error| {
        let shown = printable(url, LABEL_CHARS_MAX);
        Reply::failed(format!("no address of this instance ({error}): {shown}"), "--url https://claw.example.com")
    })?;
    if door.scheme == Scheme::Http && !door.host.is_loopback() {
        return Err(Reply::failed(
            format!("whoever listens on the way could use this invite first: {door}"),
            "name an https address",
        ));
    }
    Ok(door)
}

/// What the owner should know before he hands it on.
fn warnings(door: &WebOrigin, scopes: &Scopes, doors: &Doors<'_>, now: UnixMillis) -> Vec<String> {
    let mut told = Vec::new();
    let strong: Vec<_> = [Scope::ADMIN, Scope::PAIRING].into_iter().filter(|scope| scopes.covers(scope)).collect();
    if !strong.is_empty() {
        let words = strong.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ");
        told.push(format!("whoever opens this link first has {words}: hand it to nobody but yourself"));
    }
    if door.host.is_loopback() {
        let others = match doors.ports {
            Ports::AsBound => {
                "start `doorward run --lan`, or write names in [edge] and a [[listener]] that serves them"
            }
            Ports::Mapped => "publish a port with TLS, and write what leads to it into names in [edge]",
        };
        told.push(format!(
            "only a browser on this very machine gets anywhere by this link, for every device is 127.0.0.1 to itself: for \
             others {others}, or name the address that leads here with --url"
        ));
    }
    if address::is_multicast(&door.host) {
        told.push(format!(
            "{} is found by multicast DNS, which not every phone asks: if it does not open, name an address of this machine \
             with --url",
            door.host
        ));
    }
    let own = doors.edge.names.iter().chain(&doors.edge.own);
    if !door.host.is_loopback() && !own.clone().any(|host| *host == door.host) {
        told.push(format!("this instance does not answer for {}: add it to `edge.names`", door.host));
    }
    if door.scheme == Scheme::Https && ends_tls(doors) {
        told.extend(untrusted(door, &doors.certificates, now));
    }
    told
}

/// Whether TLS ends here, not at a proxy in front.
fn ends_tls(doors: &Doors<'_>) -> bool {
    let mut serving = doors.listeners.iter().filter(|listener| address::is_far(listener)).peekable();
    serving.peek().is_none() || serving.any(|listener| listener.protocol != Protocol::Http)
}

/// That a browser will not trust what is shown for this door.
fn untrusted(door: &WebOrigin, certificates: &[Standing], now: UnixMillis) -> Option<String> {
    let is_for = |standing: &&Standing| {
        standing.names.iter().any(|name| Subject::parse(name).is_ok_and(|subject| subject.covers(&door.host)))
    };
    let holds = |standing: &Standing| standing.not_after_ms.is_some_and(|until| now.0 < until);
    let mut of_others = certificates.iter().filter(is_for).filter(|standing| standing.source != Source::LocalCa);
    if of_others.clone().any(holds) {
        return None;
    }
    Some(match of_others.next() {
        Some(_) => format!(
            "the certificate for {} is still being got (`doorward certs list`): until then a browser warns, so wait for \
             it before you open the link",
            door.host
        ),
        None => format!(
            "{} is shown by the local CA: a device that does not trust it yet first opens `/doorward/ca` there",
            door.host
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::request::Request;
    use crate::admin::server::Answer;
    use crate::admin::testing::House;
    use crate::certificates::x509::Validity;
    use crate::config::Config;
    use crate::config::place::Environment;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn the_owner_is_warned_of_what_would_go_wrong() {
        let standing = |source, ends: Option<i64>| {
            let validity = ends.map(|ends| Validity { begins: 0, ends });
            Standing::new(vec!["claw.example".to_owned()], source, validity, None, NOW)
        };
        let (now, usual) = (NOW.0 / 1_000, usual_scopes());
        let admin: Scopes = [Scope::ADMIN].into_iter().collect();
        let acme = "bind = [\"0.0.0.0:443\"]";
        let proxied =
            "bind = [\"10.0.0.5:80\"]\nprotocol = \"http\"\nserve = \"all\"\ntrusted_proxies = [\"10.0.0.2\"]";
        for (name, listener, door, scopes, certificates, said) in [
            (
                "a public certificate",
                acme,
                "https://claw.example",
                &usual,
                vec![standing(Source::Acme, Some(now + 1))],
                vec![],
            ),
            (
                "it is over",
                acme,
                "https://claw.example",
                &usual,
                vec![standing(Source::Acme, Some(now))],
                vec!["still"],
            ),
            (
                "none yet",
                acme,
                "https://claw.example",
                &usual,
                vec![standing(Source::Acme, None)],
                vec!["still being got"],
            ),
            (
                "local",
                acme,
                "https://claw.example",
                &usual,
                vec![standing(Source::LocalCa, Some(now + 1))],
                vec!["/doorward/ca"],
            ),
            ("behind a proxy", proxied, "https://claw.example", &usual, vec![], vec![]),
            ("another name", acme, "https://other.example", &usual, vec![], vec!["edge.names", "local CA"]),
            ("at loopback", acme, "http://127.0.0.1:18789", &usual, vec![], vec!["run --lan"]),
            (
                "administration",
                acme,
                "http://[::1]:18789",
                &admin,
                vec![],
                vec!["operator.admin, operator.pairing", "this very machine"],
            ),
            (
                "a house's name",
                acme,
                "https://pi.local",
                &usual,
                vec![],
                vec!["multicast DNS", "edge.names", "local CA"],
            ),
        ] {
            let config = config(listener);
            let listeners = config.listeners.iter().collect();
            let doors = Doors { listeners, edge: &config.edge, certificates, ports: Ports::AsBound };
            let told = warnings(&WebOrigin::parse(door).unwrap(), scopes, &doors, NOW);
            assert_eq!(told.len(), said.len(), "{name}: {told:?}");
            told.iter().zip(said).for_each(|(told, said)| assert!(told.contains(said), "{name}: {told}"));
            // Nobody starts the household's profile in a container.
            let told =
                warnings(&WebOrigin::parse(door).unwrap(), scopes, &Doors { ports: Ports::Mapped, ..doors }, NOW);
            assert!(!told.concat().contains("run --lan"), "{name}: {told:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        let config = config("bind = [\"0.0.0.0:443\"]");
        let doors = Doors {
            listeners: config.listeners.iter().collect(),
            edge: &config.edge,
            certificates: vec![],
            ports: Ports::AsBound,
        };
        let scopes = |words: &str| -> Option<Scopes> {
            Some(words.split_whitespace().map(|word| Scope::parse(word).unwrap()).collect())
        };
        let many = (0..=INVITE_SCOPES_MAX).map(|n| format!("operator.x{n} ")).collect::<String>();
        let refused = [
            Wish { scopes: scopes(""), ..Wish::default() },
            Wish { scopes: scopes("node.exec"), ..Wish::default() },
            Wish { scopes: scopes(&many), ..Wish::default() },
            Wish { seconds: Some(INVITE_LIFE_SECONDS_MIN - 1), ..Wish::default() },
            Wish { seconds: Some(INVITE_LIFE_SECONDS_MAX + 1), ..Wish::default() },
            Wish { url: Some("http://claw.example".to_owned()), ..Wish::default() },
            Wish { url: Some("https://claw.example/#x".to_owned()), ..Wish::default() },
            Wish { url: Some("https://me@claw.example".to_owned()), ..Wish::default() },
            Wish { url: Some("claw.example".to_owned()), ..Wish::default() },
        ];
        for wish in refused {
            assert!(matches!(judged(wish.clone(), &doors), Err(Reply::Failed { .. })), "{wish:?}");
        }
        let taken =
            Wish { seconds: Some(INVITE_LIFE_SECONDS_MIN), url: Some("https://x:8443/".into()), ..Wish::default() };
        let (scopes, life, door) = judged(taken, &doors).unwrap();
        assert_eq!((scopes, life.as_secs(), door.to_string()), (usual_scopes(), 10, "https://x:8443".to_owned()));
    }

    #[tokio::test]
    async fn an_open_invite_is_told_of_without_its_secret_until_it_is_over() {
        let house = House::open("").await;
        let asked = Request::Invite { scopes: None, seconds: None, url: Some("https://a.example".to_owned()) };
        let Reply::Done(made) = house.owner.answer(asked.clone()).await else { panic!("refused") };
        let secret = made["secret"].as_str().unwrap();
        assert_eq!(made["url"], format!("https://a.example/#bootstrapToken={secret}"));
        assert_eq!(made["replaced"], false);
        let told = async |request| match house.owner.answer(request).await {
            Reply::Done(answer) => {
                assert!(!answer.to_string().contains(secret), "{answer}");
                answer
            }
            Reply::Failed { error, .. } => panic!("{error}"),
        };
        for request in [Request::Status, Request::Devices] {
            assert_eq!(told(request).await["invite"]["expiresAtMs"], made["expiresAtMs"]);
        }
        house.clock.advance(i64::try_from(INVITE_LIFE_SECONDS_MAX).unwrap() * 1_000);
        assert!(told(Request::Status).await["invite"].is_null());
        let Reply::Done(next) = house.owner.answer(asked).await else { panic!("refused") };
        assert_eq!(next["replaced"], false, "it was over");
        assert_eq!(told(Request::CancelInvite).await["cancelled"], true);
        assert_eq!(told(Request::CancelInvite).await["cancelled"], false);
    }

    fn config(listener: &str) -> Config {
        let text = format!("[edge]\nnames = [\"claw.example\"]\n[[listener]]\n{listener}\n");
        let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
        Config::parse(&text, None, &environment).unwrap()
    }
}
