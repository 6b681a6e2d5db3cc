//! Reads one table of the file: known keys only, typed, each value with its place. Collects what is wrong and
//! goes on, so that every problem of a file is told at once.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Problem;
use super::fault::Fault;

/// A table and the name an operator knows it by: `[edge]`, or nothing for the file itself.
pub(super) struct Section<'t> {
    name: String,
    table: &'t DeTable<'t>,
    span: Range<usize>,
}

/// The keys a table can have, and those that come in a later version with what to do until then.
pub(super) struct Keys {
    pub(super) known: &'static [&'static str],
    pub(super) later: &'static [(&'static str, &'static str)],
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, fault: Fault, span: &Range<usize>) {
        self.0.push(Problem { fault, span: span.clone() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_inner(self) -> Vec<Problem> {
        self.0
    }
}

impl<'t> Section<'t> {
    pub(super) fn new(
        name: String,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        keys: &Keys,
        problems: &mut Problems,
    ) -> Self {
        let section = Self { name, table, span };
        for key in section.table.keys() {
            section.check_key(key, keys, problems);
        }
        section
    }

    fn check_key(&self, key: &Spanned<std::borrow::Cow<'_, str>>, keys: &Keys, problems: &mut Problems) {
        let name = key.get_ref().as_ref();
        if keys.known.contains(&name) {
            return;
        }
        if let Some((_, instead)) = keys.later.iter().find(|(later, _)| *later == name) {
            problems.add(Fault::Later { what: name.to_owned(), instead }, &key.span());
            return;
        }
        let fault = Fault::UnknownKey {
            key: name.to_owned(),
            section: if self.name.is_empty() { "the top of the file".to_owned() } else { self.name.clone() },
            closest: closest(name, keys.known),
            known: keys.known,
        };
        problems.add(fault, &key.span());
    }

    /// Where the table stands: its header.
    pub(super) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// The place of a key's value, if it is there.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.value(key).map(Spanned::span)
    }

    /// Whether a list is absent or has no entry, as opposed to one whose entries are wrong.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.value(key).is_none_or(|value| value.get_ref().as_array().is_some_and(|list| list.iter().next().is_none()))
    }

    /// Whether a table stands there.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| value.get_ref().as_table().is_some())
    }

    fn value(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    fn typed<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
        problems: &mut Problems,
    ) -> Option<Placed<T>> {
        let found = self.value(key)?;
        let value = read(found.get_ref());
        if value.is_none() {
            problems.add(wrong_type(key, expected, found.get_ref()), &found.span());
        }
        value.map(|value| Placed { value, span: found.span() })
    }

    /// Text that is not empty.
    pub(super) fn text(&self, key: &'static str, problems: &mut Problems) -> Option<Placed<&'t str>> {
        self.typed(key, "text in quotes", |value| value.as_str().filter(|text| !text.trim().is_empty()), problems)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str, problems: &mut Problems) -> Option<Placed<bool>> {
        self.typed(key, "true or false", DeValue::as_bool, problems)
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &self,
        key: &'static str,
        bounds: RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<i64> {
        let number = self.typed(key, "a whole number", DeValue::as_integer, problems)?;
        let read = i64::from_str_radix(number.value.as_str(), number.value.radix()).ok();
        let within = read.filter(|number| bounds.contains(number));
        if within.is_none() {
            problems.add(Fault::Number { key, min: *bounds.start(), max: *bounds.end() }, &number.span);
        }
        within
    }

    /// A list of numbers within bounds, each with its place.
    pub(super) fn numbers(
        &self,
        key: &'static str,
        bounds: &RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<Placed<Vec<i64>>> {
        let list = self.typed(key, "a list of whole numbers in [brackets]", DeValue::as_array, problems)?;
        let mut numbers = Vec::new();
        for item in list.value.iter() {
            let read = item
                .get_ref()
                .as_integer()
                .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
            match read.filter(|number| bounds.contains(number)) {
                Some(number) => numbers.push(number),
                None => problems.add(Fault::Number { key, min: *bounds.start(), max: *bounds.end() }, &item.span()),
            }
        }
        Some(Placed { value: numbers, span: list.span })
    }

    /// A list of texts, each with its place.
    pub(super) fn texts(&self, key: &'static str, problems: &mut Problems) -> Option<Placed<Vec<Placed<&'t str>>>> {
        let list = self.typed(key, "a list of texts in [\"brackets\"]", DeValue::as_array, problems)?;
        let mut texts = Vec::new();
        for item in list.value.iter() {
            match item.get_ref().as_str() {
                Some(value) => texts.push(Placed { value, span: item.span() }),
                None => problems.add(wrong_type(key, "text in quotes", item.get_ref()), &item.span()),
            }
        }
        Some(Placed { value: texts, span: list.span })
    }

    /// Texts: a list of them, or just one.
    pub(super) fn one_or_more(&self, key: &'static str, problems: &mut Problems) -> Vec<Placed<&'t str>> {
        match self.value(key).map(|value| value.get_ref()) {
            Some(DeValue::Array(_)) => self.texts(key, problems).map(|list| list.value).unwrap_or_default(),
            _ => self.text(key, problems).into_iter().collect(),
        }
    }

    /// A list of words of a closed set, each once.
    pub(super) fn words<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
        later: &[(&str, &'static str)],
        problems: &mut Problems,
    ) -> Vec<T> {
        let texts = self.texts(key, problems).map(|list| list.value).unwrap_or_default();
        Self::known_words(key, &texts, words, later, problems)
    }

    /// Words of a closed set, each once: a list of them, or just one.
    pub(super) fn one_or_more_words<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Vec<T> {
        Self::known_words(key, &self.one_or_more(key, problems), words, &[], problems)
    }

    fn known_words<T: Copy + PartialEq>(
        key: &'static str,
        texts: &[Placed<&str>],
        words: &[(&'static str, T)],
        later: &[(&str, &'static str)],
        problems: &mut Problems,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for text in texts {
            match Self::known_word(key, text, words, later, problems) {
                Some(value) if values.contains(&value) => {
                    problems.add(Fault::NamedTwice(text.value.to_owned()), &text.span);
                }
                known => values.extend(known),
            }
        }
        values
    }

    /// A table whose keys are the operator's own names, each with a text.
    pub(super) fn texts_by_name(
        &self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Vec<(Placed<&'t str>, Placed<&'t str>)> {
        let Some(table) = self.typed(key, "a [table]", DeValue::as_table, problems) else { return Vec::new() };
        let mut texts = Vec::new();
        for (name, value) in table.value.iter() {
            let placed = Placed { value: name.get_ref().as_ref(), span: name.span() };
            match value.get_ref().as_str().filter(|text| !text.trim().is_empty()) {
                Some(text) => texts.push((placed, Placed { value: text, span: value.span() })),
                None => problems.add(wrong_type(placed.value, "text in quotes", value.get_ref()), &value.span()),
            }
        }
        texts
    }

    /// One of a closed set of words, in which case counts. `later` are words that a later version will know.
    pub(super) fn word<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
        later: &[(&str, &'static str)],
        problems: &mut Problems,
    ) -> Option<Placed<T>> {
        let text = self.text(key, problems)?;
        let known = Self::known_word(key, &text, words, later, problems);
        known.map(|value| Placed { value, span: text.span })
    }

    fn known_word<T: Copy>(
        key: &'static str,
        text: &Placed<&str>,
        words: &[(&'static str, T)],
        later: &[(&str, &'static str)],
        problems: &mut Problems,
    ) -> Option<T> {
        let known = words.iter().find(|(known, _)| *known == text.value).map(|(_, value)| *value);
        if known.is_none() {
            let allowed: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
            let fault = match later.iter().find(|(later, _)| *later == text.value) {
                Some((_, instead)) => Fault::Later { what: format!("{key} = {}", text.value), instead },
                None => {
                    let closest = closest(text.value, &allowed);
                    Fault::UnknownValue { key, text: text.value.to_owned(), closest, allowed }
                }
            };
            problems.add(fault, &text.span);
        }
        known
    }

    /// A table within this one.
    pub(super) fn table(&self, key: &'static str, keys: &Keys, problems: &mut Problems) -> Option<Section<'t>> {
        let table = self.typed(key, "a [table]", DeValue::as_table, problems)?;
        Some(Section::new(self.within(key, "[", "]"), table.value, table.span, keys, problems))
    }

    /// The tables of an array: `[[listener]]`.
    pub(super) fn tables(&self, key: &'static str, keys: &Keys, problems: &mut Problems) -> Vec<Section<'t>> {
        let expected = "tables with double brackets, as [[listener]]";
        let Some(list) = self.typed(key, expected, DeValue::as_array, problems) else { return Vec::new() };
        let mut sections = Vec::new();
        for item in list.value.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let name = self.within(key, "[[", "]]");
                    sections.push(Section::new(name, table, item.span(), keys, problems));
                }
                None => problems.add(wrong_type(key, expected, item.get_ref()), &item.span()),
            }
        }
        sections
    }

    fn within(&self, key: &str, open: &str, close: &str) -> String {
        match self.name.trim_matches(['[', ']']) {
            "" => format!("{open}{key}{close}"),
            outer => format!("{open}{outer}.{key}{close}"),
        }
    }
}

fn wrong_type(key: &str, expected: &'static str, found: &DeValue<'_>) -> Fault {
    let found = match found {
        DeValue::String(text) if text.trim().is_empty() => "empty text",
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Fault::WrongType { key: key.to_owned(), expected, found }
}

/// Whether a name that we know something by may have this character.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// The known word that a slip of the keyboard most likely meant.
pub(super) fn closest(text: &str, known: &[&'static str]) -> Option<&'static str> {
    let folded = text.to_ascii_lowercase().replace('-', "_");
    let near = |word: &&'static str| strsim::damerau_levenshtein(&folded, &word.replace('-', "_"));
    let best = known.iter().copied().min_by_key(near)?;
    (near(&best) <= 1.max(best.len() / 3)).then_some(best)
}
