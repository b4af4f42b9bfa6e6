//! GGUF files made byte by byte, and those that are refused.

use burn::backend::Flex;
use smollm2_model::ModelError;
use smollm2_model::weights::{ModelSource, load};

/// GGUF bytes: magic, version, counts, then what follows.
pub(crate) fn gguf(version: u32, tensors: u64, entries: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(rest);
    bytes
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

pub(crate) fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

pub(crate) fn tensor(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend((shape.len() as u32).to_le_bytes());
    shape.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

#[test]
fn gguf_files_that_are_cut_or_lie_are_refused() {
    let room = vec![0; 256];
    let with_room = |bytes: Vec<u8>| [&bytes[..], &room].concat();
    let nested: Vec<u8> = (0..6)
        .flat_map(|_| [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat())
        .collect();
    for (name, bytes, field) in [
        ("short", b"GG".to_vec(), "magic"),
        ("magic", b"NOPE0000".to_vec(), "magic"),
        ("version", gguf(1, 0, 0, &[]), "version"),
        ("no counts", b"GGUF\x03\0\0\0".to_vec(), "tensor_count"),
        ("tensor count", gguf(3, u64::MAX, 0, &[]), "tensor_count"),
        ("entry count", gguf(3, 0, u64::MAX, &[]), "metadata_kv_count"),
        (
            "key length",
            gguf(3, 0, 1, &with_room(u64::MAX.to_le_bytes().to_vec())),
            "metadata key 0",
        ),
        (
            "key text",
            gguf(3, 0, 1, &with_room([&2u64.to_le_bytes()[..], b"\xff\xff"].concat())),
            "metadata key 0",
        ),
        ("value type", gguf(3, 0, 1, &with_room(entry("a.b", 77, &[]))), "a.b"),
        (
            "string length",
            gguf(3, 0, 1, &with_room(entry("a.b", 8, &u64::MAX.to_le_bytes()))),
            "a.b",
        ),
        ("truth value", gguf(3, 0, 1, &with_room(entry("a.b", 7, &[2]))), "a.b"),
        (
            "array length",
            gguf(
                3,
                0,
                1,
                &with_room(entry(
                    "a.b",
                    9,
                    &[&4u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat(),
                )),
            ),
            "a.b",
        ),
        (
            "string array",
            gguf(
                3,
                0,
                1,
                &with_room(entry(
                    "a.b",
                    9,
                    &[&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat(),
                )),
            ),
            "a.b",
        ),
        ("nesting", gguf(3, 0, 1, &with_room(entry("a.b", 9, &nested))), "a.b"),
        (
            "twice",
            gguf(
                3,
                0,
                2,
                &with_room([entry("a.b", 0, &[1]), entry("a.b", 0, &[1])].concat()),
            ),
            "a.b",
        ),
        (
            "rank",
            gguf(3, 1, 0, &with_room(tensor("t", &[1; 5], 0, 0))),
            "t.n_dimensions",
        ),
        (
            "tensor type",
            gguf(3, 1, 0, &with_room(tensor("t", &[4], 99, 0))),
            "t.type",
        ),
        (
            "block",
            gguf(3, 1, 0, &with_room(tensor("t", &[7], 3, 0))),
            "t.dimensions",
        ),
        (
            "overflow",
            gguf(3, 1, 0, &with_room(tensor("t", &[u64::MAX, u64::MAX], 0, 0))),
            "t.dimensions",
        ),
        (
            "alignment zero",
            gguf(3, 0, 1, &with_room(entry("general.alignment", 4, &0u32.to_le_bytes()))),
            "general.alignment",
        ),
        ("beyond", gguf(3, 1, 0, &with_room(tensor("t", &[1 << 40], 0, 0))), "t"),
        ("alignment", gguf(3, 1, 0, &with_room(tensor("t", &[4], 0, 3))), "t"),
        (
            "overlap",
            gguf(
                3,
                2,
                0,
                &with_room([tensor("t", &[16], 0, 0), tensor("u", &[16], 0, 32)].concat()),
            ),
            "u",
        ),
        (
            "architecture",
            gguf(3, 0, 1, &with_room(entry("general.architecture", 8, &text("mamba")))),
            "general.architecture",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, bytes).expect("written");
        let error = load::<Flex>(&ModelSource::Gguf(path), &Default::default())
            .map(|_| ())
            .expect_err(name);
        let ModelError::Gguf { field: found, .. } = &error else {
            panic!("{name}: {error}")
        };
        assert!(
            found.contains(field),
            "{name}: expected `{field}` in `{found}`: {error}"
        );
    }
}
