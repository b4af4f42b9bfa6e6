//! Data files of a folder.

use record_files::{RecordError, data_files};

#[test]
fn data_files_are_sorted_and_hidden_ones_ignored() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "b.jsonl",
        "a.PARQUET",
        "._b.jsonl",
        ".b.jsonl",
        ".b.jsonl.swp",
        "b.jsonl~",
        "notes.txt",
        "c.json",
        "jsonl",
    ] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    std::fs::create_dir(folder.path().join("folder.jsonl")).unwrap();
    assert_eq!(data_files(folder.path()).unwrap(), ["a.PARQUET", "b.jsonl"]);
    let error = data_files(&folder.path().join("none")).unwrap_err();
    assert!(matches!(error, RecordError::Io { .. }), "{error}");
}
