//! Parquet files of every shape, written for the purpose.

use parquet::data_type::ByteArrayType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use smoltalk_data::{Conversation, DataError, Source};
use std::path::Path;
use std::sync::Arc;

/// A value, or the level down to which there is something.
type Cell<'a> = Result<&'a str, i16>;

/// A file of one row whose lists have one element for each cell of a column.
pub(crate) fn write(path: &Path, schema: &str, columns: &[&[Cell]]) {
    write_groups(path, schema, columns, 1);
}

/// A file with as many sound row groups of one row as said, and one more whose bytes are broken.
pub(crate) fn write_broken_after(path: &Path, sound: usize) {
    let schema = messages(["role (UTF8)", "content (UTF8)"]);
    write_groups(path, &schema, &[ROLES, CONTENTS], sound + 1);
    let reader = SerializedFileReader::new(std::fs::File::open(path).expect("a file")).expect("Parquet");
    let (start, length) = reader.metadata().row_group(sound).column(0).byte_range();
    let mut bytes = std::fs::read(path).expect("readable");
    bytes[start as usize..(start + length) as usize].fill(0xff);
    std::fs::write(path, bytes).expect("written");
}

fn write_groups(path: &Path, schema: &str, columns: &[&[Cell]], groups: usize) {
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = SerializedFileWriter::new(file, schema, Default::default()).expect("a writer");
    for _ in 0..groups {
        write_group(&mut writer, columns);
    }
    writer.close().expect("closed");
}

fn write_group(writer: &mut SerializedFileWriter<std::fs::File>, columns: &[&[Cell]]) {
    let mut group = writer.next_row_group().expect("a row group");
    for cells in columns {
        let mut column = group
            .next_column()
            .expect("a column")
            .expect("as many as the schema has");
        let typed = column.typed::<ByteArrayType>();
        let (most, repeated) = (
            typed.get_descriptor().max_def_level(),
            typed.get_descriptor().max_rep_level(),
        );
        let definition: Vec<i16> = cells.iter().map(|cell| cell.err().unwrap_or(most)).collect();
        let repetition: Vec<i16> = (0..cells.len()).map(|at| if at == 0 { 0 } else { repeated }).collect();
        let values: Vec<_> = cells.iter().flatten().map(|text| (*text).into()).collect();
        typed
            .write_batch(&values, Some(&definition), Some(&repetition))
            .expect("written");
        column.close().expect("closed");
    }
    group.close().expect("closed");
}

/// The usual schema with these fields in a message.
pub(crate) fn messages(fields: [&str; 2]) -> String {
    let fields = fields.map(|field| format!("optional binary {field};")).concat();
    format!(
        "message schema {{ optional group messages (LIST) {{ repeated group list {{ optional group element {{ {fields} }} }} }} }}"
    )
}

fn read(schema: &str, columns: &[&[Cell]]) -> Vec<Result<Conversation, DataError>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.parquet");
    write(&path, schema, columns);
    Source::open(&path).expect("a source").conversations().collect()
}

const ROLES: &[Cell] = &[Ok("user"), Ok("assistant")];
const CONTENTS: &[Cell] = &[Ok("a"), Ok("b")];

#[test]
fn either_order_of_the_fields_gives_the_same_messages() {
    let [one, other] = [
        read(&messages(["role (UTF8)", "content (UTF8)"]), &[ROLES, CONTENTS]),
        read(&messages(["content (UTF8)", "role (UTF8)"]), &[CONTENTS, ROLES]),
    ];
    let [Ok(one), Ok(other)] = [&one[0], &other[0]] else {
        panic!("{one:?}, {other:?}")
    };
    assert_eq!(one, other);
    let turns: Vec<(&str, &str)> = one
        .messages
        .iter()
        .map(|m| (m.role.as_str(), m.content.as_str()))
        .collect();
    assert_eq!(turns, [("user", "a"), ("assistant", "b")]);
}

