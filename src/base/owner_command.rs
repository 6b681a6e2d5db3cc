//! The exact command that the owner types to reach this instance: copied from a log or a list, it works as it stands.

use std::path::{Path, PathBuf};

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
            Some(file) => format!("doorward {words} --config {}", quoted(&file.display().to_string())),
            None => format!("doorward {words}"),
        }
    }
}

/// `word` as a shell takes it for one word.
pub fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+:@%,=".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
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
}
