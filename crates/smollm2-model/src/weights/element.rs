//! Element types of stored tensors, and the conversion of bytes to numbers.

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};

/// Names of the safetensors format next to Burn's types. 8-bit and smaller floats and booleans are not model weights
/// and have no entry.
const TYPES: [(&str, DType); 12] = [
    ("F64", DType::F64),
    ("F32", DType::F32),
    ("F16", DType::F16),
    ("BF16", DType::BF16),
    ("I64", DType::I64),
    ("I32", DType::I32),
    ("I16", DType::I16),
    ("I8", DType::I8),
    ("U64", DType::U64),
    ("U32", DType::U32),
    ("U16", DType::U16),
    ("U8", DType::U8),
];

/// The type a safetensors header names, if it is one this crate reads.
pub(super) fn dtype_from_name(name: &str) -> Option<DType> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype)
}

/// Whether weights may have this type.
pub(super) fn is_weight_type(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

/// Reads little-endian `bytes` as numbers of `dtype`. The caller has checked that `bytes` holds `shape` exactly.
pub(super) fn decode(bytes: &[u8], shape: &[usize], dtype: DType) -> Option<TensorData> {
    macro_rules! numbers {
        ($type:ty, $size:literal) => {{
            let (chunks, _) = bytes.as_chunks::<$size>();
            let values: Vec<$type> = chunks.iter().map(|chunk| <$type>::from_le_bytes(*chunk)).collect();
            Some(TensorData::new(values, shape.to_vec()))
        }};
    }
    match dtype {
        DType::F64 => numbers!(f64, 8),
        DType::F32 => numbers!(f32, 4),
        DType::F16 => numbers!(f16, 2),
        DType::BF16 => numbers!(bf16, 2),
        DType::I64 => numbers!(i64, 8),
        DType::I32 => numbers!(i32, 4),
        DType::I16 => numbers!(i16, 2),
        DType::I8 => numbers!(i8, 1),
        DType::U64 => numbers!(u64, 8),
        DType::U32 => numbers!(u32, 4),
        DType::U16 => numbers!(u16, 2),
        DType::U8 => numbers!(u8, 1),
        _ => None,
    }
}

/// The transpose of a matrix held in row-major order, element type unchanged.
pub(super) fn transpose(data: TensorData) -> TensorData {
    let [rows, columns] = match *data.shape.as_slice() {
        [rows, columns] => [rows, columns],
        _ => return data,
    };
    let dtype = data.dtype;
    let bytes = data.as_bytes();
    let turned = match dtype.size() {
        2 => transpose_elements::<2>(bytes, rows, columns),
        4 => transpose_elements::<4>(bytes, rows, columns),
        8 => transpose_elements::<8>(bytes, rows, columns),
        _ => transpose_elements::<1>(bytes, rows, columns),
    };
    TensorData::from_bytes_vec(turned, [columns, rows], dtype)
}

/// Square tiles keep both the rows read and the columns written in the cache.
const TILE: usize = 32;

fn transpose_elements<const SIZE: usize>(bytes: &[u8], rows: usize, columns: usize) -> Vec<u8> {
    let (source, _) = bytes.as_chunks::<SIZE>();
    let mut turned = vec![0u8; bytes.len()];
    let (target, _) = turned.as_chunks_mut::<SIZE>();
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for column in column_tile..(column_tile + TILE).min(columns) {
                for row in row_tile..(row_tile + TILE).min(rows) {
                    target[column * rows + row] = source[row * columns + column];
                }
            }
        }
    }
    turned
}
