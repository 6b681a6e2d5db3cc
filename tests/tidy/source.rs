//! Rust source, as far as the house's rules must read it: modules, imports, functions, and code without its texts.

use std::path::Path;

pub(crate) fn modules_in_order(lib: &str) -> Vec<String> {
    lib.lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .map(|rest| rest.trim_end_matches([';', '{', ' ']).to_owned())
        .collect()
}

/// The top module a file belongs to: `src/origin/class.rs` belongs to `origin`.
pub(crate) fn room_of(file: &Path) -> String {
    let first = file.strip_prefix("src").unwrap().components().next().unwrap();
    Path::new(&first).file_stem().unwrap().to_string_lossy().into_owned()
}

/// Whether this is `tests.rs` or lies under it: what tests wait for is their own.
pub(crate) fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The top modules that a line names, by `crate::` or by enough `super::` to leave the file's room.
pub(crate) fn imported(line: &str, file: &Path) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used: Vec<_> = line.split("crate::").skip(1).filter(|_| !line.contains("$crate")).map(word).collect();
    let depth = file.strip_prefix("src").unwrap().components().count();
    let climb = "super::".repeat(depth);
    // Within an inline `mod tests` one more `super::` is the file itself: only whole climbs count.
    for (at, _) in line.match_indices(&climb) {
        let whole = !line[..at].ends_with("super::") && !line[at + climb.len()..].starts_with("super::");
        if whole {
            used.push(word(&line[at + climb.len()..]));
        }
    }
    used
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// Every function with a body, from its `fn` to its closing brace. `code` holds neither strings nor comments.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = at.checked_sub(1).map_or(b' ', |i| bytes[i]);
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if before.is_ascii_alphanumeric() || before == b'_' || name.is_empty() {
            continue;
        }
        let Some(open) = body_start(&bytes[at..]).map(|offset| at + offset) else { continue };
        let mut depth = 0_usize;
        let end = bytes[open..].iter().position(|byte| {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let end = open + end.unwrap_or_else(|| panic!("{name} has no end"));
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        found.push(Function { name, line, lines: lines_outside_tables(&bytes[at..=end]) });
    }
    found
}

/// A function's lines without those between square brackets: the rows of a table are data, and many rows are a virtue.
fn lines_outside_tables(function: &[u8]) -> usize {
    let (mut nested, mut lines) = (0_i32, 1);
    for byte in function {
        match byte {
            b'[' => nested += 1,
            b']' => nested -= 1,
            b'\n' if nested == 0 => lines += 1,
            _ => {}
        }
    }
    lines
}

/// The offset of a function's opening brace, or none if it has no body.
fn body_start(from: &[u8]) -> Option<usize> {
    let mut nested = 0_i32;
    for (offset, byte) in from.iter().enumerate() {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested -= 1,
            b'{' if nested == 0 => return Some(offset),
            b';' if nested == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The source with comments, strings and character literals blanked; lines stay where they are.
pub(crate) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none starts there.
fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['"', ..] => at + quoted(rest),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest, 1).map_or(at, |length| at + length),
        ['b', 'r', '"' | '#', ..] if !in_word => raw_string(rest, 2).map_or(at, |length| at + length),
        ['\'', '\\', ..] => at + 3 + rest[3..].iter().position(|c| *c == '\'').unwrap_or(0) + 1,
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[char], prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = prefix + hashes + 1;
    let end = rest[body..].windows(close.len()).position(|window| window == close);
    Some(end.map_or(rest.len(), |end| body + end + close.len()))
}
