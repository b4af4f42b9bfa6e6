//! JSONL.

use record_files::{LONGEST_LINE, Record, RecordError, Records, count};

fn read(bytes: &[u8]) -> Vec<Result<Record, RecordError>> {
    let file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let records: Vec<_> = Records::open(file.path()).unwrap().collect();
    let bad = records.iter().filter(|record| record.is_err()).count();
    assert_eq!(
        count(file.path()).unwrap(),
        records.len() as u64,
        "{bad} bad ones are counted too"
    );
    records
}

/// Where each record is and its field `a`, or what is wrong.
fn shown(bytes: &[u8]) -> Vec<String> {
    let shown = read(bytes).into_iter().map(|record| match record {
        Ok(record) => format!("{} {}", line(&record.place().to_string()), record.fields["a"]),
        Err(error) => line(&error.to_string()).to_string(),
    });
    shown.collect()
}

/// A place or message without the path.
fn line(message: &str) -> &str {
    message.split_once(".jsonl:").unwrap().1
}

#[test]
fn lines_end_at_the_byte_alone() {
    let text = "{\"a\": \"x\u{2028}\u{85}y\"}\r\n\n  \n{\"a\": 2}";
    assert_eq!(shown(text.as_bytes()), ["1 \"x\u{2028}\u{85}y\"", "4 2"]);
    assert!(read(b"").is_empty());
}

#[test]
fn a_bad_line_is_named_and_the_next_one_read() {
    let bytes = b"{\"a\": 1}\n{\"a\": \n7\n{\"a\": \"caf\xe9\"}\nnull\n{\"a\": 6}";
    assert_eq!(
        shown(bytes),
        [
            "1 1",
            "2: expected a JSON object, found EOF while parsing a value at column 6",
            "3: expected a JSON object, found a number",
            "4: expected UTF-8, found other bytes after 10 of them; convert the file",
            "5: expected a JSON object, found null",
            "6 6",
        ]
    );
    assert!(
        read(bytes)
            .into_iter()
            .filter_map(Result::err)
            .all(|error| error.is_one_record())
    );
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_beginning_only() {
    assert_eq!(shown(b"\xEF\xBB\xBF{\"a\": 1}\n{\"a\": 2}\n"), ["1 1", "2 2"]);
    assert_eq!(shown(b"\xEF\xBB\xBF\n{\"a\": 2}\n"), ["2 2"]);
    assert_eq!(
        read(b"{\"a\": 1}\n\xEF\xBB\xBF{\"a\": 2}\n")
            .into_iter()
            .filter(Result::is_err)
            .count(),
        1
    );
}

#[test]
fn a_json_array_is_refused_with_the_way_out() {
    for text in ["[{\"a\": 1}]", "\n  [\n  {\"a\": 1}\n]\n"] {
        let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut records = Records::open(file.path()).unwrap();
        let error = records.next().unwrap().unwrap_err();
        assert!(matches!(error, RecordError::Unreadable { .. }) && !error.is_one_record());
        assert!(error.to_string().contains("jq -c '.[]'"), "{error}");
        assert!(records.next().is_none());
    }
}

#[test]
fn a_line_too_long_is_skipped() {
    let mut bytes = vec![b'x'; LONGEST_LINE as usize + 10];
    bytes.extend(b"\n{\"a\": 2}\n");
    let found = shown(&bytes);
    assert!(
        found[0].starts_with("1: expected a line of at most 67108864 bytes"),
        "{found:?}"
    );
    assert_eq!(found[1..], ["2 2"]);
    // The last one may be as long as it can be.
    let mut bytes = vec![b' '; LONGEST_LINE as usize];
    bytes[..8].copy_from_slice(b"{\"a\": 1}");
    assert_eq!(shown(&bytes), ["1 1"]);
}

#[test]
fn an_absent_file_is_named() {
    let error = Records::open(std::path::Path::new("/absent/x.jsonl")).err().unwrap();
    assert!(
        matches!(error, RecordError::Io { .. }) && error.to_string().contains("/absent/x.jsonl"),
        "{error}"
    );
}
