//! Reads GGUF's numbers and strings from bytes. Every length is checked before it is used.

use crate::GgufError;
use std::fmt::Display;
use std::path::Path;

/// Longest key or tensor name; the format's own limits are 65535 and 64.
const MAX_NAME: u64 = 65_535;

/// A position in some bytes of a file.
pub(crate) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// `path` is for messages.
    pub(crate) fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self {
            path,
            bytes,
            position: 0,
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    pub(crate) fn error(&self, field: &str, expected: impl Into<String>, found: impl Display) -> GgufError {
        GgufError::Field {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    pub(crate) fn take(&mut self, field: &str, count: u64) -> Result<&'a [u8], GgufError> {
        let rest = self.rest();
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let taken = taken.ok_or_else(|| self.error(field, format!("{count} bytes"), format!("{} left", rest.len())))?;
        self.position += taken.len();
        Ok(taken)
    }

    /// The bytes of one number.
    pub(crate) fn number<const N: usize>(&mut self, field: &str) -> Result<[u8; N], GgufError> {
        let found = self.rest();
        let Some(number) = found.first_chunk() else {
            return Err(self.error(field, format!("{N} bytes"), format!("{} left", found.len())));
        };
        self.position += N;
        Ok(*number)
    }

    pub(crate) fn u32(&mut self, field: &str) -> Result<u32, GgufError> {
        self.number(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &str) -> Result<u64, GgufError> {
        self.number(field).map(u64::from_le_bytes)
    }

    /// A string, which need not be UTF-8.
    pub(crate) fn text(&mut self, field: &str) -> Result<&'a [u8], GgufError> {
        let length = self.u64(field)?;
        self.take(field, length)
    }

    /// A key or tensor name.
    pub(crate) fn name(&mut self, field: &str) -> Result<&'a str, GgufError> {
        let length = self.u64(field)?;
        if length > MAX_NAME {
            return Err(self.error(field, format!("at most {MAX_NAME} bytes"), length));
        }
        let bytes = self.take(field, length)?;
        std::str::from_utf8(bytes).map_err(|error| self.error(field, "UTF-8 text", error))
    }

    /// Refuses a count that the rest of the file cannot hold at the fewest bytes per item.
    pub(crate) fn check_count(&self, field: &str, count: u64, smallest: u64) -> Result<(), GgufError> {
        let room = self.rest().len() as u64 / smallest;
        if count > room {
            return Err(self.error(field, format!("at most {room}, by the size of the file"), count));
        }
        Ok(())
    }
}
