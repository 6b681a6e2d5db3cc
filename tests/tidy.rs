//! The house as a test: modules import only downward in the order of `src/lib.rs`, files and functions stay
//! short, every file says why it exists, and nothing lies at the top that has no place there.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "offsets come from searches in the same text")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/fields.rs"]
mod fields;
#[path = "tidy/source.rs"]
mod source;

use fields::fields;
use source::{code_only, functions, imported, is_test, modules_in_order, room_of};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
/// What design and convention place at the top; dotfiles hold tool settings.
const TOP: [&str; 9] =
    ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "certs", "conf", "deploy", "tests"];

#[test]
fn imports_only_point_down() {
    let order = modules_in_order(&read(Path::new("src/lib.rs")));
    let mut wrong = String::new();
    for file in rust_files(Path::new("src")) {
        let name = file.display();
        let room = room_of(&file);
        let Some(own) = order.iter().position(|module| *module == room) else {
            assert!(["lib", "main"].contains(&room.as_str()), "{name} belongs to no module of src/lib.rs");
            continue;
        };
        let code = code_only(&read(&file));
        for (number, line) in code.lines().enumerate() {
            let number = number + 1;
            if line.contains("crate::{") || line.contains("super::{self") || line.contains("crate::*") {
                let _ = writeln!(wrong, "{name}:{number}: one `use crate::…;` for each import");
            }
            for used in imported(line, &file) {
                if order.iter().position(|module| *module == used).is_some_and(|theirs| theirs > own) {
                    let _ = writeln!(wrong, "{name}:{number}: {room} stands below {used} in src/lib.rs");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up, or hide what they take:\n{wrong}");
}

#[test]
fn the_four_nouns_touch_no_socket_disk_runtime_or_time_of_their_own() {
    let reaches = [
        "tokio",
        "std::fs",
        "std::process",
        "SystemTime",
        "Instant::now",
        "Clock::system",
        "TcpListener",
        "TcpStream",
        "UdpSocket",
        "UnixListener",
        "UnixStream",
        "ToSocketAddrs",
    ];
    let mut wrong = String::new();
    for file in rust_files(Path::new("src")) {
        if is_test(&file) || !["origin", "identity", "protocol", "pairing"].contains(&room_of(&file).as_str()) {
            continue;
        }
        let code = code_only(&read(&file));
        let own = code.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in own.lines().enumerate() {
            for word in reaches.iter().filter(|word| line.contains(**word)) {
                let _ = writeln!(wrong, "{}:{}: {word} in a room that only decides", file.display(), number + 1);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_module_of_the_map_has_its_file() {
    for module in modules_in_order(&read(Path::new("src/lib.rs"))) {
        let file = PathBuf::from(format!("src/{module}.rs"));
        assert!(file.is_file(), "src/lib.rs names {module}, but there is no {}", file.display());
        let lines = read(&file).lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines > 1, "{} is an empty placeholder", file.display());
    }
}

#[test]
fn files_are_short_and_say_why() {
    let mut wrong = String::new();
    for file in all_rust_files() {
        let text = read(&file);
        let (name, lines) = (file.display(), text.lines().count());
        if lines > FILE_LINES_MAX {
            let _ = writeln!(wrong, "{name}: {lines} lines, over {FILE_LINES_MAX}: it holds two concepts");
        }
        if !text.starts_with("//!") {
            let _ = writeln!(wrong, "{name}: does not open with `//!`: why does it exist?");
        }
        if file.file_name().is_some_and(|name| name == "mod.rs") {
            let _ = writeln!(wrong, "{name}: `foo.rs` beside `foo/`, no mod.rs");
        }
        let stem = file.file_stem().unwrap().to_string_lossy();
        if ["util", "utils", "common", "helpers", "helper", "manager", "misc"].contains(&&*stem) {
            let _ = writeln!(wrong, "{name}: a file is named by the concept it holds");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn functions_are_short() {
    let mut wrong = String::new();
    for file in all_rust_files() {
        for function in functions(&code_only(&read(&file))) {
            if function.lines > FUNCTION_LINES_MAX {
                let _ = writeln!(
                    wrong,
                    "{}:{}: {} has {} lines, over {FUNCTION_LINES_MAX}",
                    file.display(),
                    function.line,
                    function.name,
                    function.lines
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn nothing_is_left_half_done_or_switched_off() {
    // Spelled in two halves, so that this file does not find itself.
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("unimpl", "emented!(")];
    let switched_off = [concat!("#[ig", "nore"), concat!("#[all", "ow("), concat!("#![all", "ow(")];
    let mut wrong = String::new();
    for file in all_rust_files() {
        for (number, line) in read(&file).lines().enumerate() {
            let place = format!("{}:{}", file.display(), number + 1);
            for word in unfinished.iter().filter(|word| line.contains(**word)) {
                let _ = writeln!(wrong, "{place}: {word}: half-done does not merge");
            }
            for word in switched_off.iter().filter(|word| line.contains(**word)) {
                let _ = writeln!(wrong, "{place}: {word}: `#[expect(…, reason)]` for lints; no test is ever skipped");
            }
            if line.trim_start().starts_with(concat!("fn te", "st_")) {
                let _ = writeln!(wrong, "{place}: a test is named as the fact it shows");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn limits_stand_in_one_place() {
    // What a format or a kernel fixes, and nobody could set otherwise.
    let fixed = ["src/identity/headers.rs: FOLDED_BYTES_MAX"];
    let mut wrong = String::new();
    for file in rust_files(Path::new("src")).iter().filter(|file| !holds_limits(file)) {
        for line in code_only(&read(file)).lines() {
            let Some((_, rest)) = line.split_once("const ") else { continue };
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect();
            let limit = ["_MAX", "_WAIT", "_PERIOD", "_LIFE"].iter().any(|end| name.ends_with(end));
            let place = format!("{}: {name}", file.display());
            if limit && !is_test(file) && !fixed.contains(&place.as_str()) {
                let _ = writeln!(wrong, "{place}: a limit stands in src/base/limits.rs");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// `base::limits`, with the rooms of it that have a file of their own.
fn holds_limits(file: &Path) -> bool {
    file == Path::new("src/base/limits.rs") || file.starts_with("src/base/limits")
}

#[test]
fn log_lines_have_no_other_fields_than_telemetry_names() {
    let telemetry = read(Path::new("src/telemetry.rs"));
    let (_, list) = telemetry.split_once("pub const FIELDS").unwrap();
    let (_, list) = list.split_once("= [").unwrap();
    let list = list.split_once("];").unwrap().0;
    let mut unused: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    let named = unused.clone();
    let mut wrong = String::new();
    for file in rust_files(Path::new("src")) {
        for (line, field) in fields(&code_only(&read(&file))) {
            if !named.contains(&field.as_str()) {
                let _ = writeln!(wrong, "{}:{line}: {field}: misspelt, or new in telemetry::FIELDS", file.display());
            }
            unused.retain(|name| *name != field);
        }
    }
    assert!(wrong.is_empty() && unused.is_empty(), "\n{wrong}no line has: {unused:?}");
}

#[test]
fn nothing_strange_lies_at_the_top() {
    for name in names_at_the_top() {
        let known = name.starts_with('.') || name == "src" || TOP.contains(&name.as_str());
        assert!(known, "{name} has no place at the top of the tree");
    }
}

#[test]
fn no_secret_is_kept_in_the_tree() {
    for file in tracked_files() {
        let lower = file.to_lowercase();
        let named = [".pem", ".key", ".p12", ".sqlite", "gateway-token"].iter().any(|end| lower.ends_with(end));
        assert!(!named || lower.starts_with("tests/vectors/"), "{file} looks like a key or like state");
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into_owned();
        let found = text.split(concat!("PRIV", "ATE KEY-----")).skip(1).any(|rest| {
            let body = rest.chars().filter(|c| !c.is_whitespace());
            body.take_while(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).count() > 40
        });
        assert!(!found, "{file} holds a private key");
    }
}

#[test]
fn functions_are_measured_through_strings_comments_and_lifetimes() {
    let source = "fn a<'x>(s: &'x str) -> char { // }\n let _ = [1,\n2\n]; let _ = \"}\\\"}\"; /* } /* } */ */ let _ = r#\"}\"#; '}'\n}\nfn b();\n";
    let measured: Vec<_> = functions(&code_only(source)).into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(measured, [("a".to_owned(), 3)]);
}

#[test]
fn imports_by_super_are_followed_to_their_room() {
    let seen = |line: &str, file: &str| imported(line, Path::new(file));
    assert_eq!(seen("use crate::edge::proxy;", "src/core.rs"), ["edge"]);
    assert_eq!(seen("use super::edge;", "src/core.rs"), ["edge"]);
    assert_eq!(seen("use super::edge;", "src/core/session.rs"), Vec::<String>::new());
    assert_eq!(seen("use super::super::edge::A;", "src/core/session.rs"), ["edge"]);
}

// ---- Reading the tree --------------------------------------------------------------------

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut files = rust_files(Path::new("src"));
    files.extend(rust_files(Path::new("tests")));
    files
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What git keeps; in an unpacked archive without git, nothing can be told apart and the list is empty.
fn tracked_files() -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "-z"]).output();
    let listed = output.ok().filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    String::from_utf8(listed).unwrap().split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn names_at_the_top() -> Vec<String> {
    let mut names: Vec<_> =
        tracked_files().iter().map(|file| file.split('/').next().unwrap_or_default().to_owned()).collect();
    names.dedup();
    names
}