/// A file read whole would give the error and nothing else.
#[test]
fn row_groups_before_a_broken_one_give_their_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.parquet");
    write_broken_after(&path, 3);
    let found: Vec<_> = Source::open(&path).expect("a source").conversations().collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(
        found[..3]
            .iter()
            .all(|conversation| conversation.as_ref().is_ok_and(|good| good.messages.len() == 2))
    );
    let error = found[3].as_ref().expect_err("a broken row group").to_string();
    assert!(
        error.contains("data.parquet: row 3: expected a readable row"),
        "{error}"
    );
}

/// As older writers store it, with a `source` column next to it.
#[test]
fn a_bare_repeated_group_is_a_list() {
    let schema = "message schema { optional binary source (UTF8); \
                  repeated group messages { optional binary role (UTF8); optional binary content (UTF8); } }";
    let found = read(schema, &[&[Ok("somewhere")], ROLES, CONTENTS]);
    let conversation = found[0].as_ref().expect("a conversation");
    assert_eq!(conversation.messages.len(), 2);
    assert_eq!(conversation.source.as_deref(), Some("somewhere"));
}

#[test]
fn what_a_file_says_or_holds_wrongly_is_named_once() {
    let text = ["role (UTF8)", "content (UTF8)"];
    let bytes = |schema: &str| format!("message schema {{ {schema} }}");
    let one: &[Cell] = &[Ok("x")];
    let two: &[&[Cell]] = &[one, one];
    for (schema, columns, expected, found) in [
        (
            bytes("optional binary text (UTF8);"),
            &two[..1],
            "a column `messages`",
            "the columns text",
        ),
        (
            bytes("optional binary messages (UTF8);"),
            &two[..1],
            "`messages` to be a list",
            "a string",
        ),
        (
            bytes("optional group messages (LIST) { optional binary element (UTF8); }"),
            &two[..1],
            "messages of text, numbers, truth values, or lists or structs of them",
            "LIST of the fields element",
        ),
        (
            bytes(
                "optional group messages (LIST) { repeated group list { optional binary a; } \
                 repeated group other { optional binary b; } }",
            ),
            two,
            "messages of text",
            "LIST of the fields list, other",
        ),
        (
            bytes("optional group messages (MAP) { repeated binary key (UTF8); }"),
            &two[..1],
            "messages of text",
            "MAP of the fields key",
        ),
        (
            bytes("optional group messages { optional binary role (UTF8); optional binary content (UTF8); }"),
            two,
            "`messages` to be a list",
            "an object with the fields role, content",
        ),
        (
            bytes("optional group messages (LIST) { repeated group list { optional binary element (UTF8); } }"),
            &two[..1],
            "`messages[0]` to be an object with `role` and `content`",
            "a string",
        ),
        (
            messages(["role (UTF8)", "value (UTF8)"]),
            two,
            "`messages[0].content`",
            "no such field",
        ),
        (
            messages(["role", "content (UTF8)"]),
            two,
            "messages of text",
            "values of the type BYTE_ARRAY",
        ),
        (
            messages(text),
            &[&[Ok("user"), Ok("assistant")], &[Ok("a"), Err(3)]],
            "`messages[1].content` to be a string",
            "null",
        ),
        (
            messages(text),
            &[&[Err(2)], &[Err(2)]],
            "`messages[0]` to be an object",
            "null",
        ),
        (
            messages(text),
            &[&[Err(0)], &[Err(0)]],
            "`messages` to be a list",
            "null",
        ),
    ] {
        let read = read(&schema, columns);
        let [Err(error)] = read.as_slice() else {
            panic!("{schema}: {read:?}");
        };
        let message = error.to_string();
        let (wanted, got) = message.split_once(", found ").expect("expected and found");
        assert!(
            wanted.contains("row 0: expected") && wanted.contains(expected),
            "{schema}: {message}"
        );
        assert!(got.contains(found), "{schema}: {message}");
    }
}
