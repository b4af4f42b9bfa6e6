//! A plan as TOML: reading and writing.

use super::{FeedForwardStart, StudyPlan, VariantPlan};
use crate::error::{KallmError, OfPath, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::Value;
use smollm2_model::FeedForwardKind;
use std::path::Path;

impl StudyPlan {
    /// Reads and validates a plan.
    ///
    /// # Errors
    /// [`KallmError::PlanSyntax`] for an unknown or ill-typed field; as [`StudyPlan::validate`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let plan: Self = toml::from_str(text).map_err(|error| KallmError::PlanSyntax(Box::new(error)))?;
        plan.validate()?;
        Ok(plan)
    }

    /// Reads and validates the plan in a file.
    ///
    /// # Errors
    /// As [`StudyPlan::from_toml`], naming the file; when it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).of_path("read", path)?;
        Self::from_toml(&text).map_err(|source| KallmError::At {
            place: path.display().to_string(),
            source: Box::new(source),
        })
    }

    /// The resolved plan: every field, as [`StudyPlan::from_toml`] reads it back.
    ///
    /// # Errors
    /// As [`StudyPlan::validate`]: TOML cannot represent some of the values that it refuses.
    pub fn to_toml(&self) -> Result<String> {
        self.validate()?;
        Ok(toml::to_string(self).expect("every validated value is a number, a boolean or text"))
    }
}

/// A part of a plan as JSON, for the record.
pub(in crate::study) fn json(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part).map_err(KallmError::json("plan"))
}

/// The recipe without the seed, which is the cell's. [`TrainConfig::from_toml`](smollm2_train::TrainConfig::from_toml)
/// names what is wrong with it.
pub(super) mod recipe {
    use super::*;
    use smollm2_train::TrainConfig;

    const SEED: &str = "seed";

    pub(in super::super) fn serialize<S: Serializer>(recipe: &TrainConfig, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = toml::Table::try_from(recipe).map_err(S::Error::custom)?;
        table.remove(SEED);
        table.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrainConfig, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        if let Some(seed) = table.get(SEED) {
            return Err(D::Error::custom(format!(
                "recipe.seed: expected none, found {seed}; the plan's `seeds` are the seeds of its cells"
            )));
        }
        TrainConfig::from_toml(&table.to_string()).map_err(|error| {
            let reason = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
            D::Error::custom(format!("recipe: {error}{reason}"))
        })
    }
}

/// A kind of feed-forward by its name.
pub(super) mod kind {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(kind: &FeedForwardKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.name())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<FeedForwardKind, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A variant, with its optional fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantToml {
    name: Option<String>,
    #[serde(with = "kind")]
    feed_forward: FeedForwardKind,
    start: Option<FeedForwardStart>,
}

impl From<VariantToml> for VariantPlan {
    fn from(found: VariantToml) -> Self {
        let defaults = Self::of_kind(found.feed_forward);
        Self {
            name: found.name.unwrap_or(defaults.name),
            start: found.start.unwrap_or(defaults.start),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan, and what is to be put at its end or changed in it.
    fn plan() -> String {
        StudyPlan::synthetic().to_toml().unwrap()
    }

    fn refused(text: &str) -> String {
        let error = StudyPlan::from_toml(text).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {}", source.unwrap_or_default())
    }

    #[test]
    fn a_written_plan_is_read_back() {
        for plan in [
            StudyPlan::synthetic(),
            StudyPlan::pretrained("owner/model", "talk.jsonl", vec!["arc_easy".to_string()]),
        ] {
            let text = plan.to_toml().unwrap();
            assert!(!text.contains("\nseed ="), "{text}");
            assert_eq!(StudyPlan::from_toml(&text).unwrap(), plan, "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_by_its_name_wherever_it_is() {
        for (table, field) in [
            ("", "sedes = [1]"),
            ("[model.scratch]", "hiden_size = 1"),
            ("[data.synthetic]", "conversation = 1"),
            ("[recipe]", "learning_rte = 1e-3"),
            ("[recipe.optimizer]", "beta3 = 1"),
            ("[tasks]", "fewshot = 1"),
            ("[criteria]", "margin = 1"),
            ("[[variants]]", "feedforward = \"swiglu\""),
        ] {
            let name = field.split(' ').next().unwrap();
            let text = match table {
                "" => format!("{field}\n{}", plan()),
                table => plan().replacen(table, &format!("{table}\n{field}"), 1),
            };
            let message = refused(&text);
            assert!(message.contains(name), "{table} {field}: {message}");
        }
    }

    #[test]
    fn a_seed_in_the_recipe_is_refused() {
        let message = refused(&plan().replacen("[recipe]", "[recipe]\nseed = 7", 1));
        assert!(
            message.contains("recipe.seed") && message.contains("`seeds`"),
            "{message}"
        );
    }

    #[test]
    fn a_recipe_without_meaning_is_refused_by_field() {
        let text = plan().replacen("steps = ", "steps = 0 # ", 1);
        assert!(refused(&text).contains("steps"), "{}", refused(&text));
    }
}
