//! One safetensors file, memory-mapped and checked before anything is read from it.
//!
//! Layout ([the format](https://github.com/huggingface/safetensors#format)): 8 bytes little-endian header length N,
//! N bytes of JSON `{name: {dtype, shape, data_offsets}, "__metadata__": {..}}`, then the tensors' bytes without gaps.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData};
use memmap2::Mmap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::element::{decode, dtype_from_name};
use crate::ModelError;

/// The format's own limit on the header.
const MAX_HEADER: u64 = 100_000_000;
/// Most dimensions any tensor of this crate's files may have.
const MAX_RANK: usize = 8;

/// Every tensor of a safetensors file by name, in the file's own element types.
///
/// # Errors
/// [`ModelError::Io`] and [`ModelError::Safetensors`]: the header is checked completely before a tensor is read.
pub fn read_safetensors(path: &Path) -> Result<BTreeMap<String, TensorData>, ModelError> {
    let file = SafetensorsFile::open(path)?;
    file.tensors()
        .map(|(name, _)| Ok((name.to_owned(), file.read(name)?)))
        .collect()
}

/// A mapped file whose header is known to be sound.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    map: Mmap,
    tensors: BTreeMap<String, StoredTensor>,
}

/// Where a tensor lies in the file.
#[derive(Debug)]
pub(super) struct StoredTensor {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    /// Bytes from the start of the file.
    start: usize,
    end: usize,
}

impl SafetensorsFile {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|error| ModelError::io("open", path, error))?;
        // SAFETY: the map is read only. As with every memory map, the bytes change under us if another process
        // rewrites the file in place; files written by this crate are replaced by renaming, which leaves maps intact.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| ModelError::io("map", path, error))?;
        let tensors = Header { path }.check(&map)?;
        Ok(Self {
            path: path.to_owned(),
            map,
            tensors,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor called `name`, in its stored element type.
    pub(super) fn read(&self, name: &str) -> Result<TensorData, ModelError> {
        let fail = |expected: &str, found: &str| Header { path: &self.path }.error(name, expected, found);
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| fail("a tensor of this name", "nothing"))?;
        let bytes = self
            .map
            .get(tensor.start..tensor.end)
            .ok_or_else(|| fail("bytes inside the file", "none"))?;
        decode(bytes, &tensor.shape, tensor.dtype).ok_or_else(|| fail("a readable type", "another type"))
    }
}

/// The checks; holds the path for messages.
struct Header<'a> {
    path: &'a Path,
}

impl Header<'_> {
    fn error(&self, field: &str, expected: impl Into<String>, found: impl ToString) -> ModelError {
        ModelError::Safetensors {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    fn check(&self, file: &[u8]) -> Result<BTreeMap<String, StoredTensor>, ModelError> {
        let (length, rest) = file
            .split_first_chunk::<8>()
            .ok_or_else(|| self.error("file", "at least 8 bytes", file.len()))?;
        let length = u64::from_le_bytes(*length);
        let limit = MAX_HEADER.min(rest.len() as u64);
        if length > limit {
            return Err(self.error("header length", format!("at most {limit} bytes"), length));
        }
        let (header, data) = rest.split_at(length as usize);
        let header = std::str::from_utf8(header).map_err(|error| self.error("header", "UTF-8 text", error))?;
        let entries: Entries =
            serde_json::from_str(header).map_err(|error| self.error("header", "a JSON object", error))?;
        let data_start = file.len() - data.len();
        let mut tensors = BTreeMap::new();
        for (name, entry) in entries.0 {
            if name == "__metadata__" {
                continue;
            }
            let tensor = self.tensor(&name, &entry, data_start, data.len())?;
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(self.error(&name, "one entry per name", "two"));
            }
        }
        self.check_tiling(&tensors, data_start, file.len())?;
        Ok(tensors)
    }

    fn tensor(&self, name: &str, entry: &Value, start: usize, available: usize) -> Result<StoredTensor, ModelError> {
        let get = |key: &str| entry.get(key).unwrap_or(&Value::Null);
        let fail = |key: &str, expected: &str, found: &dyn ToString| {
            Err(self.error(&format!("{name}.{key}"), expected, found.to_string()))
        };
        let Some(dtype) = get("dtype").as_str().and_then(dtype_from_name) else {
            return fail("dtype", "a known element type", get("dtype"));
        };
        let Some(shape) = sizes(get("shape")).filter(|shape| shape.len() <= MAX_RANK) else {
            return fail("shape", "a list of at most 8 sizes", get("shape"));
        };
        let Some([begin, end]) = sizes(get("data_offsets")).and_then(|offsets| <[usize; 2]>::try_from(offsets).ok())
        else {
            return fail("data_offsets", "two offsets", get("data_offsets"));
        };
        if begin > end || end > available {
            return fail(
                "data_offsets",
                &format!("a range within the {available} data bytes"),
                get("data_offsets"),
            );
        }
        let bytes = shape
            .iter()
            .try_fold(dtype.size(), |bytes, size| bytes.checked_mul(*size));
        if bytes != Some(end - begin) {
            let expected = format!("as many elements as {} bytes of {dtype:?}", end - begin);
            return fail("shape", &expected, get("shape"));
        }
        Ok(StoredTensor {
            dtype,
            shape,
            start: start + begin,
            end: start + end,
        })
    }

    /// Tensors must cover the data exactly: a gap could hide another file, an overlap alias two tensors.
    fn check_tiling(
        &self,
        tensors: &BTreeMap<String, StoredTensor>,
        data_start: usize,
        file_end: usize,
    ) -> Result<(), ModelError> {
        let mut order: Vec<_> = tensors.iter().collect();
        order.sort_by_key(|(_, tensor)| (tensor.start, tensor.end));
        let mut reached = data_start;
        for (name, tensor) in order {
            if tensor.start != reached {
                let field = format!("{name}.data_offsets");
                let expected = format!("to begin at {} (no gap, no overlap)", reached - data_start);
                return Err(self.error(&field, expected, tensor.start - data_start));
            }
            reached = tensor.end;
        }
        match reached == file_end {
            true => Ok(()),
            false => Err(self.error("file", format!("{reached} bytes, as the header says"), file_end)),
        }
    }
}

/// A JSON list of sizes.
fn sizes(value: &Value) -> Option<Vec<usize>> {
    value
        .as_array()?
        .iter()
        .map(|size| size.as_u64().and_then(|size| usize::try_from(size).ok()))
        .collect()
}

/// The header's entries in order, repeated names included: a JSON map would keep the last one silently.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
