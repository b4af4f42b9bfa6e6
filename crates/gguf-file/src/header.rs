//! The header of a GGUF file. It is checked completely before memory is allocated for anything it describes.
//!
//! Layout ([the format](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)): magic, version, counts, typed
//! metadata, tensor descriptions, padding, tensor data. All numbers are little-endian.

use crate::cursor::Cursor;
use crate::value::Value;
use crate::{GgufError, TensorType};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

const MAGIC: &[u8] = b"GGUF";
/// GGML's limit on the number of dimensions (`GGML_MAX_DIMS`).
const MAX_RANK: u32 = 4;
/// Fewest bytes of a metadata entry: key length, value type, one byte of value.
const MIN_ENTRY: u64 = 8 + 4 + 1;
/// Fewest bytes of a tensor description: name length, rank, one size, type, offset.
const MIN_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;
/// Alignment of the tensor data and of every tensor in it, unless `general.alignment` is set.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A checked header: where everything is in the file.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) entries: BTreeMap<String, Entry>,
    /// By their names in the file.
    pub(crate) tensors: BTreeMap<String, Place>,
}

/// A metadata value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: u32,
    /// In bytes from the start of the file.
    pub(crate) range: Range<usize>,
}

/// A tensor.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: TensorType,
    /// Outermost size first (the file has the innermost first).
    pub(crate) shape: Vec<usize>,
    /// In bytes from the start of the file.
    pub(crate) range: Range<usize>,
}

/// A tensor whose place in the file has not been checked yet.
struct Description {
    name: String,
    kind: TensorType,
    shape: Vec<usize>,
    bytes: u64,
    /// From the start of the data.
    offset: u64,
}

impl Header {
    /// Reads and checks the header of `file`; `path` is for messages.
    pub(crate) fn read(path: &Path, file: &[u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(path, file);
        let magic = &file[..file.len().min(MAGIC.len())];
        if magic != MAGIC {
            let found = format!("{:?}", String::from_utf8_lossy(magic));
            return Err(cursor.error("magic", "a GGUF file, which begins with `GGUF`", found));
        }
        cursor.take("magic", MAGIC.len() as u64)?;
        let version = cursor.u32("version")?;
        if !(2..=3).contains(&version) {
            return Err(cursor.error("version", "2 or 3", version));
        }
        let tensor_count = cursor.u64("tensor_count")?;
        let entry_count = cursor.u64("metadata_kv_count")?;
        cursor.check_count("tensor_count", tensor_count, MIN_TENSOR)?;
        cursor.check_count("metadata_kv_count", entry_count, MIN_ENTRY)?;
        let (entries, alignment) = read_entries(&mut cursor, entry_count)?;
        let mut tensors = BTreeMap::new();
        let descriptions = read_descriptions(&mut cursor, tensor_count)?;
        let data = (cursor.position() as u64).next_multiple_of(alignment)..file.len() as u64;
        for description in descriptions {
            let (name, place) = place(&cursor, alignment, &data, description)?;
            if tensors.insert(name.clone(), place).is_some() {
                return Err(cursor.error(&name, "one description per name", "two"));
            }
        }
        check_overlap(&cursor, &tensors)?;
        Ok(Self { entries, tensors })
    }
}

/// The metadata, and the alignment that it sets.
fn read_entries(cursor: &mut Cursor<'_>, count: u64) -> Result<(BTreeMap<String, Entry>, u64), GgufError> {
    let mut entries = BTreeMap::new();
    let mut alignment = DEFAULT_ALIGNMENT;
    for index in 0..count {
        let key = cursor.name(&format!("metadata key {index}"))?;
        let kind = cursor.u32(key)?;
        let start = cursor.position();
        let value = Value::read(cursor, key, kind)?;
        if key == "general.alignment" {
            alignment = match value {
                Value::Unsigned(size) if size.is_multiple_of(8) && (8..=65536).contains(&size) => size,
                other => return Err(cursor.error(key, "a multiple of 8 up to 65536", other)),
            };
        }
        let range = start..cursor.position();
        if entries.insert(key.to_owned(), Entry { kind, range }).is_some() {
            return Err(cursor.error(key, "one entry per key", "two"));
        }
    }
    Ok((entries, alignment))
}

fn read_descriptions(cursor: &mut Cursor<'_>, count: u64) -> Result<Vec<Description>, GgufError> {
    (0..count).map(|index| read_description(cursor, index)).collect()
}

fn read_description(cursor: &mut Cursor<'_>, index: u64) -> Result<Description, GgufError> {
    let name = cursor.name(&format!("name of tensor {index}"))?;
    let rank = cursor.u32(&format!("{name}.n_dimensions"))?;
    if !(1..=MAX_RANK).contains(&rank) {
        return Err(cursor.error(&format!("{name}.n_dimensions"), format!("1 to {MAX_RANK}"), rank));
    }
    let mut innermost_first = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        innermost_first.push(cursor.u64(&format!("{name}.dimensions"))?);
    }
    let id = cursor.u32(&format!("{name}.type"))?;
    let kind = TensorType::from_id(id).map_err(|found| {
        let expected = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or a K-quant (Q2_K to Q6_K); quantise the model to \
                        one of these";
        cursor.error(&format!("{name}.type"), expected, found)
    })?;
    let offset = cursor.u64(&format!("{name}.offset"))?;
    let (shape, bytes) = measure(&innermost_first, kind).ok_or_else(|| {
        let expected = format!("sizes of whole {kind} blocks whose bytes can be counted");
        cursor.error(&format!("{name}.dimensions"), expected, format!("{innermost_first:?}"))
    })?;
    Ok(Description {
        name: name.to_owned(),
        kind,
        shape,
        bytes,
        offset,
    })
}

