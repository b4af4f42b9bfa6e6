//! Every GGUF tensor type, from bytes made here against values of ggml's own Python package (gguf 0.17, `quants.py`).

use burn::backend::Flex;
use fixtures::gguf::{self, entry, text};
use gguf_file::GgufError;
use smollm2_model::{
    ModelError,
    weights::{Loaded, load, named_tensors},
};

/// Type id, values and bytes of a block, offsets of its f16 scales; then, for 512 values from bytes `37 i + 11` and
/// scales of 0.5: the values 0, 255 and 511, and the sum of value `i` times `i % 7 + 1`.
type Case = (u32, usize, usize, &'static [usize], [f32; 3], f64);

const CASES: [Case; 10] = [
    (2, 32, 18, &[0], [-1.5, 1.5, 0.0], -373.0),               // Q4_0
    (3, 32, 20, &[0, 2], [8.0, 0.5, 1.5], 8581.5),             // Q4_1
    (6, 32, 22, &[0], [4.5, -5.5, -2.0], -477.5),              // Q5_0
    (7, 32, 24, &[0, 2], [10.0, 5.5, 3.5], 17062.0),           // Q5_1
    (8, 32, 34, &[0], [42.5, 27.0, -61.0], -413.0),            // Q8_0
    (10, 256, 84, &[80, 82], [16.5, 1.5, 7.5], 4506.5),        // Q2_K
    (11, 256, 110, &[108], [40.5, 21.0, 3.0], 1053.0),         // Q3_K
    (12, 256, 144, &[0, 2], [145.0, 15.5, 208.0], 236_742.0),  // Q4_K
    (13, 256, 176, &[0, 2], [393.0, 45.5, 127.0], 410_862.0),  // Q5_K
    (14, 256, 210, &[208], [-715.5, -30.0, -800.0], 48_671.0), // Q6_K
];

/// A model of one block, D = 2 and F = 256, whose down projection is `bytes` of type `kind`; all else is zero. `more`
/// metadata entries, and norms under `more_norms` names.
fn file(kind: u32, bytes: &[u8], more: &[Vec<u8>], more_norms: &[&str]) -> Vec<u8> {
    let sizes = [
        ("block_count", 1),
        ("context_length", 8),
        ("embedding_length", 2),
        ("feed_forward_length", 256),
        ("attention.head_count", 1),
    ];
    let mut entries = vec![entry("general.architecture", 8, &text("llama"))];
    entries.extend(sizes.map(|(key, value): (&str, u32)| entry(&format!("llama.{key}"), 4, &value.to_le_bytes())));
    entries.extend_from_slice(more);
    let norms = ["output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"];
    let squares = ["q", "k", "v", "output"].map(|name| (format!("blk.0.attn_{name}.weight"), vec![2, 2]));
    let wide = ["gate", "up"].map(|name| (format!("blk.0.ffn_{name}.weight"), vec![2, 256]));
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![2, 4])];
    tensors.extend(norms.iter().chain(more_norms).map(|name| (name.to_string(), vec![2])));
    tensors.extend(squares.into_iter().chain(wide));
    let zeros: Vec<_> = tensors
        .iter()
        .map(|(_, shape)| vec![0; 4 * shape.iter().product::<u64>() as usize])
        .collect();
    let mut tensors: Vec<_> = tensors
        .iter()
        .zip(&zeros)
        .map(|((name, shape), zeros)| (name.as_str(), &shape[..], 0, &zeros[..]))
        .collect();
    tensors.push(("blk.0.ffn_down.weight", &[256, 2], kind, bytes));
    gguf::file(&entries, &tensors)
}

fn loaded(bytes: Vec<u8>) -> Result<Loaded<Flex>, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    load(&path, &Default::default())
}

fn down(kind: u32, bytes: &[u8]) -> Vec<f32> {
    let model = loaded(file(kind, bytes, &[], &[])).unwrap().model;
    named_tensors(&model)["model.layers.0.mlp.down_proj.weight"]
        .to_vec()
        .unwrap()
}

