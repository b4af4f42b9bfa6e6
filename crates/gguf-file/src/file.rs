use crate::cursor::Cursor;
use crate::header::{Header, Place};
use crate::value::Value;
use crate::{GgufError, TensorType, dequantise};
use memmap2::Mmap;
use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A memory-mapped GGUF file whose header has been checked.
///
/// As with any memory map, the file must not be modified in place while this value exists.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    map: Mmap,
    header: Header,
}

/// A tensor in its stored form.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// The format of the values in `bytes`.
    pub kind: TensorType,
    /// Outermost size first: a matrix is `[rows, columns]`.
    pub shape: &'a [usize],
    /// The blocks of all rows, one row after another. Their number matches `shape`.
    pub bytes: &'a [u8],
}

impl GgufFile {
    /// Maps a file and checks its header: versions 2 and 3 of the format.
    ///
    /// # Errors
    /// [`GgufError::Io`], and [`GgufError::Field`] for the first part that is malformed or too large for the file.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let path = path.to_owned();
        // SAFETY: the map is read only, and the type requires that the file is not modified in the meantime.
        let map = File::open(&path).and_then(|file| unsafe { Mmap::map(&file) });
        let map = match map {
            Ok(map) => map,
            Err(source) => return Err(GgufError::Io { path, source }),
        };
        let header = Header::read(&path, &map)?;
        Ok(Self { path, map, header })
    }

    /// The path passed to [`GgufFile::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The string under a metadata key; `None` if the key is missing.
    ///
    /// # Errors
    /// [`GgufError::Field`] if the value has another type or is not UTF-8.
    pub fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        self.scalar(key, "a string", Value::as_text)
    }

    /// The integer (of any width) under a metadata key; `None` if the key is missing.
    ///
    /// # Errors
    /// [`GgufError::Field`] if the value has another type, or is 2⁶³ or larger.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, GgufError> {
        self.scalar(key, "a whole number", Value::as_integer)
    }

    /// The float under a metadata key; `None` if the key is missing. A 32-bit float is read as its shortest decimal
    /// (`1e-5`, not `9.99999974e-6`).
    ///
    /// # Errors
    /// [`GgufError::Field`] if the value has another type.
    pub fn float(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.scalar(key, "a number", Value::as_float)
    }

    /// The array of strings under a metadata key; `None` if the key is missing.
    ///
    /// # Errors
    /// [`GgufError::Field`] if the value is not an array, or an element is not a UTF-8 string.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, GgufError> {
        self.array(key, "a string", Value::as_text)
    }

    /// The array of integers (of any width) under a metadata key; `None` if the key is missing.
    ///
    /// # Errors
    /// [`GgufError::Field`] if the value is not an array, or an element is not an integer below 2⁶³.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, GgufError> {
        self.array(key, "a whole number", Value::as_integer)
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, Tensor<'_>)> {
        let tensors = self.header.tensors.iter();
        tensors.map(|(name, place)| (name.as_str(), self.tensor_at(place)))
    }

    /// The tensor with this name; `None` if there is none.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        self.header.tensors.get(name).map(|place| self.tensor_at(place))
    }

    /// An error for a part of the file that the caller cannot use, such as a value its architecture does not allow.
    pub fn error(&self, field: &str, expected: impl Into<String>, found: impl Display) -> GgufError {
        self.cursor(&[]).error(field, expected, found)
    }

    /// Like [`GgufFile::error`], where the value of a metadata key, or its absence, is what was found.
    pub fn unexpected(&self, key: &str, expected: impl Into<String>) -> GgufError {
        match self.value(key) {
            Ok(Some(value)) => self.error(key, expected, value),
            Ok(None) => self.error(key, expected, "nothing"),
            Err(error) => error,
        }
    }

    fn cursor<'a>(&'a self, bytes: &'a [u8]) -> Cursor<'a> {
        Cursor::new(&self.path, bytes)
    }

    fn value(&self, key: &str) -> Result<Option<Value<'_>>, GgufError> {
        let Some(entry) = self.header.entries.get(key) else {
            return Ok(None);
        };
        let mut cursor = self.cursor(&self.map[entry.range.clone()]);
        Value::read(&mut cursor, key, entry.kind).map(Some)
    }

    fn scalar<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.value(key)? else {
            return Ok(None);
        };
        convert(value).map(Some).ok_or_else(|| self.error(key, expected, value))
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        element: &str,
        convert: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, GgufError> {
        match self.value(key)? {
            Some(Value::Array(array)) => array.convert(&self.path, key, element, convert).map(Some),
            Some(other) => Err(self.error(key, format!("an array, each element {element}"), other)),
            None => Ok(None),
        }
    }

    fn tensor_at<'a>(&'a self, place: &'a Place) -> Tensor<'a> {
        Tensor {
            kind: place.kind,
            shape: &place.shape,
            bytes: &self.map[place.range.clone()],
        }
    }
}

impl Tensor<'_> {
    /// The values as `f32`, in row-major order.
    pub fn dequantise(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.shape.iter().product()];
        dequantise::dequantise(self.kind, self.bytes, &mut values);
        values
    }
}
