//! What a request asks the upstream for, by method and path: what of it anybody may see, what is its users' own, what only
//! reads, and the rest. The names below are those of openclaw 2026.9.6, as its own HTTP server tells them apart.
//!
//! Promise: a path counts as anybody's, or as a reader's, in its one plain spelling only. Whatever another reader could take
//! for another path is the rest, and needs the most.

use http::HeaderMap;
use http::Method;
use http::header::ACCEPT;
use http::request::Parts;

use crate::core::upstream::settings::is_plain;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Resource {
    /// A file of the page: script, style, icon.
    Asset,
    /// The page itself.
    Document,
    /// A place within the page, which the browser asks for as if it were one of its own: the same document, unless somebody
    /// who may call the rest means something else.
    Place,
    /// What the page shows of its owner: the UI's configuration, avatars.
    Personal,
    /// Something that only reads: models, histories, media.
    Reading,
    /// Everything else.
    Rest,
}

/// Whether a body comes with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// None does.
    Absent,
    /// One does, or may.
    Present,
}

/// Files of the page at its root.
const ROOT_ASSETS: [&str; 9] = [
    "/apple-touch-icon.png",
    "/asset-manifest.json",
    "/favicon-32.png",
    "/favicon.ico",
    "/favicon.svg",
    "/manifest.webmanifest",
    "/share/card.png",
    "/social-card.png",
    "/sw.js",
];

/// Folders of the page's files.
const ASSET_FOLDERS: [&str; 8] = [
    "/app-art/",
    "/assets/",
    "/cloud-provider-icons/",
    "/community-art/",
    "/file-icons/",
    "/fonts/",
    "/provider-icons/",
    "/themes/",
];

/// The UI's configuration, under its name and two older ones.
const CONFIGURATION: [&str; 3] =
    ["/__openclaw/control-ui-config.json", "/__openclaw__/control-ui-config.json", "/control-ui-config.json"];

/// Faces, each with one segment in the middle: what stands before it and after it.
const AVATARS: [(&str, &str); 3] =
    [("/__openclaw__/channel-avatar/", ""), ("/api/users/", "/avatar"), ("/avatar/", "")];

/// What only reads, at one path.
const READINGS: [&str; 2] = ["/__openclaw__/assistant-media", "/v1/models"];

/// What only reads, anywhere below.
const READING_FOLDERS: [&str; 8] = [
    "/__openclaw__/catalog-icon/",
    "/__openclaw__/plugin-activity-icon/",
    "/__openclaw__/plugin-icon/",
    "/__openclaw__/plugin-theme-art/",
    "/__openclaw__/workspace-icon/",
    "/api/artifacts/download/",
    "/api/chat/media/outgoing/",
    "/v1/models/",
];

/// First segments under which the gateway has something of its own, and never a place within the page.
const ITS_OWN: [&str; 18] = [
    "__openclaw",
    "__openclaw__",
    "api",
    "avatar",
    "health",
    "healthz",
    "hooks",
    "j",
    "metrics",
    "oauth",
    "ready",
    "readyz",
    "share",
    "startup",
    "startupz",
    "tools",
    "ui",
    "v1",
];

/// How a file's name ends: no place within the page ends so.
const FILES: [&str; 15] = [
    "css",
    "gif",
    "ico",
    "jpeg",
    "jpg",
    "js",
    "json",
    "map",
    "png",
    "svg",
    "txt",
    "wasm",
    "webmanifest",
    "webp",
    "woff2",
];

impl Resource {
    /// What the request with this head and body asks for.
    pub fn of(head: &Parts, body: Body) -> Self {
        let path = head.uri.path();
        if !matches!(head.method, Method::GET | Method::HEAD) || body == Body::Present {
            return Self::Rest;
        }
        match path {
            "/" | "/index.html" => Self::Document,
            path if is_plain(path) => Self::of_plain(path, &head.headers),
            // A place may have escapes in it: a session's key. Nothing of it goes up but that the page is wanted.
            path if is_place(path) && wants_page(&head.headers) => Self::Place,
            _ => Self::Rest,
        }
    }

    fn of_plain(path: &str, headers: &HeaderMap) -> Self {
        let below = |folders: &[&str]| {
            folders.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| !rest.is_empty()))
        };
        if ROOT_ASSETS.contains(&path) || below(&ASSET_FOLDERS) {
            Self::Asset
        } else if CONFIGURATION.contains(&path) || AVATARS.iter().any(|(before, after)| is_one(path, before, after)) {
            Self::Personal
        } else if READINGS.contains(&path) || below(&READING_FOLDERS) || is_one(path, "/sessions/", "/history") {
            Self::Reading
        } else if is_place(path) && wants_page(headers) {
            Self::Place
        } else {
            Self::Rest
        }
    }

    /// Whether anybody gets it.
    pub fn is_anybodys(self) -> bool {
        matches!(self, Self::Asset | Self::Document | Self::Place)
    }
}

/// Whether `path` is `before`, one segment, and `after`.
fn is_one(path: &str, before: &str, after: &str) -> bool {
    let middle = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    middle.is_some_and(|segment| !segment.is_empty() && !segment.contains('/'))
}

