//! JSON rows as a Parquet file, with every level optional, as Arrow's writers lay them out.

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf {
    Text,
    Bytes,
    Integer,
    Double,
}

/// A column: field names from the root; the last one's value is a leaf, or a list of leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) path: &'static [&'static str],
    pub(crate) list: bool,
    pub(crate) leaf: Leaf,
}

pub(crate) const fn text(path: &'static [&'static str]) -> Column {
    Column {
        path,
        list: false,
        leaf: Leaf::Text,
    }
}

pub(crate) const fn texts(path: &'static [&'static str]) -> Column {
    Column {
        path,
        list: true,
        leaf: Leaf::Text,
    }
}

/// Values with the levels at which they stand.
#[derive(Default)]
struct Shredded {
    values: Vec<Value>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl Shredded {
    fn put(&mut self, value: Option<&Value>, definition: i16, repetition: i16) {
        self.values.extend(value.cloned());
        self.definitions.push(definition);
        self.repetitions.push(repetition);
    }

    fn row(&mut self, row: &Value, column: &Column) {
        let mut value = row;
        for (depth, name) in column.path.iter().enumerate() {
            value = match value.get(name) {
                None | Some(Value::Null) => return self.put(None, depth as i16, 0),
                Some(found) => found,
            };
        }
        let depth = column.path.len() as i16;
        if !column.list {
            return self.put(Some(value), depth, 0);
        }
        let elements = value.as_array().unwrap();
        if elements.is_empty() {
            self.put(None, depth, 0);
        }
        for (index, element) in elements.iter().enumerate() {
            let repetition = i16::from(index > 0);
            match element.is_null() {
                true => self.put(None, depth + 1, repetition),
                false => self.put(Some(element), depth + 2, repetition),
            }
        }
    }
}

/// Writes rows in two row groups, so that a reader that stops after the first is caught.
pub(crate) fn write(path: &Path, columns: &[Column], rows: &[Value]) {
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {} }}", fields(columns, 0))).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    for rows in rows.chunks(rows.len().div_ceil(2).max(1)) {
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let mut shredded = Shredded::default();
            rows.iter().for_each(|row| shredded.row(row, column));
            write_column(&mut group, column.leaf, &shredded);
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// The fields of a message or group; columns of one group follow one another.
fn fields(columns: &[Column], depth: usize) -> String {
    let name = |column: &Column| column.path[depth];
    let groups = columns.chunk_by(|a, b| name(a) == name(b));
    let field = |group: &[Column]| match group[0].path.len() > depth + 1 {
        true => format!("optional group {} {{ {} }} ", name(&group[0]), fields(group, depth + 1)),
        false => leaf(&group[0], name(&group[0])),
    };
    groups.map(field).collect()
}

fn leaf(column: &Column, name: &str) -> String {
    let (kind, logical) = match column.leaf {
        Leaf::Text => ("binary", " (STRING)"),
        Leaf::Bytes => ("binary", ""),
        Leaf::Integer => ("int64", ""),
        Leaf::Double => ("double", ""),
    };
    match column.list {
        true => {
            format!("optional group {name} (LIST) {{ repeated group list {{ optional {kind} element{logical}; }} }} ")
        }
        false => format!("optional {kind} {name}{logical}; "),
    }
}

fn write_column(group: &mut SerializedRowGroupWriter<std::fs::File>, leaf: Leaf, shredded: &Shredded) {
    let mut column = group.next_column().unwrap().unwrap();
    let levels = (Some(&shredded.definitions[..]), Some(&shredded.repetitions[..]));
    let values = shredded.values.iter();
    match leaf {
        Leaf::Text | Leaf::Bytes => {
            let values: Vec<ByteArray> = values.map(|value| ByteArray::from(value.as_str().unwrap())).collect();
            column
                .typed::<ByteArrayType>()
                .write_batch(&values, levels.0, levels.1)
                .unwrap();
        }
        Leaf::Integer => {
            let values: Vec<i64> = values.map(|value| value.as_i64().unwrap()).collect();
            column
                .typed::<Int64Type>()
                .write_batch(&values, levels.0, levels.1)
                .unwrap();
        }
        Leaf::Double => {
            let values: Vec<f64> = values.map(|value| value.as_f64().unwrap_or(f64::NAN)).collect();
            column
                .typed::<DoubleType>()
                .write_batch(&values, levels.0, levels.1)
                .unwrap();
        }
    }
    column.close().unwrap();
}

/// A file of one row with a schema that no honest writer makes.
pub(crate) fn write_schema(path: &Path, schema: &str) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        let typed = column.typed::<ByteArrayType>();
        typed
            .write_batch(
                &[ByteArray::from("x")],
                Some(&[typed.get_descriptor().max_def_level()]),
                Some(&[0]),
            )
            .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}
