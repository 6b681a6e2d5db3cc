//! Promise: what the fuzz targets of `tests/fuzz` check holds for every seed kept there, for its beginnings, and for the
//! seed with one byte changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "tests/fuzz has it as a crate of its own")]
mod properties;

/// One test for each target, by its name.
macro_rules! replayed {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), properties::$target::holds);
            }
        )*
    };
}

replayed! { assertion configuration connect forwarded proxy_protocol x_forwarded_for }

/// Gives `holds` every seed of a target, each of its beginnings, and the seed with one bit changed at each place.
fn replay(target: &str, holds: fn(&[u8])) {
    for seed in fs::read_dir(Path::new("tests/fuzz/seeds").join(target)).unwrap() {
        let path = seed.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        println!("{}", path.display());
        holds(&bytes);
        for place in 0..bytes.len() {
            holds(&bytes[..place]);
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 7);
            holds(&changed);
        }
    }
}

#[test]
fn every_fuzz_target_has_seeds_that_are_replayed() {
    let names = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let replayed: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names("tests/fuzz/targets"), replayed);
    assert_eq!(names("tests/fuzz/seeds"), replayed);
    for name in &replayed {
        assert!(!names(&format!("tests/fuzz/seeds/{name}")).is_empty(), "{name}");
    }
}
