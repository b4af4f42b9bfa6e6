//! Regular expressions in Python's dialect. Matching can fail: an expression with `$` or a look-around runs on a
//! backtracking engine, which gives up after a million steps.

use std::ops::Range;

use fancy_regex::Regex;

use crate::python_text::strip;
use crate::{BenchError, Task};

/// Python's `\s`, which is ours and the four separators.
pub(crate) const SPACE: &str = r"[\s\x1c-\x1f]";

/// A compiled expression and how the task file writes it.
pub(crate) struct Expression {
    pattern: String,
    regex: Regex,
}

/// An expression that does not compile, or that the engine gave up on.
pub(crate) struct ExpressionError {
    pub(crate) pattern: String,
    pub(crate) source: Box<fancy_regex::Error>,
}

impl ExpressionError {
    /// As the error of a task that cannot be opened.
    pub(crate) fn in_task(self, task: &Task, field: &'static str) -> BenchError {
        BenchError::Expression {
            task: task.task.clone(),
            field,
            pattern: self.pattern,
            source: self.source,
        }
    }

    /// As the error of an answer that cannot be scored.
    pub(crate) fn in_document(self, task: &Task, doc_id: usize, field: &'static str) -> BenchError {
        BenchError::Match {
            task: task.task.clone(),
            doc_id,
            field,
            pattern: self.pattern,
            source: self.source,
        }
    }
}

impl Expression {
    pub(crate) fn new(pattern: &str) -> Result<Self, ExpressionError> {
        Self::compiled(pattern, &translated(pattern))
    }

    /// With Python's flag `re.IGNORECASE`.
    pub(crate) fn ignoring_case(pattern: &str) -> Result<Self, ExpressionError> {
        Self::compiled(pattern, &format!("(?i){}", translated(pattern)))
    }

    fn compiled(pattern: &str, translated: &str) -> Result<Self, ExpressionError> {
        let regex = Regex::new(translated).map_err(|source| failure(pattern, source))?;
        Ok(Self {
            pattern: pattern.to_owned(),
            regex,
        })
    }

    /// Whether it matches anywhere in a text.
    pub(crate) fn is_in(&self, text: &str) -> Result<bool, ExpressionError> {
        self.regex
            .is_match(text)
            .map_err(|source| failure(&self.pattern, source))
    }

    /// Where it matches; no match overlaps another.
    pub(crate) fn ranges(&self, text: &str) -> Result<Vec<Range<usize>>, ExpressionError> {
        let ranges = self.regex.find_iter(text).map(|found| Ok(found?.range()));
        ranges
            .collect::<Result<_, _>>()
            .map_err(|source| failure(&self.pattern, source))
    }

    /// How many matches there are.
    pub(crate) fn count(&self, text: &str) -> Result<usize, ExpressionError> {
        Ok(self.ranges(text)?.len())
    }

    /// A pattern that matches a text and nothing else.
    pub(crate) fn escaped(text: &str) -> String {
        fancy_regex::escape(text).into_owned()
    }

    /// Python's `re.sub(pattern, replacement, text, count)`; a count of 0 replaces every match. The replacement is in
    /// the engine's notation.
    pub(crate) fn replace(&self, text: &str, replacement: &str, count: usize) -> Result<String, ExpressionError> {
        let replaced = self.regex.try_replacen(text, count, replacement);
        Ok(replaced.map_err(|source| failure(&self.pattern, source))?.into_owned())
    }

    /// Python's `re.sub(pattern, "", text)`.
    pub(crate) fn delete(&self, text: &str) -> Result<String, ExpressionError> {
        let replaced = self.regex.try_replacen(text, 0, "");
        Ok(replaced.map_err(|source| failure(&self.pattern, source))?.into_owned())
    }

    /// Python's `re.findall`, then one of the matches (negative counts from the end); of several groups the first that
    /// is not empty; white space stripped. `None` when nothing matches, the index is out of range, or all of several
    /// groups are empty.
    pub(crate) fn select(&self, text: &str, select: i64) -> Result<Option<String>, ExpressionError> {
        let found = self.regex.captures_iter(text).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|source| failure(&self.pattern, source))?;
        let index = if select < 0 {
            found.len() as i64 + select
        } else {
            select
        };
        let captures = usize::try_from(index).ok().and_then(|index| found.get(index));
        let Some(captures) = captures else {
            return Ok(None);
        };
        let group = |index| captures.get(index).map_or("", |group| group.as_str());
        let chosen = match captures.len() {
            1 => Some(group(0)),
            2 => Some(group(1)),
            groups => (1..groups).map(group).find(|text| !text.is_empty()),
        };
        Ok(chosen.map(|text| strip(text).to_owned()))
    }
}

fn failure(pattern: &str, source: fancy_regex::Error) -> ExpressionError {
    ExpressionError {
        pattern: pattern.to_owned(),
        source: Box::new(source),
    }
}

/// Python's `$` also matches before a final newline and its `\Z` only at the very end. With `(?m)` in front `$` means
/// the same in both.
fn translated(pattern: &str) -> String {
    let flags = pattern.strip_prefix("(?").unwrap_or_default();
    let multiline = flags
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .any(|flag| flag == 'm');
    let characters: Vec<char> = pattern.chars().collect();
    let mut translated = String::with_capacity(pattern.len());
    // The index of the first member of the class that is open: a `]` there does not close it.
    let (mut escaped, mut class) = (false, None);
    for (index, &c) in characters.iter().enumerate() {
        match c {
            '$' if !escaped && class.is_none() && !multiline => translated.push_str(r"(?=\n?\z)"),
            'Z' if escaped && class.is_none() => translated.push('z'),
            _ => translated.push(c),
        }
        class = match (class, c) {
            (None, '[') if !escaped => Some(index + 1 + usize::from(characters.get(index + 1) == Some(&'^'))),
            (Some(first), ']') if !escaped && index > first => None,
            (class, _) => class,
        };
        escaped = c == '\\' && !escaped;
    }
    translated
}
