//! What a later version will know.

use super::*;

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let mut all: Vec<(String, Expected)> = Vec::new();
    for table in ["limits", "store"] {
        all.push((format!("[«{table}»]"), |f| matches!(f, Fault::Later { .. })));
    }
    for (table, key) in [("core", "bind"), ("edge", "core")] {
        all.push((format!("[{table}]\n«{key}» = {{}}"), |f| matches!(f, Fault::Later { .. })));
    }
    all
}
