//! A terminal, what is on its screen, and who reads a code from it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::instance::Instance;
use super::namespace::Namespace;
use super::program::{installed, run};

/// What `doorward ARGUMENTS` of this instance shows on a terminal of its own.
pub(crate) fn shown(machine: &Namespace, doorward: &Instance<'_>, arguments: &[&str]) -> String {
    let mut script = machine.command(&installed("script", "bsdutils"));
    script.args(["--quiet", "--return", "--flush", "--command"]);
    let file = doorward.folder().join("doorward.toml");
    let words = format!("{} --config {} {}", env!("CARGO_BIN_EXE_doorward"), file.display(), arguments.join(" "));
    let output = run(script.arg(words).arg("/dev/null").current_dir(doorward.folder()).stdin(Stdio::null()));
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

/// What the code on a screen says to a reader that shares no code with its writer.
pub(crate) fn scanned(screen: &str, folder: &Path) -> String {
    const SCALE: usize = 8;
    const BLACK: u8 = 0;
    const WHITE: u8 = 255;
    let lines = screen.lines().filter_map(|line| line.strip_prefix("\x1b[30;107m")?.strip_suffix("\x1b[0m"));
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        // Black blocks on a white ground: each character is two dots, one above the other.
        let dots = |upper: bool| {
            line.chars().map(move |char| match (char, upper) {
                ('█', _) | ('▀', true) | ('▄', false) => BLACK,
                (' ' | '▀' | '▄', _) => WHITE,
                _ => panic!("{char:?}"),
            })
        };
        for upper in [true, false] {
            let row: Vec<u8> = dots(upper).flat_map(|dot| [dot; SCALE]).collect();
            rows.extend(std::iter::repeat_n(row, SCALE));
        }
    }
    let (width, height) = (rows.first().expect("no code on the screen").len(), rows.len());
    let image = folder.join("code.pgm");
    fs::write(&image, [format!("P5 {width} {height} 255\n").into_bytes(), rows.concat()].concat()).unwrap();
    let read = run(Command::new(installed("zbarimg", "zbar-tools")).args(["--quiet", "--raw"]).arg(&image));
    String::from_utf8(read.stdout).unwrap().trim().to_owned()
}
