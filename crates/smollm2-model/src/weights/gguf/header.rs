//! The header of a GGUF file, checked completely before anything is allocated from what it claims.
//!
//! Layout ([the format](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)): magic, version, counts, typed
//! metadata, tensor descriptions, padding, tensor data. All numbers are little-endian.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use candle_core::quantized::GgmlDType;

use super::cursor::{Cursor, Value};
use crate::ModelError;

const MAGIC: &[u8] = b"GGUF";
/// GGML's own limit on dimensions (`GGML_MAX_DIMS`).
const MAX_RANK: u32 = 4;
/// Fewest bytes of a metadata entry: key length, value type, one byte of value.
const MIN_ENTRY: u64 = 8 + 4 + 1;
/// Fewest bytes of a tensor description: name length, rank, one size, type, offset.
const MIN_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;
/// Where tensor data starts, and every tensor in it, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// Tensor types the format numbers and candle can dequantise.
const TYPES: [(u32, GgmlDType); 13] = [
    (0, GgmlDType::F32),
    (1, GgmlDType::F16),
    (2, GgmlDType::Q4_0),
    (3, GgmlDType::Q4_1),
    (6, GgmlDType::Q5_0),
    (7, GgmlDType::Q5_1),
    (8, GgmlDType::Q8_0),
    (10, GgmlDType::Q2K),
    (11, GgmlDType::Q3K),
    (12, GgmlDType::Q4K),
    (13, GgmlDType::Q5K),
    (14, GgmlDType::Q6K),
    (30, GgmlDType::BF16),
];

/// Tensor types of the format that are refused, for messages: GGML's `ggml_type`.
const OTHER_TYPES: [(u32, &str); 19] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

fn type_name(id: u32) -> String {
    match OTHER_TYPES.iter().find(|(known, _)| *known == id) {
        Some((_, name)) => format!("{name} (type {id})"),
        None => format!("type {id}, which the format does not define"),
    }
}

/// A sound header.
#[derive(Debug)]
pub(super) struct Header {
    /// Scalar metadata by key; arrays keep only their length.
    pub(super) metadata: BTreeMap<String, Value>,
    /// Tensors by the file's own names.
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// Description of one tensor.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) dtype: GgmlDType,
    /// Outermost size first (the file has the innermost first).
    pub(super) shape: Vec<usize>,
    /// Bytes from the start of the file.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Header {
    /// Reads and checks the header of `file`; `path` is for messages.
    ///
    /// # Errors
    /// [`ModelError::Gguf`] with the field.
    pub(super) fn read(path: &Path, file: &[u8]) -> Result<Self, ModelError> {
        let mut cursor = Cursor::new(path, file);
        let magic = cursor.bytes("magic", 4)?;
        if magic != MAGIC {
            return Err(cursor.error("magic", "`GGUF`", String::from_utf8_lossy(magic).escape_debug()));
        }
        let version = cursor.u32("version")?;
        if !(2..=3).contains(&version) {
            return Err(cursor.error("version", "2 or 3", version));
        }
        let tensor_count = cursor.u64("tensor_count")?;
        let entry_count = cursor.u64("metadata_kv_count")?;
        check_count(&cursor, "tensor_count", tensor_count, MIN_TENSOR)?;
        check_count(&cursor, "metadata_kv_count", entry_count, MIN_ENTRY)?;
        let metadata = read_metadata(&mut cursor, entry_count)?;
        let descriptions = read_descriptions(&mut cursor, tensor_count)?;
        let tensors = place(&cursor, alignment(&cursor, &metadata)?, descriptions, file.len())?;
        Ok(Self { metadata, tensors })
    }
}

/// Refuses a count that the rest of the file cannot hold at the fewest bytes per item.
fn check_count(cursor: &Cursor<'_>, field: &str, count: u64, smallest: u64) -> Result<(), ModelError> {
    let room = cursor.remaining() as u64 / smallest;
    match count <= room {
        true => Ok(()),
        false => Err(cursor.error(field, format!("at most {room}, by the size of the file"), count)),
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, count: u64) -> Result<BTreeMap<String, Value>, ModelError> {
    let mut metadata = BTreeMap::new();
    for index in 0..count {
        let key = cursor.name(&format!("metadata key {index}"))?;
        let value = cursor.value(&key)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(cursor.error(&key, "one entry per key", "two"));
        }
    }
    Ok(metadata)
}

/// A description before its place in the file is checked: name, type, shape, bytes, offset into the data.
type Description = (String, GgmlDType, Vec<usize>, usize, u64);

