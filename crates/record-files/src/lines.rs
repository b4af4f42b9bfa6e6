//! One JSON object per line. Lines end at the byte `\n` only, because texts may contain other Unicode line separators.

use crate::{Place, Position, Record, RecordError};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a line, 64 MiB. A longer one is skipped without being read into memory.
pub const LONGEST_LINE: u64 = 64 << 20;

/// Written by some editors at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(crate) struct Lines {
    path: Arc<Path>,
    reader: BufReader<File>,
    /// Number of lines read so far.
    line: u64,
    /// Whether a line that is not blank was read.
    begun: bool,
}

/// A line without its end; `None` where it is too long.
type Line = Option<Vec<u8>>;

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(|source| RecordError::io(path, source))?;
        Ok(Self {
            path: path.into(),
            reader: BufReader::new(file),
            line: 0,
            begun: false,
        })
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> Result<Option<Line>, RecordError> {
        loop {
            let read = self.read_line();
            let Some(line) = read.map_err(|source| RecordError::io(&self.path, source))? else {
                return Ok(None);
            };
            match line {
                Some(bytes) if bytes.trim_ascii().is_empty() => {}
                line => return Ok(Some(line)),
            }
        }
    }

    fn read_line(&mut self) -> std::io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let most = LONGEST_LINE + 1;
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.line == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if read as u64 == most {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(None));
        }
        Ok(Some(Some(bytes)))
    }

    fn record(&self, line: Line) -> Result<Record, RecordError> {
        let Some(bytes) = line else {
            let expected = format!("a line of at most {LONGEST_LINE} bytes");
            return Err(self.error(expected, "a longer one"));
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let found = format!("other bytes after {} of them; convert the file", error.valid_up_to());
            self.error("UTF-8", found)
        })?;
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Record::new(self.place(), fields, Arc::default())),
            Ok(other) => Err(self.error("a JSON object", kind(&other))),
            Err(error) => {
                // The parser is given a single line, so its messages say line 1.
                let message = error.to_string();
                let problem = message.split(" at line ").next().unwrap_or(&message);
                Err(self.error("a JSON object", format!("{problem} at column {}", error.column())))
            }
        }
    }

    fn place(&self) -> Place {
        Place {
            path: self.path.clone(),
            position: Position::Line(self.line),
        }
    }

    fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> RecordError {
        RecordError::Record {
            place: self.place(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.next_line().transpose()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first
            && line
                .as_ref()
                .is_some_and(|bytes| bytes.trim_ascii_start().starts_with(b"["))
        {
            return Some(Err(RecordError::Unreadable {
                place: self.place(),
                expected: "one JSON object per line".to_owned(),
                found: "a JSON array; `jq -c '.[]' FILE > FILE.jsonl` writes its elements as lines".to_owned(),
            }));
        }
        Some(self.record(line))
    }
}

pub(crate) fn count(path: &Path) -> Result<u64, RecordError> {
    let mut lines = Lines::open(path)?;
    let mut count = 0;
    while lines.next_line()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
