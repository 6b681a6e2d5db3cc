//! What the owner does about an upstream that is not there: a command, or the exact lines of its openclaw.json. Pure.

use crate::core::upstream::Endpoint;
use crate::core::upstream::Mode;
use crate::core::upstream::Settings;
use crate::core::upstream::State;
use crate::core::upstream::state::Reason;
use crate::core::upstream::state::Unreachable;

/// What to do, one line; nothing where all is well or only time is needed.
pub fn hint(state: &State, settings: &Settings) -> Option<String> {
    let endpoint = &settings.endpoint;
    let file = settings.token_file.as_ref().map(|file| file.display().to_string());
    Some(match state {
        State::Up { .. } | State::Starting => return None,
        State::Refuses(reason) => match reason {
            Reason::Busy => "wait a moment, or look who else opens sockets there".to_owned(),
            Reason::LockedOut => "wait five minutes, and see that core.upstream.token_file has its token".to_owned(),
            Reason::NoRights if settings.mode == Mode::Backend => {
                "leave core.upstream.mode out: it gives a program its rights on its own machine only".to_owned()
            }
            Reason::NoRights => "where the gateway runs: openclaw devices list, and approve doorward".to_owned(),
            Reason::NotPaired { request: Some(request) } => {
                format!("where the gateway runs: openclaw devices approve {request}")
            }
            Reason::NotPaired { request: None } => match file {
                None => "name the file with its token in core.upstream.token_file".to_owned(),
                Some(_) => "where the gateway runs: openclaw devices list, and approve doorward".to_owned(),
            },
            Reason::HelloEmpty | Reason::Other(_) => "see the gateway's own log".to_owned(),
            Reason::Protocol { .. } => "update the gateway: 2026.1 speaks protocol 3, 2026.9 protocol 4".to_owned(),
            Reason::Proxied => {
                "take doorward's address out of gateway.trustedProxies there: it sends no forwarding header".to_owned()
            }
            Reason::Token => match file {
                None => "name the file with its token in core.upstream.token_file".to_owned(),
                Some(file) => format!("write the gateway's token (gateway.auth.token there) into {file}"),
            },
            Reason::TokenFile { hint, .. } => hint.clone(),
            Reason::WebOrigin => format!(
                "name its address in core.upstream.url in place of {}, or list \"{}\" in gateway.controlUi.allowedOrigins there",
                endpoint.host(),
                origin(endpoint)
            ),
        },
        State::Silent => "see the gateway's own log, and start it anew if it hangs".to_owned(),
        State::Unreachable(Unreachable::Name(_)) => {
            format!("see that {} is its name here: in one container network, the name of its service", endpoint.host())
        }
        State::Unreachable(Unreachable::Tls(_)) => {
            "write http:// where the gateway speaks no TLS; else its certificate must be for that name".to_owned()
        }
        State::Unreachable(Unreachable::NotGateway(_)) => format!("see what else answers at {endpoint}"),
        State::Unreachable(Unreachable::Connect(_) | Unreachable::TimedOut) => {
            format!("start the gateway, and see that it listens at {endpoint} (gateway.port and gateway.bind there)")
        }
    })
}

/// The lines of its openclaw.json that this needs and no others: where it listens, and its token.
pub fn openclaw_json(settings: &Settings) -> String {
    let endpoint = &settings.endpoint;
    let bind = if endpoint.host().is_loopback() { "loopback" } else { "lan" };
    let token = settings.token_file.as_ref().map_or_else(
        || "a long random one, which core.upstream.token_file then names".to_owned(),
        |file| format!("what stands in {}", file.display()),
    );
    format!(
        "{{\"gateway\":{{\"mode\":\"local\",\"bind\":\"{bind}\",\"port\":{},\"auth\":{{\"mode\":\"token\",\"token\":\"<{token}>\"}}}}}}",
        endpoint.port()
    )
}

fn origin(endpoint: &Endpoint) -> String {
    format!("{}://{}:{}", endpoint.scheme().as_str(), endpoint.host(), endpoint.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, token_file: Option<&str>) -> Settings {
        let endpoint = Endpoint::parse(url).unwrap();
        Settings { endpoint, token_file: token_file.map(Into::into), mode: Mode::Device, open: Vec::new() }
    }

    #[test]
    fn whatever_its_owner_can_mend_has_its_act() {
        let settings = settings("http://openclaw:18789", Some("/t"));
        let refuses = State::Refuses;
        for (state, words) in [
            (refuses(Reason::NotPaired { request: Some("r-1".into()) }), "openclaw devices approve r-1"),
            (refuses(Reason::NotPaired { request: None }), "openclaw devices list"),
            (refuses(Reason::Token), "into /t"),
            (refuses(Reason::NoRights), "openclaw devices list"),
            (refuses(Reason::LockedOut), "five minutes"),
            (refuses(Reason::Busy), "wait"),
            (refuses(Reason::Other("x".into())), "log"),
            (refuses(Reason::HelloEmpty), "log"),
            (refuses(Reason::TokenFile { cause: "x".into(), hint: "mend it".into() }), "mend it"),
            (refuses(Reason::Protocol { expected: Some(3) }), "update"),
            (refuses(Reason::Proxied), "gateway.trustedProxies"),
            (refuses(Reason::WebOrigin), "\"http://openclaw:18789\" in gateway.controlUi.allowedOrigins"),
            (State::Silent, "start it anew"),
            (State::Unreachable(Unreachable::Connect("x".into())), "http://openclaw:18789"),
            (State::Unreachable(Unreachable::TimedOut), "gateway.port"),
            (State::Unreachable(Unreachable::Name("x".into())), "openclaw is its name"),
            (State::Unreachable(Unreachable::Tls("x".into())), "http://"),
            (State::Unreachable(Unreachable::NotGateway("x".into())), "http://openclaw:18789"),
        ] {
            let told = hint(&state, &settings).unwrap();
            assert!(told.contains(words), "{state}: {told}");
        }
        assert_eq!(hint(&State::Starting, &settings), None);
        let told = hint(&refuses(Reason::NoRights), &Settings { mode: Mode::Backend, ..settings }).unwrap();
        assert!(told.contains("leave core.upstream.mode out"), "{told}");
    }

    #[test]
    fn the_lines_fit_where_the_gateway_is() {
        let here: serde_json::Value =
            serde_json::from_str(&openclaw_json(&settings("http://127.0.0.1:18790", Some("/t")))).unwrap();
        assert_eq!((&here["gateway"]["bind"], &here["gateway"]["port"]), (&"loopback".into(), &18790.into()));
        assert_eq!(here["gateway"]["auth"]["token"], "<what stands in /t>");
        let there: serde_json::Value =
            serde_json::from_str(&openclaw_json(&settings("http://openclaw:18789", None))).unwrap();
        assert_eq!(there["gateway"]["bind"], "lan");
        assert!(there["gateway"].get("trustedProxies").is_none());
    }
}
