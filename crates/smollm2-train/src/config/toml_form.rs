//! The recipe as TOML: reading, writing, comparing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};
use smoltalk_data::LoaderConfig;
use toml::de::DeTable;

use super::TrainConfig;
use crate::TrainError;

/// A field in which two recipes differ; see [`TrainConfig::differences`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field as TOML spells it, with its table (`optimizer.beta1`).
    pub field: String,
    /// Its value in the recipe whose method was called; `absent` where its schedule has no such field.
    pub here: String,
    /// Its value in the other recipe.
    pub there: String,
}

impl TrainConfig {
    /// Reads and validates a recipe.
    ///
    /// # Errors
    /// [`TrainError::ConfigSyntax`] for an unknown or ill-typed key, [`TrainError::Config`] for an impossible value.
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let config: Self = toml::from_str(text)
            .map_err(|error| TrainError::ConfigSyntax(Box::new(located_error(text).unwrap_or(error))))?;
        config.validate()?;
        Ok(config)
    }

    /// The resolved recipe: every field, as [`TrainConfig::from_toml`] reads it back.
    ///
    /// # Errors
    /// As [`TrainConfig::validate`]: TOML cannot represent some of the values that it refuses.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        self.validate()?;
        Ok(toml::to_string_pretty(self).expect("every validated value is a number, a boolean or a name"))
    }

    /// The fields in which this recipe and `other` differ, by name.
    ///
    /// # Errors
    /// As [`TrainConfig::to_toml`], for either recipe.
    ///
    /// ```
    /// use smollm2_train::TrainConfig;
    ///
    /// let differences = TrainConfig::sft_smol().differences(&TrainConfig::sft_1_7b())?;
    /// assert_eq!(differences.len(), 1);
    /// assert_eq!(differences[0].field, "learning_rate");
    /// assert_eq!((differences[0].here.as_str(), differences[0].there.as_str()), ("0.001", "0.0003"));
    /// # Ok::<(), smollm2_train::TrainError>(())
    /// ```
    pub fn differences(&self, other: &Self) -> Result<Vec<Difference>, TrainError> {
        let (here, there) = (self.fields()?, other.fields()?);
        let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
        let differences = names.into_iter().filter(|name| here.get(*name) != there.get(*name));
        Ok(differences
            .map(|name| Difference {
                field: name.clone(),
                here: value_of(&here, name),
                there: value_of(&there, name),
            })
            .collect())
    }

    /// The fields in which `data` differs from this recipe.
    pub(crate) fn data_differences(&self, data: &LoaderConfig) -> Result<Vec<Difference>, TrainError> {
        self.differences(&Self {
            data: data.clone(),
            ..self.clone()
        })
    }

    /// Every field with its table and its value as TOML writes it.
    fn fields(&self) -> Result<BTreeMap<String, String>, TrainError> {
        let table: toml::Table = toml::from_str(&self.to_toml()?).expect("the TOML form is TOML");
        let mut fields = BTreeMap::new();
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => {
                    let inner = inner.into_iter();
                    fields.extend(inner.map(|(key, value)| (format!("{name}.{key}"), value.to_string())));
                }
                value => {
                    fields.insert(name, value.to_string());
                }
            }
        }
        Ok(fields)
    }
}

fn value_of(fields: &BTreeMap<String, String>, name: &str) -> String {
    fields.get(name).cloned().unwrap_or_else(|| "absent".to_owned())
}

/// The error of a name or of a value of [`LoaderConfig`], with its line: flattened fields have lost it.
fn located_error(text: &str) -> Option<toml::de::Error> {
    if let Err(error) = toml::from_str::<HashMap<Name, IgnoredAny>>(text) {
        return Some(error);
    }
    let data = names_of(&LoaderConfig::default());
    let mut table = DeTable::parse(text).ok()?;
    for other in names_of(&TrainConfig::default()) {
        if !data.contains(&other) {
            table.get_mut().remove(other.as_str());
        }
    }
    let mut error = LoaderConfig::deserialize(toml::Deserializer::from(table)).err()?;
    error.set_input(Some(text));
    Some(error)
}

/// The name of a field or table of the recipe; another one is an error in its place.
#[derive(PartialEq, Eq, Hash)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = names_of(&TrainConfig::default());
        if known.contains(&name) {
            return Ok(Self(name));
        }
        let known = known.join("`, `");
        Err(D::Error::custom(format!(
            "unknown field `{name}`, expected one of `{known}`"
        )))
    }
}

fn names_of(config: &impl serde::Serialize) -> Vec<String> {
    let table = toml::Table::try_from(config).expect("the defaults are numbers, booleans and names");
    table.into_iter().map(|(name, _)| name).collect()
}
