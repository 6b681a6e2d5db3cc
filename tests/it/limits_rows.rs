//! The table of attacks on secrets and limits, `tests/vectors/limits_rows.txt`, has every row and names tests that exist.

use super::support::named_tests::rows_of;

/// The catalogue's numbers.
const ROWS: [u16; 13] = [124, 125, 126, 127, 129, 131, 132, 133, 134, 135, 138, 155, 194];

#[test]
fn every_row_of_the_limits_catalogue_has_tests_and_each_exists() {
    assert_eq!(rows_of(include_str!("../vectors/limits_rows.txt")), ROWS);
}
