//! The table of bad input and faults around TLS, redirects and certificates, `tests/vectors/tls_rows.txt`, has every row and
//! names tests that exist.

use super::support::named_tests::rows_of;

/// The catalogue's numbers: what it once had between them it has no more.
const ROWS: [u16; 20] =
    [100, 101, 102, 103, 104, 105, 106, 108, 109, 110, 112, 113, 114, 115, 117, 118, 119, 120, 122, 123];

#[test]
fn every_row_of_the_catalogue_has_tests_and_each_exists() {
    assert_eq!(rows_of(include_str!("../vectors/tls_rows.txt")), ROWS);
}
