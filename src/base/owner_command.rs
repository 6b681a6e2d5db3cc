//! The exact command that the owner types to reach this instance: copied from a log or a list, it works as it stands.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::printable::is_plain as is_plain_char;

/// How the owner's commands find this instance.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnerCommand {
    config: Option<PathBuf>,
}

impl OwnerCommand {
    /// For an instance with this configuration file, or without one.
    pub fn new(config: Option<&Path>) -> Self {
        Self { config: config.map(Path::to_owned) }
    }

    /// `doorward WORDS`, with `--config FILE` where there is one.
    pub fn with(&self, words: &str) -> String {
        match &self.config {
            Some(file) => format!("doorward {words} --config {}", quoted_path(file)),
            None => format!("doorward {words}"),
        }
    }
}

/// `word` as a shell takes it for one word, on one line.
pub fn quoted(word: &str) -> String {
    quoted_bytes(word.as_bytes())
}

/// `path` as a shell takes it for one word, on one line; what is no text too.
pub fn quoted_path(path: &Path) -> String {
    quoted_bytes(path.as_os_str().as_bytes())
}

fn quoted_bytes(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    match std::str::from_utf8(word) {
        Ok(text) if text.chars().all(is_plain_char) => format!("'{}'", text.replace('\'', r"'\''")),
        // POSIX's dollar-single-quotes: the only way to write a line's end, or a byte that is no text, within one line.
        _ => format!("$'{}'", word.iter().map(escaped).collect::<String>()),
    }
}

fn escaped(byte: &u8) -> String {
    match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        // In octal: of hexadecimal digits a shell may take as many as follow.
        _ => format!("\\{byte:03o}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_configuration_so_that_a_shell_takes_it_as_one_word() {
        for (file, command) in [
            (None, "doorward devices approve r-1"),
            (Some("/etc/doorward.toml"), "doorward devices approve r-1 --config /etc/doorward.toml"),
            (Some("/home/Ann's house/d.toml"), r"doorward devices approve r-1 --config '/home/Ann'\''s house/d.toml'"),
            (Some("/x/$(id)"), "doorward devices approve r-1 --config '/x/$(id)'"),
        ] {
            assert_eq!(OwnerCommand::new(file.map(Path::new)).with("devices approve r-1"), command);
        }
    }

    #[test]
    fn a_shell_takes_what_is_quoted_for_what_it_was_and_it_stands_on_one_line() {
        let words: [&[u8]; 9] = [
            b"/etc/a.pem",
            b"two words",
            b"Ann's",
            b"$(id) `id` \"x\" !",
            b"a\nb",
            b"a\n'\\'1",
            b"\xff\xfe1",
            "\u{202e}gnp\u{1b}[2J".as_bytes(),
            "\u{17c}\u{f3}\u{142}w".as_bytes(),
        ];
        for word in words {
            let quoted = quoted_bytes(word);
            assert!(quoted.chars().all(is_plain_char), "{quoted:?}");
            let script = format!("printf %s {quoted}");
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, word, "{quoted}");
        }
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("\u{17c}"), "'\u{17c}'", "a person reads it");
    }
}
