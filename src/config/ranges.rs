//! `[ranges]`: lists of ranges by name, each a file; and the built-in ones, which a file of the same name replaces.

use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use time::Date;

use crate::base::clock::UnixMillis;
use crate::base::limits::RANGE_LIST_BYTES_MAX;
use crate::base::limits::RANGE_LIST_DAYS_MAX;
use crate::net::named;
use crate::net::named::NamedRanges;
use crate::net::range::Ranges;
use crate::net::range::Width;

use super::fault::Fault;
use super::section::{Problems, Section};

/// The lists that a configuration can name, and those it does name.
#[derive(Debug, Default)]
pub(super) struct Lists {
    own: Vec<OwnList>,
    used: Vec<Used>,
}

#[derive(Debug)]
struct OwnList {
    name: String,
    path: PathBuf,
    /// None if it cannot be used; that is reported.
    text: Option<String>,
}

/// A list that some listener trusts.
#[derive(Debug, Eq, PartialEq)]
struct Used {
    name: String,
    date: Option<Date>,
    /// None is built in.
    path: Option<PathBuf>,
}

impl Lists {
    /// Reads the files that `[ranges]` names; their paths count from `folder`.
    pub(super) fn read(root: &Section<'_>, folder: &Path, problems: &mut Problems) -> Self {
        let mut own = Vec::new();
        for (name, path) in root.texts_by_name("ranges", problems) {
            if !named::is_name(name.value) {
                problems.add(Fault::Name(name.value.to_owned()), &name.span);
            }
            let file = folder.join(path.value);
            let text = match read_text(&file) {
                Ok(text) => Some(text),
                Err(cause) => {
                    problems.add(Fault::RangeFile { path: file.clone(), cause: cause.to_string() }, &path.span);
                    None
                }
            };
            // How wide a range may be is each listener's own word; everything else is judged here.
            let sound = text.filter(|text| match NamedRanges::parse(text, Width::Wide, &Ranges::default()) {
                Ok(_) => true,
                Err(cause) => {
                    problems.add(Fault::RangeList { name: name.value.to_owned(), cause }, &path.span);
                    false
                }
            });
            own.push(OwnList { name: name.value.to_owned(), path: file, text: sound });
        }
        Self { own, used: Vec::new() }
    }

    /// The ranges of the list `name`, no wider than `width` allows; none if the list is reported as unusable.
    pub(super) fn find(&mut self, name: &str, width: Width) -> Result<Option<Ranges>, Fault> {
        let built_in = NamedRanges::built_in(name);
        let (list, path) = match (self.own.iter().find(|list| list.name == name), built_in) {
            (Some(OwnList { text: None, .. }), _) => return Ok(None),
            (Some(OwnList { text: Some(text), path, .. }), built_in) => {
                let known = built_in.map(|list| list.ranges().clone()).unwrap_or_default();
                let list = NamedRanges::parse(text, width, &known);
                (list.map_err(|cause| Fault::RangeList { name: name.to_owned(), cause })?, Some(path.clone()))
            }
            (None, Some(list)) => (list, None),
            (None, None) => return Err(Fault::RangeName { text: name.to_owned(), known: self.names() }),
        };
        let used = Used { name: name.to_owned(), date: list.date(), path };
        if !self.used.contains(&used) {
            self.used.push(used);
        }
        Ok(Some(list.ranges().clone()))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.own.iter().map(|list| list.name.clone()).collect();
        names.extend(named::BUILT_IN.map(str::to_owned));
        names.sort();
        names.dedup();
        names
    }

    /// Of which day each list is that somebody trusts.
    pub(super) fn notes(&self) -> Vec<String> {
        self.used.iter().map(Used::note).collect()
    }

    /// Lists whose age is too high, or that nobody knows.
    pub(super) fn warnings(&self, now: UnixMillis) -> Vec<String> {
        self.used.iter().filter_map(|list| list.warning(now)).collect()
    }
}

impl Used {
    fn note(&self) -> String {
        let date = self.date.map_or("without a date".to_owned(), |date| format!("of {date}"));
        match &self.path {
            Some(path) => format!("ranges {}: the list {date}, from {}", self.name, path.display()),
            None => format!("ranges {}: the list {date}, built in", self.name),
        }
    }

    fn warning(&self, now: UnixMillis) -> Option<String> {
        let name = &self.name;
        let mend = "a provider gives addresses up, and who has them next would be trusted";
        let Some(date) = self.date else {
            return Some(format!(
                "ranges {name}: its file has no `# date: 2026-10-05` line, so nobody knows its age; {mend}"
            ));
        };
        let seconds = i64::try_from(now.seconds()).unwrap_or_default();
        let days = seconds.saturating_sub(date.midnight().assume_utc().unix_timestamp()) / 86_400;
        (days > RANGE_LIST_DAYS_MAX).then(|| {
            format!("ranges {name}: the list of {date} is {days} days old; {mend}: name a newer file in [ranges]")
        })
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    super::open(path)?.take(RANGE_LIST_BYTES_MAX.saturating_add(1)).read_to_string(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= RANGE_LIST_BYTES_MAX => Ok(text),
        _ => Err(io::Error::other(format!("more than {RANGE_LIST_BYTES_MAX} bytes"))),
    }
}

#[cfg(test)]
mod tests;