#[test]
fn every_quantised_type_is_what_ggml_says() {
    for (kind, values, size, scales, few, sum) in CASES {
        let mut bytes: Vec<u8> = (0..512 / values * size).map(|i| (i * 37 + 11) as u8).collect();
        for block in bytes.chunks_exact_mut(size) {
            scales
                .iter()
                .for_each(|at| block[*at..at + 2].copy_from_slice(&[0, 0x38]));
        }
        let found = down(kind, &bytes);
        assert_eq!([found[0], found[255], found[511]], few, "type {kind}");
        let weighted = found
            .iter()
            .enumerate()
            .map(|(i, value)| f64::from(*value) * (i % 7 + 1) as f64);
        assert_eq!(weighted.sum::<f64>(), sum, "type {kind}");
    }
}

#[test]
fn types_that_are_not_read_are_refused_by_name() {
    for (kind, name) in [
        (16, "IQ2_XXS"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (23, "IQ4_XS"),
        (35, "TQ2_0"),
        (999, "type 999"),
    ] {
        let error = loaded(file(kind, &[0; 2048], &[], &[]))
            .map(|_| ())
            .expect_err(name)
            .to_string();
        assert!(
            error.contains("blk.0.ffn_down.weight.type") && error.contains(name),
            "{error}"
        );
        assert!(error.contains("Q8_0"), "{error}");
    }
}

#[test]
fn plain_types_keep_their_bits() {
    // 1.5 as f32, f16 and bf16.
    for (kind, number) in [
        (0, &[0, 0, 0xc0, 0x3f][..]),
        (1, &[0x00, 0x3e][..]),
        (30, &[0xc0, 0x3f][..]),
    ] {
        assert_eq!(down(kind, &number.repeat(512)), [1.5; 512], "type {kind}");
    }
}

fn field(bytes: Vec<u8>) -> String {
    match loaded(bytes) {
        Err(ModelError::Gguf(GgufError::Field { field, .. })) => field,
        other => panic!("{:?}", other.map(|loaded| loaded.model.config().clone())),
    }
}

#[test]
fn another_rotation_is_refused() {
    let zeros = [0; 2048];
    let with = |key: &str, kind: u32, value: &[u8]| file(0, &zeros, &[entry(key, kind, value)], &[]);
    let (float, size) = (|value: f32| value.to_le_bytes(), |value: u32| value.to_le_bytes());
    for (key, kind, other, same) in [
        ("llama.rope.scaling.factor", 6, &float(4.0)[..], &float(1.0)[..]),
        ("llama.rope.scale_linear", 6, &float(2.0)[..], &float(0.0)[..]),
        ("llama.rope.scaling.type", 8, &text("yarn")[..], &text("none")[..]),
        ("llama.rope.dimension_count", 4, &size(1)[..], &size(2)[..]),
        ("llama.attention.key_length", 4, &size(3)[..], &size(2)[..]),
    ] {
        assert!(loaded(with(key, kind, same)).is_ok(), "{key}");
        let error = loaded(with(key, kind, other)).map(|_| ()).expect_err(key).to_string();
        let named = key.rsplit('.').next().unwrap();
        assert!(error.contains(named) || error.contains("head_dim"), "{key}: {error}");
    }
    let half = [("llama.attention.key_length", 4), ("llama.rope.dimension_count", 2)];
    let half = half.map(|(key, value)| entry(key, 4, &size(value)));
    assert_eq!(field(file(0, &zeros, &half, &[])), "llama.rope.dimension_count");
}

#[test]
fn two_names_of_one_tensor_are_refused() {
    let found = field(file(0, &[0; 2048], &[], &["model.norm.weight"]));
    assert_eq!(found, "output_norm.weight");
}

#[test]
fn headers_and_architectures_that_are_not_read_are_refused() {
    assert_eq!(field(b"NOPE0000".to_vec()), "magic");
    let mamba = gguf::file(&[entry("general.architecture", 8, &text("mamba"))], &[]);
    assert_eq!(field(mamba), "general.architecture");
}