/// Shape with the outermost size first and number of bytes; `None` on overflow or when a row is not whole blocks.
fn measure(innermost_first: &[u64], kind: TensorType) -> Option<(Vec<usize>, u64)> {
    let sizes = innermost_first.iter().rev().map(|size| usize::try_from(*size).ok());
    let shape: Vec<usize> = sizes.collect::<Option<_>>()?;
    if !shape.last()?.is_multiple_of(kind.block_values()) {
        return None;
    }
    let elements = shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size))?;
    // A reader may want to hold the values in the widest float type.
    elements.checked_mul(size_of::<f64>())?;
    let bytes = (elements / kind.block_values()).checked_mul(kind.block_bytes())?;
    Some((shape, bytes as u64))
}

/// Name of a tensor and its place in the file. `data` is the part of the file that holds all tensors.
fn place(
    cursor: &Cursor<'_>,
    alignment: u64,
    data: &Range<u64>,
    description: Description,
) -> Result<(String, Place), GgufError> {
    let Description {
        name,
        kind,
        shape,
        bytes,
        offset,
    } = description;
    let field = format!("{name}.offset");
    if !offset.is_multiple_of(alignment) {
        return Err(cursor.error(&field, format!("a multiple of {alignment}"), offset));
    }
    let available = data.end.saturating_sub(data.start);
    let end = offset.checked_add(bytes).filter(|end| *end <= available);
    let end = end.ok_or_else(|| {
        let expected = format!("{bytes} bytes within the {available} of data");
        cursor.error(&field, expected, format!("offset {offset}"))
    })?;
    // At most the file's size, which is a usize: a file without data may end before the place where data would start.
    let [start, end] = [offset, end].map(|offset| (data.start + offset).min(data.end) as usize);
    let range = start..end;
    Ok((name, Place { kind, shape, range }))
}

fn check_overlap(cursor: &Cursor<'_>, tensors: &BTreeMap<String, Place>) -> Result<(), GgufError> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, place)| (place.range.start, place.range.end));
    for pair in order.windows(2) {
        if let [(before, first), (name, second)] = pair
            && second.range.start < first.range.end
        {
            let expected = format!("bytes of its own ({before} ends at {})", first.range.end);
            return Err(cursor.error(&format!("{name}.offset"), expected, second.range.start));
        }
    }
    Ok(())
}
