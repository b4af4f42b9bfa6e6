//! Typed values by key, and tensors by name.

use crate::{field, open};
use fixtures::gguf::{array, entry, file, text};
use gguf_file::TensorType;

#[test]
fn integers_of_every_width_are_one_type() {
    let cases: [(u32, &[u8], i64); 8] = [
        (0, &[200], 200),
        (1, &[200], -56),
        (2, &[0, 200], 51_200),
        (3, &[0, 200], -14_336),
        (4, &[0, 0, 0, 128], 1 << 31),
        (5, &[0, 0, 0, 128], -(1 << 31)),
        (10, &[0, 0, 0, 0, 1, 0, 0, 0], 1 << 32),
        (11, &[255; 8], -1),
    ];
    for (kind, bytes, value) in cases {
        let element = bytes.to_vec();
        let entries = [
            entry("one", kind, bytes),
            array("many", kind, &[element.clone(), element]),
        ];
        let file = open(&file(&entries, &[])).expect("sound");
        assert_eq!(file.integer("one").expect("an integer"), Some(value), "type {kind}");
        assert_eq!(file.integers("many").expect("integers"), Some(vec![value; 2]));
    }
    let large = open(&file(&[entry("large", 10, &[255; 8])], &[])).expect("sound");
    let error = large.integer("large").expect_err("2^64 - 1").to_string();
    assert!(
        error.ends_with("GGUF large: expected a whole number, found 18446744073709551615"),
        "{error}"
    );
}

#[test]
fn floats_stand_for_their_shortest_decimal() {
    let entries = [
        entry("single", 6, &1e-5f32.to_le_bytes()),
        entry("double", 12, &0.1f64.to_le_bytes()),
    ];
    let file = open(&file(&entries, &[])).expect("sound");
    assert_eq!(file.float("single").expect("a float"), Some(1e-5));
    assert_eq!(file.float("double").expect("a float"), Some(0.1));
}

#[test]
fn values_of_another_type_are_named() {
    let entries = [
        entry("number", 4, &[7, 0, 0, 0]),
        entry("truth", 7, &[1]),
        entry("text", 8, &text("x")),
        entry("bytes", 8, &[&1u64.to_le_bytes()[..], b"\xff"].concat()),
        array("texts", 8, &[text("x"), [&1u64.to_le_bytes()[..], b"\xff"].concat()]),
    ];
    let file = open(&file(&entries, &[])).expect("sound");
    for (error, end) in [
        (
            file.text("number").expect_err("a number"),
            "number: expected a string, found 7",
        ),
        (
            file.text("bytes").expect_err("no UTF-8"),
            "bytes: expected a string, found 1 bytes that are not UTF-8",
        ),
        (
            file.integer("text").expect_err("a text"),
            "text: expected a whole number, found \"x\"",
        ),
        (
            file.float("truth").expect_err("true"),
            "truth: expected a number, found true",
        ),
        (
            file.text("texts").expect_err("an array"),
            "texts: expected a string, found an array of 2",
        ),
        (
            file.integers("number").expect_err("a number"),
            "number: expected an array, each element a whole number, found 7",
        ),
        (
            file.integers("texts").expect_err("texts"),
            "texts[0]: expected a whole number, found \"x\"",
        ),
        (
            file.texts("texts").expect_err("no UTF-8"),
            "texts[1]: expected a string, found 1 bytes that are not UTF-8",
        ),
        (file.unexpected("number", "8"), "number: expected 8, found 7"),
        (file.unexpected("absent", "8"), "absent: expected 8, found nothing"),
    ] {
        assert!(error.to_string().ends_with(end), "{error}");
    }
    assert_eq!(field(&file.error("here", "one", 2)), "here");
    assert_eq!(file.text("absent").expect("nothing"), None);
    assert_eq!(file.texts("absent").expect("nothing"), None);
}

#[test]
fn arrays_of_arrays_are_passed_over() {
    let inner = [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("a"), &text("b")].concat();
    let entries = [
        array("nested", 9, &[inner.clone(), inner]),
        entry("after", 8, &text("found")),
    ];
    let file = open(&file(&entries, &[])).expect("sound");
    assert_eq!(file.text("after").expect("a string"), Some("found"));
    assert!(file.texts("nested").is_err());
}

#[test]
fn tensors_have_the_outermost_size_first() {
    let rows: Vec<u8> = (0..6).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let bytes = file(
        &[],
        &[
            ("b", &[3, 2], 0, &rows),
            ("a", &[32], 8, &[0; 34]),
            ("c", &[0, 4], 3, &[]),
        ],
    );
    let file = open(&bytes).expect("sound");
    let names: Vec<&str> = file.tensors().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let tensor = file.tensor("b").expect("a tensor");
    assert_eq!(
        (tensor.kind, tensor.shape, tensor.bytes),
        (TensorType::F32, &[2, 3][..], &rows[..])
    );
    assert_eq!(tensor.dequantise(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let quantised = file.tensor("a").expect("a tensor");
    assert_eq!(quantised.bytes.len(), quantised.kind.block_bytes());
    assert_eq!(quantised.kind.block_values(), 32);
    assert!(file.tensor("c").expect("an empty tensor").dequantise().is_empty());
    assert!(file.tensor("d").is_none());
}

/// The real model: all 49,152 tokens, and every tensor's bytes.
#[test]
fn the_real_model() {
    let Some(path) = fixtures::shared("models/SmolLM2-135M-Instruct.Q4_1.gguf") else {
        return;
    };
    let file = gguf_file::GgufFile::open(&path).expect("sound");
    let tokens = file.texts("tokenizer.ggml.tokens").expect("strings").expect("tokens");
    assert_eq!((tokens.len(), tokens[2]), (49_152, "<|im_end|>"));
    assert_eq!(file.integer("llama.block_count").expect("a number"), Some(30));
    assert_eq!(
        file.float("llama.attention.layer_norm_rms_epsilon").expect("a number"),
        Some(1e-5)
    );
    let embedding = file.tensor("token_embd.weight").expect("the embedding");
    assert_eq!(
        (embedding.kind, embedding.shape),
        (TensorType::Q8_0, &[49_152, 576][..])
    );
    let packed = file.tensors().filter(|(_, tensor)| tensor.kind == TensorType::Q4_1);
    assert_eq!(packed.count(), 210);
}