/// Whether `path` can be one that the page gave itself.
fn is_place(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    let first = segments.next().unwrap_or_default();
    if first.is_empty() || ITS_OWN.contains(&first) {
        return false;
    }
    let further: Vec<&str> = segments.collect();
    match (first, further.as_slice()) {
        // What the plugins serve themselves lies below their list.
        ("plugins", further) => further.iter().all(|segment| segment.is_empty()),
        ("sessions", [_, "history" | "kill"]) => false,
        (_, further) => !is_file(further.last().copied().unwrap_or(first)),
    }
}

fn is_file(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| FILES.iter().any(|file| ending.eq_ignore_ascii_case(file)))
}

/// Whether the caller takes a page (RFC 9110 §12.5.1); who does not say takes anything.
fn wants_page(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return true;
    }
    let mut ranges = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    ranges.any(|range| {
        let kind = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [&b"*/*"[..], b"text/*", b"text/html", b"application/xhtml+xml"]
            .iter()
            .any(|page| kind.eq_ignore_ascii_case(page))
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_paths_of_2026_9_6_are_told_apart() {
        for (expected, paths) in [
            (Resource::Document, "/ /index.html /?token=x"),
            (
                Resource::Asset,
                "/favicon.ico /sw.js /manifest.webmanifest /assets/index-B1.js?v=2 /fonts/a/b.woff2 /share/card.png /themes/claw.css",
            ),
            (
                Resource::Place,
                "/chat /chat/main /chat/agent%3Amain%3Amain /settings/plugins /plugins /plugins/ /debug /approve/7f0e /focus/x/y \
                 /sessions /sessions/main /settings/",
            ),
            (
                Resource::Personal,
                "/control-ui-config.json /__openclaw/control-ui-config.json /avatar/main?meta=1 /api/users/owner/avatar \
                 /__openclaw__/channel-avatar/x",
            ),
            (
                Resource::Reading,
                "/v1/models /v1/models/openclaw /sessions/main/history /__openclaw__/assistant-media?source=x \
                 /api/chat/media/outgoing/a/b /__openclaw__/workspace-icon/x",
            ),
            (
                Resource::Rest,
                "/v1/chat/completions /tools/invoke /hooks/wake /plugins/x /api/nodes/watch/x /share/x /oauth/mcp/callback \
                 /ready /metrics /__openclaw__/ /__openclaw__/link-favicon/x /sessions/x/kill /j/abc /foo.json /chat/x.PNG \
                 /avatar/ /avatar/a/b /api/users//avatar",
            ),
        ] {
            for path in paths.split_ascii_whitespace() {
                assert_eq!(of("GET", path, &[]), expected, "{path}");
                assert_eq!(of("HEAD", path, &[]), expected, "{path}");
                assert_eq!(of("POST", path, &[]), Resource::Rest, "{path}");
            }
        }
    }

    #[test]
    fn another_spelling_is_never_anybodys_file_nor_a_readers() {
        for path in [
            "/assets/../tools/invoke",
            "/assets/%2e%2e/v1/models",
            "/assets/..\\hooks",
            "/assets//x.js",
            "//assets/x.js",
            "/./favicon.ico",
            "/%66avicon.ico",
            "/v1/models/../chat/completions",
            "/avatar/%2e%2e",
            "/control-ui-config.json/",
            "/control-ui-config.json;x",
            "/__openclaw__/cap/x/v1/models",
        ] {
            let found = of("GET", path, &[]);
            assert!(matches!(found, Resource::Rest | Resource::Place), "{path}: {found:?}");
        }
    }

    #[test]
    fn a_body_or_another_wish_makes_it_the_rest() {
        let request = |path: &str| Request::get(path).body(()).unwrap().into_parts().0;
        for path in ["/", "/assets/x.js", "/chat", "/control-ui-config.json", "/v1/models"] {
            assert_ne!(Resource::of(&request(path), Body::Absent), Resource::Rest, "{path}");
            assert_eq!(Resource::of(&request(path), Body::Present), Resource::Rest, "{path}");
        }
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", Resource::Place),
            ("TEXT/HTML; q=0.5", Resource::Place),
            ("*/*", Resource::Place),
            ("application/json", Resource::Rest),
            ("image/avif,image/webp", Resource::Rest),
            ("text/event-stream", Resource::Rest),
        ] {
            assert_eq!(of("GET", "/chat", &[("accept", accept)]), expected, "{accept}");
        }
    }

    #[test]
    fn the_lists_are_sorted_and_meet_nowhere() {
        assert!(ROOT_ASSETS.is_sorted() && ASSET_FOLDERS.is_sorted() && ITS_OWN.is_sorted() && FILES.is_sorted());
        for folder in ASSET_FOLDERS.iter().chain(&READING_FOLDERS) {
            assert!(folder.ends_with('/') && !CONFIGURATION.iter().any(|path| path.starts_with(folder)), "{folder}");
        }
    }

    fn of(method: &str, target: &str, headers: &[(&str, &str)]) -> Resource {
        let request = headers.iter().fold(Request::builder().method(method).uri(target), |request, (name, value)| {
            request.header(*name, *value)
        });
        Resource::of(&request.body(()).unwrap().into_parts().0, Body::Absent)
    }
}