fn read_descriptions(cursor: &mut Cursor<'_>, count: u64) -> Result<Vec<Description>, ModelError> {
    let mut descriptions = Vec::new();
    let mut names = BTreeSet::new();
    for index in 0..count {
        let name = cursor.name(&format!("name of tensor {index}"))?;
        if !names.insert(name.clone()) {
            return Err(cursor.error(&name, "one description per name", "two"));
        }
        let rank = cursor.u32(&format!("{name}.n_dimensions"))?;
        if !(1..=MAX_RANK).contains(&rank) {
            return Err(cursor.error(&format!("{name}.n_dimensions"), format!("1 to {MAX_RANK}"), rank));
        }
        let mut shape = Vec::with_capacity(rank as usize);
        for _ in 0..rank {
            shape.push(cursor.u64(&format!("{name}.dimensions"))?);
        }
        let type_id = cursor.u32(&format!("{name}.type"))?;
        let dtype = TYPES.iter().find(|(id, _)| *id == type_id).map(|(_, dtype)| *dtype);
        let dtype = dtype.ok_or_else(|| {
            let expected = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or a K-quant (Q2_K to Q6_K); quantise the \
                            model to one of these";
            cursor.error(&format!("{name}.type"), expected, type_name(type_id))
        })?;
        let offset = cursor.u64(&format!("{name}.offset"))?;
        let (shape, bytes) = measure(&shape, dtype).ok_or_else(|| {
            let expected = format!("sizes of whole {dtype:?} blocks whose bytes can be counted");
            cursor.error(&format!("{name}.dimensions"), expected, format!("{shape:?}"))
        })?;
        descriptions.push((name, dtype, shape, bytes, offset));
    }
    Ok(descriptions)
}

/// Shape with the outermost size first and number of bytes; `None` on overflow or when a row is not whole blocks.
fn measure(innermost_first: &[u64], dtype: GgmlDType) -> Option<(Vec<usize>, usize)> {
    let shape: Option<Vec<usize>> = innermost_first
        .iter()
        .rev()
        .map(|size| usize::try_from(*size).ok())
        .collect();
    let shape = shape?;
    let row = *shape.last()?;
    if !row.is_multiple_of(dtype.block_size()) {
        return None;
    }
    // Elements first: candle and Burn count them, and their product must fit as well.
    let elements = shape
        .iter()
        .try_fold(1usize, |elements, size| elements.checked_mul(*size))?;
    let bytes = (elements / dtype.block_size()).checked_mul(dtype.type_size())?;
    elements.checked_mul(size_of::<f64>())?;
    Some((shape, bytes))
}

fn alignment(cursor: &Cursor<'_>, metadata: &BTreeMap<String, Value>) -> Result<u64, ModelError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::Unsigned(value)) if value.is_multiple_of(8) && (8..=65536).contains(value) => Ok(*value),
        Some(other) => Err(cursor.error("general.alignment", "a multiple of 8 up to 65536", other)),
    }
}

/// Where every described tensor lies in the file.
fn place(
    cursor: &Cursor<'_>,
    alignment: u64,
    descriptions: Vec<Description>,
    file_size: usize,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let data_start = (cursor.position() as u64).next_multiple_of(alignment);
    let available = (file_size as u64).saturating_sub(data_start);
    let mut tensors = BTreeMap::new();
    for (name, dtype, shape, bytes, offset) in descriptions {
        let field = format!("{name}.offset");
        if !offset.is_multiple_of(alignment) {
            return Err(cursor.error(&field, format!("a multiple of {alignment}"), offset));
        }
        let end = offset.checked_add(bytes as u64).filter(|end| *end <= available);
        let end = end.ok_or_else(|| {
            let expected = format!("{bytes} bytes within the {available} of data");
            cursor.error(&field, expected, format!("offset {offset}"))
        })?;
        // Both are at most the file's size, which is a usize.
        let (start, end) = ((data_start + offset) as usize, (data_start + end) as usize);
        let tensor = Tensor {
            dtype,
            shape,
            start,
            end,
        };
        tensors.insert(name, tensor);
    }
    check_overlap(cursor, &tensors)?;
    Ok(tensors)
}

fn check_overlap(cursor: &Cursor<'_>, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| (tensor.start, tensor.end));
    for pair in order.windows(2) {
        if let [(before, first), (name, second)] = pair
            && second.start < first.end
        {
            let expected = format!("bytes of its own ({before} ends at {})", first.end);
            return Err(cursor.error(&format!("{name}.offset"), expected, second.start));
        }
    }
    Ok(())
}
