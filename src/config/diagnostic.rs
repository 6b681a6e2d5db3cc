//! What an operator reads when a configuration is refused: file, line and column, the line itself, what is wrong
//! with exactly that value, and what to write instead. All problems at once, so that one edit mends them.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::fault::Fault;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
}

/// Everything that is wrong with one file, in the order of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    file: PathBuf,
    text: String,
    problems: Vec<Problem>,
}

impl Report {
    pub(super) fn new(file: PathBuf, text: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        problems.dedup();
        Self { file, text, problems }
    }

    /// The problems, first in the file first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Line and column of a place, both from 1; columns count characters.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(start..).map_or(0, |line| line.chars().count());
        (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let (line, column) = self.line_and_column(problem.span.start);
            writeln!(f, "{}:{line}:{column}: {}", self.file.display(), problem.fault)?;
            // The line is the operator's own, but a stray escape in it must not reach the terminal.
            let shown: String = self
                .text
                .lines()
                .nth(line.saturating_sub(1))
                .unwrap_or_default()
                .chars()
                .map(|char| if char == '\t' { ' ' } else { char })
                .map(|char| if char.is_control() { '\u{fffd}' } else { char })
                .collect();
            let rest = shown.chars().count().saturating_sub(column.saturating_sub(1)).max(1);
            let marked = self
                .text
                .get(problem.span.clone())
                .map_or(1, |text| text.lines().next().map_or(1, |first| first.chars().count()));
            let (indent, marks) = (" ".repeat(column.saturating_sub(1)), "^".repeat(marked.clamp(1, rest)));
            writeln!(f, "{line:>5} | {shown}\n      | {indent}{marks}")?;
            writeln!(f, "hint: {}", problem.fault.hint())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, span: Range<usize>) -> Report {
        Report::new("d.toml".into(), text.to_owned(), vec![Problem { fault: Fault::Missing { key: "bind" }, span }])
    }

    #[test]
    fn a_problem_shows_its_place_its_line_and_a_hint() {
        let text = "a = 1\n\tname = \"żółw\" # x\n";
        let at = text.find("\"ż").unwrap();
        let shown = report(text, at..at + "\"żółw\"".len()).to_string();
        assert_eq!(
            shown,
            "d.toml:2:9: a key is missing: bind\n    2 |  name = \"żółw\" # x\n      |         ^^^^^^\nhint: add `bind` here\n"
        );
    }

    #[test]
    fn any_place_can_be_shown() {
        for text in ["", "\n", "a", "a\r\nb", "\u{1b}[31m", "é"] {
            for start in 0..text.len() + 2 {
                for end in start..text.len() + 3 {
                    let shown = report(text, start..end).to_string();
                    assert!(shown.contains('^') && !shown.contains('\u{1b}'), "{text:?} {start}..{end}: {shown}");
                }
            }
        }
    }
}
