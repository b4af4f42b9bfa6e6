//! Rows of a Parquet file as the JSON objects a JSONL file of the same data holds.

use std::fs::File;
use std::panic::catch_unwind;
use std::path::Path;

use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Number, Value};

use crate::{BenchError, Document};

/// The reader asserts what a file says of itself: one that lies must be an error, not a panic.
pub(super) fn read(path: &Path) -> Result<Vec<Document>, BenchError> {
    catch_unwind(|| rows(path)).unwrap_or_else(|_| {
        Err(BenchError::Parquet {
            path: path.to_owned(),
            row: 0,
            problem: "its schema or its pages contradict each other; write the file anew".to_owned(),
        })
    })
}

fn rows(path: &Path) -> Result<Vec<Document>, BenchError> {
    let wrong = |row: usize, problem: String| BenchError::Parquet {
        path: path.to_owned(),
        row,
        problem,
    };
    let file = File::open(path).map_err(|source| BenchError::Read {
        path: path.to_owned(),
        source,
    })?;
    let reader = SerializedFileReader::new(file).map_err(|error| wrong(0, error.to_string()))?;
    let rows = RowIter::from_file_into(Box::new(reader)).enumerate();
    let document = |(index, row): (usize, parquet::errors::Result<Row>)| {
        let row = row.map_err(|error| wrong(index, error.to_string()))?;
        object(&row).map_err(|problem| wrong(index, problem))
    };
    rows.map(document).collect()
}

fn object(row: &Row) -> Result<Document, String> {
    let fields = row.get_column_iter();
    let fields = fields.map(|(name, field)| match value(field) {
        Ok(value) => Ok((name.clone(), value)),
        Err(problem) => Err(format!("`{name}`: {problem}")),
    });
    fields.collect()
}

fn value(field: &Field) -> Result<Value, String> {
    let number = |value: f64| {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| format!("{value} has no form in JSON"))
    };
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => number(value.to_f64())?,
        Field::Float(value) => number(f64::from(*value))?,
        Field::Double(value) => number(*value)?,
        Field::Str(text) => Value::from(text.as_str()),
        Field::Group(row) => Value::Object(object(row)?),
        Field::ListInternal(list) => list.elements().iter().map(value).collect::<Result<_, _>>()?,
        other => {
            let text: String = other.to_string().chars().take(40).collect();
            return Err(format!(
                "expected text, a number, a truth value, a list or a struct of them, found {text}"
            ));
        }
    })
}
