use std::fmt;

/// How the values of a tensor are stored: as plain floats, or as blocks of quantised values that share their scales.
///
/// The names are those of ggml's `ggml_type`. The others that it defines (the IQ and TQ families, MXFP4, integers, F64)
/// are refused when a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    /// 32 bits a value.
    F32,
    /// 16 bits a value, IEEE half precision.
    F16,
    /// 16 bits a value, the upper half of an f32.
    Bf16,
    /// 4.5 bits a value: 32 with a scale.
    Q4_0,
    /// 5 bits a value: 32 with a scale and a minimum.
    Q4_1,
    /// 5.5 bits a value: 32 with a scale.
    Q5_0,
    /// 6 bits a value: 32 with a scale and a minimum.
    Q5_1,
    /// 8.5 bits a value: 32 with a scale.
    Q8_0,
    /// 2.625 bits a value: 16 groups of 16, each with a scale and a minimum of 4 bits.
    Q2K,
    /// 3.4375 bits a value: 16 groups of 16, each with a scale of 6 bits.
    Q3K,
    /// 4.5 bits a value: 8 groups of 32, each with a scale and a minimum of 6 bits.
    Q4K,
    /// 5.5 bits a value: 8 groups of 32, each with a scale and a minimum of 6 bits.
    Q5K,
    /// 6.5625 bits a value: 16 groups of 16, each with a scale of 8 bits.
    Q6K,
}

/// The number of a type in the file and its name; values and bytes of a block.
type Row = (u32, &'static str, TensorType, usize, usize);

/// [`ggml_type`](https://github.com/ggml-org/ggml/blob/master/include/ggml.h) and the sizes of the structures
/// `block_*` in [`ggml-common.h`](https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h).
static TYPES: [Row; 13] = [
    (0, "F32", TensorType::F32, 1, 4),
    (1, "F16", TensorType::F16, 1, 2),
    (2, "Q4_0", TensorType::Q4_0, 32, 2 + 16),
    (3, "Q4_1", TensorType::Q4_1, 32, 2 + 2 + 16),
    (6, "Q5_0", TensorType::Q5_0, 32, 2 + 4 + 16),
    (7, "Q5_1", TensorType::Q5_1, 32, 2 + 2 + 4 + 16),
    (8, "Q8_0", TensorType::Q8_0, 32, 2 + 32),
    (10, "Q2_K", TensorType::Q2K, 256, 16 + 64 + 2 + 2),
    (11, "Q3_K", TensorType::Q3K, 256, 32 + 64 + 12 + 2),
    (12, "Q4_K", TensorType::Q4K, 256, 2 + 2 + 12 + 128),
    (13, "Q5_K", TensorType::Q5K, 256, 2 + 2 + 12 + 32 + 128),
    (14, "Q6_K", TensorType::Q6K, 256, 128 + 64 + 16 + 2),
    (30, "BF16", TensorType::Bf16, 1, 2),
];

/// Types of the format that are refused, for messages.
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

impl TensorType {
    /// The type of this number; otherwise a description of the number for a message.
    pub(crate) fn from_id(id: u32) -> Result<Self, String> {
        if let Some((_, _, kind, ..)) = TYPES.iter().find(|row| row.0 == id) {
            return Ok(*kind);
        }
        Err(match OTHER_TYPES.iter().find(|(other, _)| *other == id) {
            Some((_, name)) => format!("{name} (type {id})"),
            None => format!("type {id}, which the format does not define"),
        })
    }

    /// Values that share their scales; 1 for plain floats. The rows of a tensor are whole blocks.
    pub fn block_values(self) -> usize {
        self.row().3
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    fn row(self) -> &'static Row {
        let row = TYPES.iter().find(|row| row.2 == self);
        row.expect("every type has a row")
    }
}

/// As ggml writes it: `Q4_K`.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().1)
    }
}
