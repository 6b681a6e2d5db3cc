//! The names of all tests of the tree, for tables that say where what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// All of them.
pub(crate) fn named_tests() -> BTreeSet<String> {
    let (mut names, root) = (BTreeSet::new(), PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    for folder in ["src", "tests"] {
        for file in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(file).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let (true, Some((_, rest))) = (is_test, line.split_once("fn ")) {
                    names.insert(rest.split('(').next().unwrap().to_owned());
                    is_test = false;
                }
            }
        }
    }
    names
}

/// The numbers of a table's rows, `number | what | tests`, in their order. Each stands once and names tests that exist.
pub(crate) fn rows_of(table: &str) -> Vec<u16> {
    let (known, mut rows) = (named_tests(), BTreeMap::new());
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [row, what, tests] = parts[..] else { panic!("not a row: {line}") };
        for test in tests.split(", ") {
            assert!(known.contains(test), "{row} | {what}: there is no test {test}");
        }
        assert!(rows.insert(row.parse::<u16>().unwrap(), what).is_none(), "{row} stands twice");
    }
    rows.into_keys().collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}
