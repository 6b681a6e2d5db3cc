//! The fields of log lines, as the macros of `tracing` are given them.

const MACROS: [&str; 5] = ["debug!(", "error!(", "info!(", "trace!(", "warn!("];

/// The line and the name of every field; `code` holds neither strings nor comments.
pub(crate) fn fields(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for start in MACROS {
        for (at, _) in code.match_indices(start) {
            let line = code[..at].lines().count();
            let arguments = arguments(&code[at + start.len()..]);
            found.extend(arguments.into_iter().filter_map(|argument| Some((line, name(argument)?))));
        }
    }
    found
}

/// What stands between the commas up to the bracket that closes the call.
fn arguments(rest: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b')' if depth == 0 => {
                found.push(&rest[start..at]);
                return found;
            }
            b',' if depth == 0 => {
                found.push(&rest[start..at]);
                start = at + 1;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// `name = …`, `name`, `%name` or `?name`; the target and the text have no name.
fn name(argument: &str) -> Option<String> {
    let name = argument.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    is_name.then(|| name.to_owned())
}

#[test]
fn fields_are_found_however_they_are_written() {
    let code =
        "fn a() { warn!(%client, ?x.y, kid = %keys.of(a, b), { let c = 1; c } = 2, target: ACCESS, listener,\n ); }";
    let names: Vec<_> = fields(code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["client", "x.y", "kid", "listener"]);
}
