//! How a reader behind us may understand a path or a query, whatever its spelling. Pure.

/// The gateway's own methods as a request (openclaw 2026.9.6, a plugin): by it devices would be paired and removed past our
/// desk.
const ADMIN_RPC: [&[u8]; 4] = [b"api", b"v1", b"admin", b"rpc"];

/// Query parameters that the gateway takes for a credential.
const CREDENTIALS: [&[u8]; 2] = [b"password", b"token"];

/// How often escapes of escapes are looked through; what has more is no path of anybody's.
const ROUNDS: usize = 8;

/// Whether `path` reaches the gateway's methods as a request, in whichever spelling and below whichever prefix.
pub(super) fn is_admin_rpc(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..ROUNDS {
        if names_admin_rpc(&text) {
            return true;
        }
        let decoded = decoded(&text);
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    true
}

fn names_admin_rpc(path: &[u8]) -> bool {
    let mut written: Vec<&[u8]> = Vec::new();
    let mut walked: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| matches!(byte, b';' | b'?' | b'#')).next().unwrap_or_default().trim_ascii();
        match name {
            b"" | b"." => {}
            b".." => {
                walked.pop();
            }
            name => {
                walked.push(name);
                written.push(name);
            }
        }
    }
    let is_it = |names: &[&[u8]]| names.iter().zip(ADMIN_RPC).all(|(name, own)| name.eq_ignore_ascii_case(own));
    [written, walked].iter().any(|names| names.windows(ADMIN_RPC.len()).any(is_it))
}

/// `query` without what the gateway takes for a credential; nothing if nothing is left.
pub(super) fn without_credentials(query: &str) -> Option<String> {
    let is_credential = |part: &&str| {
        let name = decoded(part.split('=').next().unwrap_or_default().as_bytes());
        CREDENTIALS.iter().any(|own| name.trim_ascii().eq_ignore_ascii_case(own))
    };
    let left: Vec<&str> = query.split('&').filter(|part| !is_credential(part)).collect();
    (!left.is_empty()).then(|| left.join("&"))
}

/// `text` with its escapes (RFC 3986 §2.1) read once; what is none stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut read = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match after {
            [high, low, behind @ ..] if *first == b'%' => {
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    read.push(high << 4 | low);
                    rest = behind;
                    continue;
                }
            }
            _ => {}
        }
        read.push(*first);
        rest = after;
    }
    read
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_methods_are_known_in_every_spelling() {
        for path in [
            "/api/v1/admin/rpc",
            "/api/v1/admin/rpc/",
            "/api/v1/admin/rpc/x",
            "/API/V1/Admin/RPC",
            "/%61pi/v1/admin/rp%63",
            "/api%2Fv1%2fadmin/rpc",
            "/api/v1/admin/%2572pc",
            "//api//v1/./admin/x/../rpc",
            "/api/v1/admin/%2e%2e/admin/rpc",
            "/api\\v1\\admin\\rpc",
            "/api/v1/admin;x/rpc;y",
            "/api/v1/admin/rpc%20",
            "/api/v1/admin/rpc%3Fx",
            "/__openclaw__/cap/x/api/v1/admin/rpc",
            "/%2525252525252525252525252525252561pi",
        ] {
            assert!(is_admin_rpc(path), "{path}");
        }
        for path in ["/", "/api/v1/admin", "/api/v1/rpc", "/api/v1/admin/rpcs", "/api/v1/100%/x", "/chat/a%3Ab", "/%zz"]
        {
            assert!(!is_admin_rpc(path), "{path}");
        }
    }

    #[test]
    fn a_querys_credentials_are_left_out_in_every_spelling() {
        for (query, left) in [
            ("token=x", None),
            ("a=b&token=x&c", Some("a=b&c")),
            ("TOKEN=x&Password=y&z=1", Some("z=1")),
            ("to%6ben=x&%70assword=y", None),
            ("token", None),
            ("+token=x", Some("+token=x")),
            ("tokens=1&xtoken=2&a=token", Some("tokens=1&xtoken=2&a=token")),
            ("", Some("")),
        ] {
            assert_eq!(without_credentials(query).as_deref(), left, "{query}");
        }
    }
}
