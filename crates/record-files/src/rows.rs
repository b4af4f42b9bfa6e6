//! Rows of a Parquet file as JSON objects, equal to those in a JSONL file with the same data.

use crate::pages::BoundedFile;
use crate::panics::{caught, shortened};
use crate::{Place, Position, Record, RecordError};
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::file::reader::FileReader;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub(crate) struct Rows {
    path: Arc<Path>,
    rows: RowIter<'static>,
    row: u64,
    /// Columns that JSON cannot represent, and why.
    unreadable: Arc<BTreeMap<String, String>>,
}

impl Rows {
    pub(crate) fn open(path: &Path, columns: Option<&[&str]>) -> Result<Self, RecordError> {
        let file = open(path)?;
        // The reader trusts the file's metadata, and panics if it is inconsistent.
        let opened = caught(|| Self::project(path, file, columns));
        opened.unwrap_or_else(|found| Err(unreadable(path, 0, "a readable schema", found)))
    }

    fn project(path: &Path, file: BoundedFile, columns: Option<&[&str]>) -> Result<Self, RecordError> {
        let schema = file.metadata().file_metadata().schema();
        let (mut kept, mut without_form) = (Vec::new(), BTreeMap::new());
        for field in schema.get_fields() {
            if columns.is_some_and(|columns| !columns.contains(&field.name())) {
                continue;
            }
            match without_json(field) {
                None => kept.push(field.clone()),
                Some(reason) => {
                    without_form.insert(field.name().to_string(), reason);
                }
            }
        }
        if let (Some((name, found)), Some(_)) = (without_form.first_key_value(), columns) {
            return Err(unreadable(path, 0, &readable(name), found.clone()));
        }
        if kept.is_empty() {
            let expected = match columns {
                Some(columns) => format!("a column `{}`", columns.join("` or `")),
                None => readable("a column"),
            };
            return Err(unreadable(path, 0, &expected, format!("the columns {}", names(schema))));
        }
        let projection = Type::group_type_builder(schema.name()).with_fields(kept).build();
        let rows = projection.and_then(|kept| RowIter::from_file_into(Box::new(file)).project(Some(kept)));
        Ok(Self {
            path: path.into(),
            rows: rows.map_err(|error| unreadable(path, 0, "a readable schema", error.to_string()))?,
            row: 0,
            unreadable: Arc::new(without_form),
        })
    }

    fn record(&self, row: &Row) -> Record {
        let (mut fields, mut without_form) = (Map::new(), self.unreadable.clone());
        for (name, field) in row.get_column_iter() {
            match value(field) {
                Ok(value) => {
                    fields.insert(name.clone(), value);
                }
                Err(reason) => {
                    Arc::make_mut(&mut without_form).insert(name.clone(), reason);
                }
            }
        }
        let place = place(&self.path, self.row);
        Record::new(place, fields, without_form)
    }
}

impl Iterator for Rows {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = caught(|| self.rows.next()).map(Option::transpose);
        let row = row.and_then(|row| row.map_err(|error| shortened(&error.to_string())));
        let record = match row.transpose()? {
            Ok(row) => Ok(self.record(&row)),
            // After this row the columns are out of step.
            Err(found) => Err(unreadable(&self.path, self.row, "a readable row", found)),
        };
        self.row += 1;
        Some(record)
    }
}

pub(crate) fn count(path: &Path) -> Result<u64, RecordError> {
    let rows = open(path)?.metadata().file_metadata().num_rows();
    u64::try_from(rows).map_err(|_| unreadable(path, 0, "a number of rows", rows.to_string()))
}

fn open(path: &Path) -> Result<BoundedFile, RecordError> {
    let file = File::open(path).map_err(|source| RecordError::io(path, source))?;
    let opened = caught(|| BoundedFile::new(file)).and_then(|file| file.map_err(|error| shortened(&error.to_string())));
    opened.map_err(|found| unreadable(path, 0, "a Parquet file", found))
}

fn place(path: &Path, row: u64) -> Place {
    Place {
        path: path.into(),
        position: Position::Row(row),
    }
}

fn unreadable(path: &Path, row: u64, expected: &str, found: String) -> RecordError {
    RecordError::Unreadable {
        place: place(path, row),
        expected: expected.to_string(),
        found,
    }
}

fn readable(column: &str) -> String {
    format!("{column} of text, numbers, truth values, or lists or structs of them")
}

fn names(group: &Type) -> String {
    let names: Vec<&str> = group.get_fields().iter().map(|field| field.name()).collect();
    names.join(", ")
}

/// Why JSON cannot represent a column; `None` if it can.
fn without_json(field: &Type) -> Option<String> {
    let converted = field.get_basic_info().converted_type();
    if field.is_primitive() {
        let has_form = has_json(
            field.get_physical_type(),
            converted,
            field.get_basic_info().logical_type_ref(),
        );
        return (!has_form).then(|| match (converted, field.get_basic_info().logical_type_ref()) {
            (ConvertedType::NONE, Some(LogicalType::Timestamp(_))) => "values of the type TIMESTAMP(NANOS)".to_owned(),
            (ConvertedType::NONE, Some(LogicalType::Time(_))) => "values of the type TIME(NANOS)".to_owned(),
            (ConvertedType::NONE, _) => format!("values of the type {}", field.get_physical_type()),
            _ => format!("values of the type {converted}"),
        });
    }
    let fields = field.get_fields();
    match (converted, fields) {
        (ConvertedType::NONE, [_, ..]) => fields.iter().find_map(|field| without_json(field)),
        // A list without a group in the middle is legal, but the parquet crate reads a list in a list.
        (ConvertedType::LIST, [elements])
            if elements.get_basic_info().repetition() == Repetition::REPEATED && !elements.is_primitive() =>
        {
            without_json(elements)
        }
        _ => Some(format!("a {converted} of the fields {}", names(field))),
    }
}

fn has_json(physical: Physical, converted: ConvertedType, logical: Option<&LogicalType>) -> bool {
    use ConvertedType::{ENUM, INT_8, INT_16, INT_32, INT_64, JSON, NONE, UINT_8, UINT_16, UINT_32, UINT_64, UTF8};
    match physical {
        Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE => true,
        Physical::INT32 => matches!(converted, NONE | INT_8 | INT_16 | INT_32 | UINT_8 | UINT_16 | UINT_32),
        // Times in nanoseconds have no converted type.
        Physical::INT64 => {
            let is_time = matches!(logical, Some(LogicalType::Timestamp(_) | LogicalType::Time(_)));
            matches!(converted, NONE | INT_64 | UINT_64) && !is_time
        }
        Physical::BYTE_ARRAY => matches!(converted, UTF8 | ENUM | JSON),
        Physical::FIXED_LEN_BYTE_ARRAY => logical == Some(&LogicalType::Float16),
        Physical::INT96 => false,
    }
}

/// A value, or why JSON cannot represent it.
fn value(field: &Field) -> Result<Value, String> {
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
        Field::Group(row) => {
            let fields = row.get_column_iter();
            let fields = fields.map(|(name, field)| Ok((name.clone(), value(field)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        Field::ListInternal(list) => list.elements().iter().map(value).collect::<Result<_, _>>()?,
        other => return Err(shortened(&other.to_string())),
    })
}

fn number(value: f64) -> Result<Value, String> {
    let number = Number::from_f64(value).map(Value::Number);
    number.ok_or_else(|| value.to_string())
}
