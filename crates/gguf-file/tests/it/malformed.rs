//! Headers that are cut or lie.

use crate::{field, open};
use fixtures::gguf::{entry, file, header, tensor, text};

/// A name for messages, the bytes, and the field that is refused.
type Case = (&'static str, Vec<u8>, &'static str);

fn refuse(cases: impl IntoIterator<Item = Case>) {
    for (name, bytes, expected) in cases {
        let error = open(&bytes).expect_err(name);
        let found = field(&error);
        assert!(
            found.contains(expected),
            "{name}: expected `{expected}` in `{found}`: {error}"
        );
    }
}

/// One metadata entry, with bytes after it that a length could reach.
fn with_entry(rest: &[u8]) -> Vec<u8> {
    header(3, 0, 1, &[rest, &[0; 256]].concat())
}

/// So many tensors, with bytes after them.
fn with_tensors(count: u64, rest: &[u8]) -> Vec<u8> {
    header(3, count, 0, &[rest, &[0; 256]].concat())
}

/// Element type and length of an array, without elements.
fn array_of(kind: u32, length: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &length.to_le_bytes()].concat()
}

#[test]
fn beginnings() {
    refuse([
        ("empty", b"".to_vec(), "magic"),
        ("short", b"GG".to_vec(), "magic"),
        ("magic", b"NOPE0000".to_vec(), "magic"),
        ("no version", b"GGUF".to_vec(), "version"),
        ("version 1", header(1, 0, 0, &[]), "version"),
        ("other byte order", header(3u32.swap_bytes(), 0, 0, &[]), "version"),
        ("no counts", b"GGUF\x03\0\0\0".to_vec(), "tensor_count"),
        ("tensor count", header(3, u64::MAX, 0, &[]), "tensor_count"),
        ("entry count", header(3, 0, u64::MAX, &[]), "metadata_kv_count"),
    ]);
}

#[test]
fn metadata() {
    let endless = u64::MAX.to_le_bytes();
    let nested: Vec<u8> = (0..6).flat_map(|_| array_of(9, 1)).collect();
    let twice = [entry("a.b", 0, &[1]), entry("a.b", 0, &[1])].concat();
    refuse([
        ("key length", with_entry(&endless), "metadata key 0"),
        (
            "key text",
            with_entry(&[&2u64.to_le_bytes()[..], b"\xff\xff"].concat()),
            "metadata key 0",
        ),
        ("value type", with_entry(&entry("a.b", 77, &[])), "a.b"),
        ("string length", with_entry(&entry("a.b", 8, &endless)), "a.b"),
        ("truth value", with_entry(&entry("a.b", 7, &[2])), "a.b"),
        (
            "truth value in an array",
            with_entry(&entry("a.b", 9, &[&array_of(7, 2)[..], &[1, 2]].concat())),
            "a.b",
        ),
        (
            "array length",
            with_entry(&entry("a.b", 9, &array_of(4, u64::MAX))),
            "a.b",
        ),
        (
            "string array",
            with_entry(&entry("a.b", 9, &array_of(8, u64::MAX))),
            "a.b",
        ),
        ("element type", with_entry(&entry("a.b", 9, &array_of(13, 1))), "a.b"),
        ("nesting", with_entry(&entry("a.b", 9, &nested)), "a.b"),
        ("twice", header(3, 0, 2, &[&twice[..], &[0; 256]].concat()), "a.b"),
        (
            "alignment of zero",
            with_entry(&entry("general.alignment", 4, &0u32.to_le_bytes())),
            "general.alignment",
        ),
        (
            "alignment in words",
            with_entry(&entry("general.alignment", 8, &text("32"))),
            "general.alignment",
        ),
    ]);
}

#[test]
fn tensors() {
    let overlapping = [tensor("t", &[16], 0, 0), tensor("u", &[16], 0, 32)].concat();
    let twice = [tensor("t", &[4], 0, 0), tensor("t", &[4], 0, 32)].concat();
    refuse([
        ("rank", with_tensors(1, &tensor("t", &[1; 5], 0, 0)), "t.n_dimensions"),
        ("no rank", with_tensors(1, &tensor("t", &[], 0, 0)), "t.n_dimensions"),
        ("type", with_tensors(1, &tensor("t", &[4], 99, 0)), "t.type"),
        ("block", with_tensors(1, &tensor("t", &[7], 3, 0)), "t.dimensions"),
        (
            "overflow",
            with_tensors(1, &tensor("t", &[u64::MAX, u64::MAX], 0, 0)),
            "t.dimensions",
        ),
        ("beyond", with_tensors(1, &tensor("t", &[1 << 40], 0, 0)), "t.offset"),
        (
            "offset",
            with_tensors(1, &tensor("t", &[4], 0, u64::MAX - 31)),
            "t.offset",
        ),
        ("alignment", with_tensors(1, &tensor("t", &[4], 0, 3)), "t.offset"),
        ("overlap", with_tensors(2, &overlapping), "u.offset"),
        ("twice", with_tensors(2, &twice), "t"),
    ]);
}

#[test]
fn types_that_are_not_read_are_refused_by_name() {
    for (kind, name) in [(9, "Q8_1"), (16, "IQ2_XXS"), (39, "MXFP4"), (999, "type 999")] {
        let error = open(&with_tensors(1, &tensor("t", &[256], kind, 0))).expect_err(name);
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("Q8_0"), "{message}");
    }
}

/// Every prefix of a sound file but the last few bytes of padding is refused, never read past its end.
#[test]
fn a_file_that_is_cut_is_refused() {
    let entries = [
        entry("a.text", 8, &text("one")),
        fixtures::gguf::array("a.array", 8, &[text("two"), text("three")]),
    ];
    let whole = file(&entries, &[("t", &[8], 0, &[0; 32])]);
    assert!(open(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(open(&whole[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn files_with_bytes_that_fell_over_are_read_or_refused() {
    let entries = [
        entry("a.text", 8, &text("one")),
        fixtures::gguf::array("a.array", 5, &[vec![1, 0, 0, 0], vec![2, 0, 0, 0]]),
        fixtures::gguf::array("a.texts", 8, &[text("two"), text("three")]),
    ];
    let whole = file(&entries, &[("t", &[32, 2], 8, &[7; 68]), ("u", &[2], 30, &[1; 4])]);
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        let Ok(file) = open(&bytes) else { continue };
        let _ = (file.text("a.text"), file.integers("a.array"), file.texts("a.texts"));
        for (_, tensor) in file.tensors() {
            assert_eq!(tensor.dequantise().len(), tensor.shape.iter().product::<usize>());
        }
    }
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("absent.gguf");
    let error = gguf_file::GgufFile::open(&path).expect_err("absent");
    assert!(error.to_string().contains("absent.gguf"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
