//! The table of bad input and faults around TLS, redirects and certificates, `tests/vectors/tls_rows.txt`, has every row and
//! names tests that exist.

use std::collections::BTreeMap;

use super::support::named_tests::named_tests;

const TABLE: &str = include_str!("../vectors/tls_rows.txt");

/// The catalogue's numbers: what it once had between them it has no more.
const ROWS: [u16; 20] =
    [100, 101, 102, 103, 104, 105, 106, 108, 109, 110, 112, 113, 114, 115, 117, 118, 119, 120, 122, 123];

#[test]
fn every_row_of_the_catalogue_has_tests_and_each_exists() {
    let (known, mut rows) = (named_tests(), BTreeMap::new());
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [row, what, tests] = parts[..] else { panic!("not a row: {line}") };
        for test in tests.split(", ") {
            assert!(known.contains(test), "{row} | {what}: there is no test {test}");
        }
        assert!(rows.insert(row.parse::<u16>().unwrap(), what).is_none(), "{row} stands twice");
    }
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), ROWS);
}
