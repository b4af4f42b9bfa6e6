//! The files of a Punkt model: what was learned about abbreviations and sentences in a language.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::BenchError;

/// How a word has been seen in the texts the model was made of: places and cases as bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen(u32);

impl Seen {
    const FIRST_UPPER: u32 = 1 << 1;
    const INSIDE_UPPER: u32 = 1 << 2;
    const SOMEWHERE_UPPER: u32 = 1 << 3;
    const FIRST_LOWER: u32 = 1 << 4;
    const INSIDE_LOWER: u32 = 1 << 5;
    const SOMEWHERE_LOWER: u32 = 1 << 6;

    pub(super) fn upper(self) -> bool {
        self.0 & (Self::FIRST_UPPER | Self::INSIDE_UPPER | Self::SOMEWHERE_UPPER) != 0
    }

    pub(super) fn lower(self) -> bool {
        self.0 & (Self::FIRST_LOWER | Self::INSIDE_LOWER | Self::SOMEWHERE_LOWER) != 0
    }

    pub(super) fn upper_inside(self) -> bool {
        self.0 & Self::INSIDE_UPPER != 0
    }

    pub(super) fn lower_first(self) -> bool {
        self.0 & Self::FIRST_LOWER != 0
    }
}

pub(super) struct Model {
    /// In lower case, without the point at the end.
    abbreviations: HashSet<String>,
    /// A word with a point after it, and the word that often follows.
    collocations: HashSet<(String, String)>,
    starters: HashSet<String>,
    seen: HashMap<String, Seen>,
}

impl Model {
    pub(super) fn read(folder: &Path) -> Result<Self, BenchError> {
        Ok(Self {
            abbreviations: table(folder, "abbrev_types.txt", "one word", word)?,
            collocations: table(folder, "collocations.tab", "two words and a tab between them", pair)?,
            starters: table(folder, "sent_starters.txt", "one word", word)?,
            seen: table(folder, "ortho_context.tab", "a word, a tab and an integer", seen)?,
        })
    }

    pub(super) fn is_abbreviation(&self, word: &str) -> bool {
        self.abbreviations.contains(word)
    }

    pub(super) fn is_collocation(&self, first: &str, second: &str) -> bool {
        self.collocations.contains(&(first.to_owned(), second.to_owned()))
    }

    pub(super) fn is_starter(&self, word: &str) -> bool {
        self.starters.contains(word)
    }

    pub(super) fn seen(&self, word: &str) -> Seen {
        self.seen.get(word).copied().unwrap_or_default()
    }
}

fn word(columns: &[&str]) -> Option<String> {
    match columns {
        [word] => Some(word.to_string()),
        _ => None,
    }
}

fn pair(columns: &[&str]) -> Option<(String, String)> {
    match columns {
        [first, second] => Some((first.to_string(), second.to_string())),
        _ => None,
    }
}

fn seen(columns: &[&str]) -> Option<(String, Seen)> {
    match columns {
        [word, bits] => Some((word.to_string(), Seen(bits.parse().ok()?))),
        _ => None,
    }
}

/// The lines of a file, whose columns are separated by tabs.
fn table<T, C: FromIterator<T>>(
    folder: &Path,
    name: &str,
    expected: &'static str,
    row: fn(&[&str]) -> Option<T>,
) -> Result<C, BenchError> {
    let path = folder.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(BenchError::NoPunkt { path, source }),
    };
    let rows = text.lines().enumerate().map(|(index, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        row(&columns).ok_or_else(|| malformed(path.clone(), index + 1, expected, line))
    });
    rows.collect()
}

fn malformed(path: PathBuf, line: usize, expected: &'static str, found: &str) -> BenchError {
    let found = found.to_owned();
    BenchError::PunktLine {
        path,
        line,
        expected,
        found,
    }
}
