//! The keys of a task file with those of the files it includes.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_yaml_ng::value::{Tag, TaggedValue};
use serde_yaml_ng::{Mapping, Value};

use super::builtin;
use crate::BenchError;

/// No task file of lm-evaluation-harness has a hundredth of it.
const MAX_BYTES: u64 = 16 << 20;
/// Values of a file after aliases are expanded.
const MAX_VALUES: usize = 1_000_000;
/// Files that include one another in a row.
const MAX_DEPTH: usize = 64;

/// Where the text of a task file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    /// A file compiled into this crate: its name and its text.
    Builtin(String, String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Builtin(name, _) => write!(f, "built-in file {name}"),
        }
    }
}

impl Place {
    /// A file named by this one, relative to it.
    fn beside(&self, name: &str) -> Result<Self, BenchError> {
        match self {
            Self::File(path) => Ok(Self::File(path.parent().unwrap_or(Path::new("")).join(name))),
            Self::Builtin(..) => Ok(Self::Builtin(name.to_owned(), builtin::included(name)?)),
        }
    }

    /// The same for every spelling of a path.
    fn identity(&self) -> Self {
        match self {
            Self::File(path) => Self::File(path.canonicalize().unwrap_or_else(|_| path.clone())),
            builtin => builtin.clone(),
        }
    }

    fn text(&self) -> Result<String, BenchError> {
        match self {
            Self::File(path) => read(path).map_err(|source| BenchError::Read {
                path: path.clone(),
                source,
            }),
            Self::Builtin(_, text) => Ok(text.clone()),
        }
    }
}

fn unfit(problem: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, problem)
}

/// A regular file of bounded size.
fn read(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(unfit("a file is expected"));
    }
    let mut text = String::new();
    let bytes = file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if bytes as u64 > MAX_BYTES {
        return Err(unfit("a task file of at most 16 MiB is expected"));
    }
    Ok(text)
}

/// The keys of a file; its own go before those it includes.
pub(crate) fn keys(place: &Place) -> Result<Mapping, BenchError> {
    with_included(place, &mut HashSet::new(), 0)
}

/// The keys of a text that has no place, so it cannot include others.
pub(crate) fn keys_of(text: &str, origin: &str) -> Result<Mapping, BenchError> {
    let keys = parsed(text, origin)?;
    if keys.contains_key("include") {
        return Err(include_error(
            origin,
            "a text without a file has no neighbours; open it as a file",
        ));
    }
    Ok(keys)
}

/// Every file is read once: a second time is a cycle, or of no use, and is an error as in the original.
fn with_included(place: &Place, seen: &mut HashSet<String>, depth: usize) -> Result<Mapping, BenchError> {
    let origin = place.to_string();
    if !seen.insert(place.identity().to_string()) {
        return Err(include_error(
            &origin,
            "the file is included a second time, by itself or by its neighbours",
        ));
    }
    if depth > MAX_DEPTH {
        return Err(include_error(
            &origin,
            format!("more than {MAX_DEPTH} files include one another"),
        ));
    }
    let mut own = parsed(&place.text()?, &origin)?;
    let Some(included) = own.remove("include") else {
        return Ok(own);
    };
    let mut keys = Mapping::new();
    for name in included_names(included, &origin)? {
        let mut others = with_included(&place.beside(&name)?, seen, depth + 1)?;
        others.remove("task_list");
        keys.extend(others);
    }
    keys.extend(own);
    Ok(keys)
}

fn included_names(included: Value, origin: &str) -> Result<Vec<String>, BenchError> {
    let names = match included {
        Value::String(name) => Some(vec![name]),
        Value::Sequence(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    names.ok_or_else(|| include_error(origin, "the name of a file or a list of names is expected"))
}

fn include_error(origin: &str, problem: impl Into<String>) -> BenchError {
    BenchError::Include {
        path: origin.to_owned(),
        problem: problem.into(),
    }
}

/// One text as keys and values.
fn parsed(text: &str, origin: &str) -> Result<Mapping, BenchError> {
    let value = bounded(text).map_err(|source| BenchError::TaskSyntax {
        task: origin.to_owned(),
        source,
    })?;
    if text.contains("!!python") {
        return Err(BenchError::TaskTag {
            task: origin.to_owned(),
            key: "a value".to_owned(),
            tag: "!!python".to_owned(),
        });
    }
    Ok(value)
}

/// The values are counted while they are read: few aliases can stand for billions of values.
fn bounded(text: &str) -> Result<Mapping, serde_yaml_ng::Error> {
    let left = Cell::new(MAX_VALUES);
    let mut value = Build(&left).deserialize(serde_yaml_ng::Deserializer::from_str(text))?;
    value.apply_merge()?;
    match value {
        Value::Mapping(keys) => Ok(keys),
        _ => Err(serde_yaml_ng::Error::custom("keys with values are expected")),
    }
}

/// Reads a value and counts down. Of two equal keys the last one counts, as in Python's reader.
#[derive(Clone, Copy)]
struct Build<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            return Err(D::Error::custom(format!(
                "more than {MAX_VALUES} values, aliases expanded"
            )));
        };
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut sequence = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            sequence.push(item);
        }
        Ok(Value::Sequence(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut mapping = Mapping::new();
        while let Some(key) = entries.next_key_seed(self)? {
            mapping.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (tag, contents) = tagged.variant::<String>()?;
        Ok(Value::Tagged(Box::new(TaggedValue {
            tag: Tag::new(tag),
            value: contents.newtype_variant_seed(self)?,
        })))
    }
}
