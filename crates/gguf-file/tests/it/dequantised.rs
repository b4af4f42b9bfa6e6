//! Every tensor type: the same bits as candle's implementation of ggml's blocks.

use crate::open;
use candle_core::Device;
use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use fixtures::gguf::file;
use gguf_file::{GgufFile, TensorType};

/// Type id and both names of a type.
const TYPES: [(u32, TensorType, GgmlDType); 13] = [
    (0, TensorType::F32, GgmlDType::F32),
    (1, TensorType::F16, GgmlDType::F16),
    (2, TensorType::Q4_0, GgmlDType::Q4_0),
    (3, TensorType::Q4_1, GgmlDType::Q4_1),
    (6, TensorType::Q5_0, GgmlDType::Q5_0),
    (7, TensorType::Q5_1, GgmlDType::Q5_1),
    (8, TensorType::Q8_0, GgmlDType::Q8_0),
    (10, TensorType::Q2K, GgmlDType::Q2K),
    (11, TensorType::Q3K, GgmlDType::Q3K),
    (12, TensorType::Q4K, GgmlDType::Q4K),
    (13, TensorType::Q5K, GgmlDType::Q5K),
    (14, TensorType::Q6K, GgmlDType::Q6K),
    (30, TensorType::Bf16, GgmlDType::BF16),
];

fn candle(kind: GgmlDType, bytes: &[u8], values: usize) -> Vec<f32> {
    // candle reads blocks in place, where they need the alignment of a number in them.
    let mut aligned = vec![0u64; bytes.len().div_ceil(8) + 1];
    let start = aligned.as_mut_ptr().cast::<u8>();
    // SAFETY: the vector has room for as many bytes, and any byte is valid.
    let room = unsafe { std::slice::from_raw_parts_mut(start, bytes.len()) };
    room.copy_from_slice(bytes);
    let blocks = qtensor_from_ggml(kind, room, vec![values], &Device::Cpu).expect("blocks");
    let values = blocks.dequantize(&Device::Cpu).expect("values");
    values.to_vec1().expect("f32")
}

/// Any NaN is like another: which one an operation of two gives is not defined.
fn same(left: f32, right: f32) -> bool {
    left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan()
}

#[test]
fn random_blocks_of_every_type() {
    let mut random = fastrand::Rng::with_seed(7);
    for (id, kind, other) in TYPES {
        let values = 64 * 256;
        let bytes = values / kind.block_values() * kind.block_bytes();
        let bytes: Vec<u8> = (0..bytes).map(|_| random.u8(..)).collect();
        let file = open(&file(&[], &[("t", &[256, 64], id, &bytes)])).expect("sound");
        let tensor = file.tensor("t").expect("a tensor");
        assert_eq!((tensor.kind, tensor.kind.block_values()), (kind, other.block_size()));
        assert_eq!(tensor.kind.block_bytes(), other.type_size());
        let (found, expected) = (tensor.dequantise(), candle(other, &bytes, values));
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(same(*found, *expected), "{kind}, value {i}: {found} and {expected}");
        }
        let finite = found.iter().filter(|value| value.is_finite()).count();
        assert!(finite * 10 > values * 8, "{kind}: {finite} of {values} are finite");
    }
}

#[test]
fn every_tensor_of_the_real_model() {
    let Some(path) = fixtures::shared("models/SmolLM2-135M-Instruct.Q4_1.gguf") else {
        return;
    };
    let file = GgufFile::open(&path).expect("sound");
    for (name, tensor) in file.tensors() {
        let (_, _, other) = TYPES.iter().find(|(_, kind, _)| *kind == tensor.kind).expect("a type");
        let found = tensor.dequantise();
        let expected = candle(*other, tensor.bytes, found.len());
        let same = found
            .iter()
            .zip(&expected)
            .all(|(found, expected)| same(*found, *expected));
        assert!(same && found.len() == expected.len(), "{name}");
    }
}

#[test]
fn types_are_named_as_in_ggml() {
    let names = TYPES.map(|(_, kind, _)| kind.to_string());
    let expected = [
        "F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "BF16",
    ];
    assert_eq!(names, expected);
}
