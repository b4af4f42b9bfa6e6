//! One safetensors file, memory-mapped and checked before anything is read from it.
//!
//! Layout ([the format](https://github.com/huggingface/safetensors#format)): 8 bytes little-endian header length N,
//! N bytes of JSON `{name: {dtype, shape, data_offsets}, "__metadata__": {..}}`, then the tensors' bytes without gaps.

use std::{
    collections::{
        BTreeMap,
        btree_map::Entry::{Occupied, Vacant},
    },
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData};
use memmap2::Mmap;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
        let header = Header { path: &self.path };
        let Some(tensor) = self.tensors.get(name) else {
            return Err(header.error(name, "a tensor of this name", "nothing"));
        };
        let Some(bytes) = self.map.get(tensor.start..tensor.end) else {
            return Err(header.error(name, "bytes inside the file", "none"));
        };
        decode(bytes, &tensor.shape, tensor.dtype).ok_or_else(|| header.error(name, "a readable type", "another type"))
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
        let data_start = file.len() - data.len();
        let tensors = self.parse(header, data_start, data.len())?;
        self.check_tiling(&tensors, data_start, file.len())?;
        Ok(tensors)
    }

    /// The tensors of a header. Each is checked as soon as it is read, and nothing else of the text is kept: the memory
    /// needed is that of tensors a sound file of this size may have.
    fn parse(
        &self,
        header: &str,
        data_start: usize,
        available: usize,
    ) -> Result<BTreeMap<String, StoredTensor>, ModelError> {
        let mut entries = Entries {
            header: self,
            data_start,
            available,
            tensors: BTreeMap::new(),
            place: String::new(),
            refused: None,
        };
        let mut json = serde_json::Deserializer::from_str(header);
        let parsed = json.deserialize_map(&mut entries).and_then(|()| json.end());
        let Err(error) = parsed else {
            return Ok(entries.tensors);
        };
        let place = if error.is_data() && !entries.place.is_empty() {
            entries.place.as_str()
        } else {
            "header"
        };
        let expected = "a JSON object with dtype, shape and data_offsets of every tensor";
        Err(entries.refused.unwrap_or_else(|| self.error(place, expected, error)))
    }

    fn tensor(&self, name: &str, entry: &Entry, start: usize, available: usize) -> Result<StoredTensor, ModelError> {
        let Some(dtype) = dtype_from_name(&entry.dtype) else {
            return Err(self.error(&format!("{name}.dtype"), "a known element type", &entry.dtype));
        };
        let shape = entry.shape.clone();
        let (field, found) = (format!("{name}.data_offsets"), format!("{:?}", entry.data_offsets));
        let &[begin, end] = entry.data_offsets.as_slice() else {
            return Err(self.error(&field, "two offsets", found));
        };
        if begin > end || end > available {
            return Err(self.error(&field, format!("a range within the {available} data bytes"), found));
        }
        let bytes = shape
            .iter()
            .try_fold(dtype.size(), |bytes, size| bytes.checked_mul(*size));
        if bytes != Some(end - begin) {
            let expected = format!("as many elements as {} bytes of {dtype:?}", end - begin);
            return Err(self.error(&format!("{name}.shape"), expected, format!("{shape:?}")));
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
        if reached != file_end {
            return Err(self.error("file", format!("{reached} bytes, as the header says"), file_end));
        }
        Ok(())
    }
}

/// Reads the header's entries in order, repeated names included: a JSON map would keep the last one silently.
struct Entries<'a> {
    header: &'a Header<'a>,
    data_start: usize,
    available: usize,
    tensors: BTreeMap<String, StoredTensor>,
    /// Tensor and key that are being read, for messages.
    place: String,
    /// Why the last entry was refused, if its JSON was sound.
    refused: Option<ModelError>,
}

impl Entries<'_> {
    fn add(&mut self, name: String, entry: &Entry) -> Result<(), ModelError> {
        let tensor = self.header.tensor(&name, entry, self.data_start, self.available)?;
        match self.tensors.entry(name) {
            Occupied(entry) => Err(self.header.error(entry.key(), "one entry per name", "two")),
            Vacant(entry) => {
                entry.insert(tensor);
                Ok(())
            }
        }
    }
}

impl<'de> Visitor<'de> for &mut Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.place.clone_from(&name);
            let entry = map.next_value_seed(EntryAt(&mut self.place))?;
            self.place.clear();
            if let Err(error) = self.add(name, &entry) {
                self.refused = Some(error);
                return Err(A::Error::custom("an entry was refused"));
            }
        }
        Ok(())
    }
}

/// A tensor as the header describes it.
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: Vec<usize>,
}

/// Reads an [`Entry`] and keeps the place where it is.
struct EntryAt<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for EntryAt<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntryAt<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let name = self.0.clone();
        let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            *self.0 = format!("{name}.{key}");
            match key.as_str() {
                "dtype" => dtype = Some(map.next_value()?),
                "shape" => shape = Some(map.next_value::<Sizes>()?.0),
                "data_offsets" => data_offsets = Some(map.next_value::<Sizes>()?.0),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        *self.0 = name;
        let missing = A::Error::missing_field;
        Ok(Entry {
            dtype: dtype.ok_or_else(|| missing("dtype"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
            data_offsets: data_offsets.ok_or_else(|| missing("data_offsets"))?,
        })
    }
}

/// A JSON list of at most [`MAX_RANK`] sizes.
struct Sizes(Vec<usize>);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SizesVisitor)
    }
}

struct SizesVisitor;

impl<'de> Visitor<'de> for SizesVisitor {
    type Value = Sizes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_RANK} sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sizes, A::Error> {
        let mut sizes = Vec::new();
        while let Some(size) = list.next_element()? {
            if sizes.len() == MAX_RANK {
                return Err(A::Error::invalid_length(MAX_RANK + 1, &self));
            }
            sizes.push(size);
        }
        Ok(Sizes(sizes))
    }
}
