//! The table of recipe fields in docs/training.md is the code's.

use std::{collections::BTreeMap, fs, path::Path};

use smollm2_train::{Schedule, TrainConfig};
use toml::Value;

/// The fields of a recipe with their values; those of a table as `table.field`.
fn fields(recipe: &TrainConfig) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (name, value) in toml::Table::try_from(recipe).unwrap() {
        match value {
            Value::Table(inner) => {
                fields.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)))
            }
            value => {
                fields.insert(name, value);
            }
        }
    }
    fields
}

/// Every field that some recipe has, with its default.
fn defaults() -> BTreeMap<String, Value> {
    let schedules = ["constant", "wsd"].map(|kind| {
        let text = format!("[schedule]\nkind = \"{kind}\"");
        TrainConfig::from_toml(&text).unwrap()
    });
    assert!(schedules.iter().all(|recipe| match recipe.schedule {
        // A new schedule needs its line above.
        Schedule::Constant {} | Schedule::Cosine { .. } | Schedule::Wsd { .. } => true,
    }));
    let mut defaults: BTreeMap<_, _> = schedules.iter().flat_map(fields).collect();
    defaults.extend(fields(&TrainConfig::default()));
    defaults
}

/// The cells of every row of the table in the chapter `The recipe`.
fn rows() -> Vec<[String; 3]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/training.md");
    let text = fs::read_to_string(path).unwrap();
    let chapter = text
        .split("\n## ")
        .find(|chapter| chapter.starts_with("The recipe\n"))
        .unwrap();
    let rows = chapter.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| {
        let cells: Vec<String> = row
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        cells.try_into().expect("three cells: field, default, meaning")
    });
    cells.collect()
}

#[test]
fn the_table_of_fields_is_complete() {
    let mut missing = defaults();
    for [field, default, meaning] in rows() {
        let name = field.trim_matches('`');
        let expected = missing.remove(name);
        let expected =
            expected.unwrap_or_else(|| panic!("docs/training.md: `{name}` is no field, or stands there twice"));
        let line = format!("default = {}", default.trim_matches('`'));
        let found: toml::Table = toml::from_str(&line).unwrap_or_else(|error| panic!("`{name}`: {error}"));
        assert_eq!(found["default"], expected, "docs/training.md: default of `{name}`");
        assert!(meaning.len() > 10, "docs/training.md: meaning of `{name}`");
    }
    assert!(missing.is_empty(), "docs/training.md lacks {:?}", missing.keys());
}
