//! How much is said of one slip.

use super::*;

#[test]
fn one_slip_of_the_syntax_is_told_once() {
    let Err(ConfigError::Invalid(report)) =
        parse("[edge]\nnames = [\"a.local\"\n[[listener]]\nbind = [\"127.0.0.1:1\"]\n")
    else {
        panic!("a bracket is missing")
    };
    assert_eq!(report.to_string().matches("not valid toml").count(), 1, "{report}");
}
