//! Records, and where they are.

use crate::{RecordError, lines, rows};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a record is. Displayed as `train.jsonl:12` or `train.parquet: row 11`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path passed to [`Records::open`].
    pub path: Arc<Path>,
    /// The line or row in the file.
    pub position: Position,
}

/// The position of a record in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A line of a JSONL file, counted from 1 as editors do.
    Line(u64),
    /// A row of a Parquet file, counted from 0 over all row groups.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.position {
            Position::Line(line) => write!(f, "{path}:{line}"),
            Position::Row(row) => write!(f, "{path}: row {row}"),
        }
    }
}

/// One JSON object of a file.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its fields, without those that JSON cannot represent: see [`Record::field`].
    pub fields: Map<String, Value>,
    place: Place,
    /// Fields of a Parquet file that JSON cannot represent, and why.
    unreadable: Arc<BTreeMap<String, String>>,
}

impl Record {
    pub(crate) fn new(place: Place, fields: Map<String, Value>, unreadable: Arc<BTreeMap<String, String>>) -> Self {
        Self {
            fields,
            place,
            unreadable,
        }
    }

    /// The file and the line or row in it, for messages.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The value of a field; `None` if the record does not have it.
    ///
    /// # Errors
    /// [`RecordError::Record`] if a Parquet file has the field, but JSON cannot represent its value: a time, bytes, a
    /// decimal, a map, or a number that is not finite.
    pub fn field(&self, name: &str) -> Result<Option<&Value>, RecordError> {
        match self.unreadable.get(name) {
            Some(found) => Err(self.error(
                format!("`{name}` to be text, a number, a truth value, a list or a struct of them"),
                found.clone(),
            )),
            None => Ok(self.fields.get(name)),
        }
    }

    /// An error that affects only this record.
    pub fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> RecordError {
        RecordError::Record {
            place: self.place.clone(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// An iterator over the records of one file, in order. It ends after an error that affects more than one record.
pub struct Records(Kind);

enum Kind {
    Lines(lines::Lines),
    Rows(Box<rows::Rows>),
    Ended,
}

impl Records {
    /// Opens a file: Parquet if its name ends in `.parquet`, otherwise one JSON object per line.
    ///
    /// Columns of a Parquet file whose type JSON cannot represent are left out (see [`Record::field`]).
    ///
    /// # Errors
    /// [`RecordError::Io`]; [`RecordError::Unreadable`] if it is not a Parquet file or has no column that can be read.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Self::open_with(path, None)
    }

    /// Opens a file and reads only these columns if it is a Parquet file. Records of a JSONL file have all their
    /// fields.
    ///
    /// # Errors
    /// As [`Records::open`], and if JSON cannot represent one of the columns.
    pub fn open_columns(path: &Path, columns: &[&str]) -> Result<Self, RecordError> {
        Self::open_with(path, Some(columns))
    }

    fn open_with(path: &Path, columns: Option<&[&str]>) -> Result<Self, RecordError> {
        let kind = if is_parquet(path) {
            Kind::Rows(Box::new(rows::Rows::open(path, columns)?))
        } else {
            Kind::Lines(lines::Lines::open(path)?)
        };
        Ok(Self(kind))
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match &mut self.0 {
            Kind::Lines(lines) => lines.next(),
            Kind::Rows(rows) => rows.next(),
            Kind::Ended => None,
        };
        let goes_on = match &found {
            Some(Ok(_)) => true,
            Some(Err(error)) => error.is_one_record(),
            None => false,
        };
        if !goes_on {
            self.0 = Kind::Ended;
        }
        found
    }
}

/// The number of records in a file, without parsing them. Records that cannot be read are counted too.
///
/// # Errors
/// As [`Records::open`].
pub fn count(path: &Path) -> Result<u64, RecordError> {
    if is_parquet(path) {
        rows::count(path)
    } else {
        lines::count(path)
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}
