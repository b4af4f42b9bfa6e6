//! Parquet: columns with and without a form in JSON, and files that contradict themselves.

use parquet::data_type::{ByteArrayType, DoubleType, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use record_files::{RecordError, Records, count};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A value of each physical type that the tests need, in two rows.
macro_rules! column {
    ($group:ident, $kind:ty, $values:expr) => {{
        let mut column = $group.next_column().unwrap().unwrap();
        column
            .typed::<$kind>()
            .write_batch(&$values, Some(&[1, 1]), None)
            .unwrap();
        column.close().unwrap();
    }};
}

/// Two rows of text, an integer and a number, and of six columns without a form in JSON.
fn mixed(path: &Path) {
    let schema = "message schema {
        optional binary text (UTF8); optional int64 time (TIMESTAMP_MILLIS); optional binary bytes;
        optional int32 integer; optional int32 price (DECIMAL(9, 2)); optional fixed_len_byte_array(12) span (INTERVAL);
        optional double number; optional int64 moment (TIMESTAMP(NANOS,true)); optional int64 clock (TIME(NANOS,false));
        optional int64 big (INTEGER(64,true)); }";
    let file = std::fs::File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    column!(group, ByteArrayType, ["a".into(), "b".into()]);
    column!(group, Int64Type, [1, 2]);
    column!(group, ByteArrayType, ["\u{1}".into(), "\u{2}".into()]);
    column!(group, Int32Type, [7, 8]);
    column!(group, Int32Type, [100, 200]);
    column!(group, FixedLenByteArrayType, [vec![0; 12].into(), vec![1; 12].into()]);
    column!(group, DoubleType, [0.5, f64::NAN]);
    column!(group, Int64Type, [1_700_000_000_000_000_000, 2]);
    column!(group, Int64Type, [1, 2]);
    column!(group, Int64Type, [1 << 60, 2]);
    group.close().unwrap();
    writer.close().unwrap();
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data.parquet")
}

#[test]
fn columns_without_a_form_in_json_are_left_out_until_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    mixed(&path);
    let records: Vec<_> = Records::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(
        records[0].fields,
        *json!({"text": "a", "integer": 7, "number": 0.5, "big": 1i64 << 60})
            .as_object()
            .unwrap()
    );
    assert_eq!(
        records[1].fields,
        *json!({"text": "b", "integer": 8, "big": 2}).as_object().unwrap()
    );
    assert_eq!(records[0].field("text").unwrap(), Some(&json!("a")));
    assert_eq!(records[0].field("absent").unwrap(), None);
    assert!(records[0].field("number").is_ok());
    for (row, name, found) in [
        (0, "time", "values of the type TIMESTAMP_MILLIS"),
        (0, "moment", "values of the type TIMESTAMP(NANOS)"),
        (1, "clock", "values of the type TIME(NANOS)"),
        (0, "bytes", "values of the type BYTE_ARRAY"),
        (0, "price", "values of the type DECIMAL"),
        (0, "span", "values of the type INTERVAL"),
        (1, "number", "NaN"),
    ] {
        let error = records[row].field(name).unwrap_err();
        assert!(error.is_one_record());
        let expected = format!("data.parquet: row {row}: expected `{name}` to be text, a number");
        assert!(
            error.to_string().contains(&expected) && error.to_string().ends_with(found),
            "{error}"
        );
    }
    assert_eq!(count(&path).unwrap(), 2);
}

#[test]
fn only_the_columns_asked_for_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    mixed(&path);
    let records = Records::open_columns(&path, &["integer", "absent"]).unwrap();
    let records: Vec<_> = records.map(|record| record.unwrap().fields).collect();
    assert_eq!(json!(records), json!([{"integer": 7}, {"integer": 8}]));
    let message = |columns: &[&str]| Records::open_columns(&path, columns).err().unwrap().to_string();
    let error = message(&["integer", "time"]);
    assert!(
        error.contains("expected time of text") && error.contains("TIMESTAMP_MILLIS"),
        "{error}"
    );
    let error = message(&["messages", "source"]);
    assert!(
        error.contains("a column `messages` or `source`") && error.contains("columns text, time"),
        "{error}"
    );
}

/// A file of one row with a schema that no honest writer makes.
fn write_schema(path: &Path, schema: &str) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        let typed = column.typed::<ByteArrayType>();
        let level = typed.get_descriptor().max_def_level();
        typed.write_batch(&["x".into()], Some(&[level]), Some(&[0])).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_schema_that_lies_is_an_error_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    for (lie, found) in [
        (
            "optional group a (LIST) { optional binary element (UTF8); }",
            "the columns a",
        ),
        (
            "optional group a (LIST) { repeated group list { optional binary element (UTF8); } \
             optional binary b (UTF8); }",
            "the columns a",
        ),
        (
            "optional group a (MAP) { repeated binary key (UTF8); }",
            "the columns a",
        ),
        // Legal, but not read.
        (
            "optional group a (LIST) { repeated binary element (UTF8); }",
            "the columns a",
        ),
    ] {
        write_schema(&path, &format!("message schema {{ {lie} }}"));
        let error = Records::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("data.parquet: row 0: expected a column of text") && error.contains(found),
            "{error}"
        );
        write_schema(
            &path,
            &format!("message schema {{ {lie} optional binary good (UTF8); }}"),
        );
        let record = Records::open(&path).unwrap().next().unwrap().unwrap();
        assert_eq!(json!(record.fields), json!({"good": "x"}));
        assert!(
            record.field("a").unwrap_err().to_string().contains("of the fields"),
            "{lie}"
        );
    }
}

#[test]
fn lists_of_every_layout_are_lists() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    for schema in [
        "optional group a (LIST) { repeated group list { optional binary element (UTF8); } }",
        "repeated binary a (UTF8);",
    ] {
        write_schema(&path, &format!("message schema {{ {schema} }}"));
        let record = Records::open(&path).unwrap().next().unwrap().unwrap();
        assert_eq!(json!(record.fields), json!({"a": ["x"]}), "{schema}");
    }
    write_schema(
        &path,
        "message schema { repeated group a { optional binary b (UTF8); } }",
    );
    let record = Records::open(&path).unwrap().next().unwrap().unwrap();
    assert_eq!(json!(record.fields), json!({"a": [{"b": "x"}]}));
}

#[test]
fn what_is_no_parquet_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    mixed(&path);
    let sound = std::fs::read(&path).unwrap();
    for bytes in [
        b"".to_vec(),
        b"PAR1".to_vec(),
        vec![b'x'; 500],
        b"PAR1\0\0\0\0\xff\xff\xff\x7fPAR1".to_vec(),
        sound[..sound.len() / 2].to_vec(),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Records::open(&path).err().unwrap();
        assert!(matches!(error, RecordError::Unreadable { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("data.parquet: row 0: expected a Parquet file"),
            "{error}"
        );
    }
    // Its pages overwritten.
    let mut broken = sound;
    broken[4..60].fill(0xff);
    std::fs::write(&path, broken).unwrap();
    let mut records = Records::open(&path).unwrap();
    let error = records.next().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("row 0: expected a readable row") && !error.is_one_record(),
        "{error}"
    );
    assert!(records.next().is_none());
}
