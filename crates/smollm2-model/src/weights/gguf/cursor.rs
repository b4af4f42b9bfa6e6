//! Reading GGUF's typed values from bytes without trusting a length in them.

use std::{fmt, path::Path};

use crate::ModelError;

/// Longest key or tensor name; the format's own limits are 65535 and 64.
const MAX_NAME: u64 = 65_535;
/// Longest string value kept; longer ones (chat templates) are of no use here and only counted.
const MAX_STRING: usize = 4096;
/// Deepest array of arrays. The format's files have depth 1.
const MAX_DEPTH: usize = 4;

/// A metadata value, as far as a model configuration needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// A 32-bit float (a 64-bit one is rounded: no key this crate reads has one).
    Float(f32),
    /// A truth value.
    Bool(bool),
    /// A short string.
    Text(String),
    /// A long string: its bytes.
    LongText(u64),
    /// An array: its length.
    Array(u64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::LongText(length) => write!(f, "a string of {length} bytes"),
            Self::Array(length) => write!(f, "an array of {length}"),
        }
    }
}

/// A position in the file's bytes.
pub(super) struct Cursor<'a> {
    path: &'a Path,
    file: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, file: &'a [u8]) -> Self {
        Self {
            path,
            file,
            position: 0,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn remaining(&self) -> usize {
        self.file.len() - self.position
    }

    pub(super) fn error(&self, field: &str, expected: impl Into<String>, found: impl ToString) -> ModelError {
        ModelError::Gguf {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    pub(super) fn bytes(&mut self, field: &str, count: u64) -> Result<&'a [u8], ModelError> {
        let rest = &self.file[self.position..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let taken = taken.ok_or_else(|| self.error(field, format!("{count} bytes"), format!("{} left", rest.len())))?;
        self.position += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N], ModelError> {
        let bytes = self.bytes(field, N as u64)?;
        bytes
            .try_into()
            .map_err(|_| self.error(field, format!("{N} bytes"), bytes.len()))
    }

    pub(super) fn u32(&mut self, field: &str) -> Result<u32, ModelError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &str) -> Result<u64, ModelError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A key or tensor name.
    pub(super) fn name(&mut self, field: &str) -> Result<String, ModelError> {
        let length = self.u64(field)?;
        if length > MAX_NAME {
            return Err(self.error(field, format!("at most {MAX_NAME} bytes"), length));
        }
        let bytes = self.bytes(field, length)?;
        let name = std::str::from_utf8(bytes).map_err(|error| self.error(field, "UTF-8 text", error))?;
        Ok(name.to_owned())
    }

    /// A typed value; `field` is its key.
    pub(super) fn value(&mut self, field: &str) -> Result<Value, ModelError> {
        let kind = self.u32(field)?;
        self.value_of(field, kind, 0)
    }

    fn value_of(&mut self, field: &str, kind: u32, depth: usize) -> Result<Value, ModelError> {
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.array(field)?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.array(field)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array(field)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array(field)?).into()),
            4 => Value::Unsigned(self.u32(field)?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array(field)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array(field)?)),
            7 => match self.array::<1>(field)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(self.error(field, "0 or 1 for a truth value", other)),
            },
            8 => self.text(field)?,
            9 => self.array_value(field, depth)?,
            10 => Value::Unsigned(self.u64(field)?),
            11 => Value::Signed(i64::from_le_bytes(self.array(field)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(field)?) as f32),
            other => return Err(self.error(field, "a value type from 0 to 12", other)),
        })
    }

    fn text(&mut self, field: &str) -> Result<Value, ModelError> {
        let length = self.u64(field)?;
        let bytes = self.bytes(field, length)?;
        // Token strings need not be UTF-8; the few texts a configuration reads are.
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= MAX_STRING => Value::Text(text.to_owned()),
            _ => Value::LongText(length),
        })
    }

    /// Walks over an array: nothing is kept of it but its length.
    fn array_value(&mut self, field: &str, depth: usize) -> Result<Value, ModelError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(field, format!("arrays nested at most {MAX_DEPTH} deep"), "more"));
        }
        let kind = self.u32(field)?;
        let length = self.u64(field)?;
        match kind {
            0 | 1 | 7 => self.skip(field, length, 1)?,
            2 | 3 => self.skip(field, length, 2)?,
            4..=6 => self.skip(field, length, 4)?,
            10..=12 => self.skip(field, length, 8)?,
            8 | 9 => {
                // A string has at least its length, an array its type and length.
                let room = self.remaining() as u64 / 8;
                if length > room {
                    let expected = format!("at most {room} elements, by the size of the file");
                    return Err(self.error(field, expected, length));
                }
                for _ in 0..length {
                    if kind == 8 {
                        let bytes = self.u64(field)?;
                        self.skip(field, bytes, 1)?;
                    } else {
                        self.array_value(field, depth + 1)?;
                    }
                }
            }
            other => return Err(self.error(field, "an element type from 0 to 12", other)),
        }
        Ok(Value::Array(length))
    }

    /// Passes over `count` numbers of `size` bytes.
    fn skip(&mut self, field: &str, count: u64, size: u64) -> Result<(), ModelError> {
        let bytes = count.checked_mul(size);
        let bytes = bytes.ok_or_else(|| self.error(field, "a length the file can hold", count))?;
        self.bytes(field, bytes).map(|_| ())
    }
}
