//! Metadata values. The same code skips a value when a file is opened and reads it when it is requested.

use crate::GgufError;
use crate::cursor::Cursor;
use std::fmt;
use std::path::Path;

/// Deepest array of arrays. The format's files have depth 1.
const MAX_DEPTH: usize = 4;
/// Longest string quoted in a message.
const LONGEST_QUOTE: usize = 200;

/// A value in its stored form.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    /// A string, which need not be UTF-8.
    Text(&'a [u8]),
    Array(Array<'a>),
}

/// An array whose elements have been checked but not read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<'a> {
    /// Type of every element.
    kind: u32,
    length: u64,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads a value of type `kind`; `field` is its key.
    pub(crate) fn read(cursor: &mut Cursor<'a>, field: &str, kind: u32) -> Result<Self, GgufError> {
        Self::nested(cursor, field, kind, 0)
    }

    fn nested(cursor: &mut Cursor<'a>, field: &str, kind: u32, depth: usize) -> Result<Self, GgufError> {
        Ok(match kind {
            0 => Self::Unsigned(u8::from_le_bytes(cursor.number(field)?).into()),
            1 => Self::Signed(i8::from_le_bytes(cursor.number(field)?).into()),
            2 => Self::Unsigned(u16::from_le_bytes(cursor.number(field)?).into()),
            3 => Self::Signed(i16::from_le_bytes(cursor.number(field)?).into()),
            4 => Self::Unsigned(cursor.u32(field)?.into()),
            5 => Self::Signed(i32::from_le_bytes(cursor.number(field)?).into()),
            6 => Self::F32(f32::from_le_bytes(cursor.number(field)?)),
            7 => match cursor.number::<1>(field)? {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                [other] => return Err(cursor.error(field, "0 or 1 for a truth value", other)),
            },
            8 => Self::Text(cursor.text(field)?),
            9 => Self::Array(Array::read(cursor, field, depth)?),
            10 => Self::Unsigned(cursor.u64(field)?),
            11 => Self::Signed(i64::from_le_bytes(cursor.number(field)?)),
            12 => Self::F64(f64::from_le_bytes(cursor.number(field)?)),
            other => return Err(cursor.error(field, "a value type from 0 to 12", other)),
        })
    }

    pub(crate) fn as_integer(self) -> Option<i64> {
        match self {
            Self::Unsigned(value) => value.try_into().ok(),
            Self::Signed(value) => Some(value),
            _ => None,
        }
    }

    /// An f32 is converted by its shortest decimal: 1e-5 is stored as the nearest f32, but means 1e-5.
    pub(crate) fn as_float(self) -> Option<f64> {
        match self {
            Self::F32(value) => value.to_string().parse().ok(),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// For messages: short strings in full, arrays as their length only.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::F32(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if text.len() <= LONGEST_QUOTE => write!(f, "{text:?}"),
                Ok(text) => write!(f, "a string of {} bytes", text.len()),
                Err(_) => write!(f, "{} bytes that are not UTF-8", bytes.len()),
            },
            Self::Array(array) => write!(f, "an array of {}", array.length),
        }
    }
}

impl<'a> Array<'a> {
    fn read(cursor: &mut Cursor<'a>, field: &str, depth: usize) -> Result<Self, GgufError> {
        if depth >= MAX_DEPTH {
            return Err(cursor.error(field, format!("arrays nested at most {MAX_DEPTH} deep"), "more"));
        }
        let kind = cursor.u32(field)?;
        let length = cursor.u64(field)?;
        let bytes = cursor.rest();
        let fixed = match kind {
            0 | 1 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            7..=9 => None,
            10..=12 => Some(8),
            other => return Err(cursor.error(field, "an element type from 0 to 12", other)),
        };
        // A string takes at least the bytes of its length, an array those of its type and length.
        let smallest = fixed.unwrap_or(if kind == 7 { 1 } else { 8 });
        cursor.check_count(field, length, smallest)?;
        if fixed.is_some() {
            cursor.take(field, length * smallest)?;
        } else {
            for _ in 0..length {
                Value::nested(cursor, field, kind, depth + 1)?;
            }
        }
        let bytes = &bytes[..bytes.len() - cursor.rest().len()];
        Ok(Self { kind, length, bytes })
    }

    /// The elements, each converted by `convert`.
    ///
    /// # Errors
    /// [`GgufError::Field`] with `expected` if `convert` returns `None` for an element.
    pub(crate) fn convert<T>(
        self,
        path: &'a Path,
        field: &str,
        expected: &str,
        convert: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Vec<T>, GgufError> {
        let mut cursor = Cursor::new(path, self.bytes);
        // No capacity is reserved: for one-byte elements it would be many times the file's size, and the first element
        // may already be an error.
        let mut elements = Vec::new();
        for index in 0..self.length {
            let value = Value::read(&mut cursor, field, self.kind)?;
            let element = convert(value).ok_or_else(|| cursor.error(&format!("{field}[{index}]"), expected, value))?;
            elements.push(element);
        }
        Ok(elements)
    }
}
