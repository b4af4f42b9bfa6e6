//! Checks a plan before anything is opened for it.

use super::{DataPlan, FeedForwardStart, FilesPlan, HeldOutPlan, ModelPlan, StudyPlan, TokenizerPlan, VariantPlan};
use crate::error::{AtPlace, KallmError, Result};
use crate::synthetic::SyntheticWorld;
use smollm2_model::FeedForwardKind;
use std::collections::BTreeSet;

/// Folders of a study that are not a variant's.
pub(in crate::study) const RESERVED: [&str; 2] = ["synthetic", "tokenizer"];
/// Longest name of a variant: it is the name of a folder, and a column of tables.
const LONGEST_NAME: usize = 48;

impl StudyPlan {
    /// Refuses what cannot be run, without opening anything.
    ///
    /// # Errors
    /// [`KallmError::Unusable`] or what the recipe's own validation gives, naming the field.
    pub fn validate(&self) -> Result<()> {
        self.recipe.validate().at_place(|| "recipe".to_string())?;
        self.check_seeds()?;
        self.check_variants()?;
        self.check_model()?;
        self.check_data()?;
        self.check_tasks()?;
        self.check_criteria()
    }

    fn check_seeds(&self) -> Result<()> {
        let different: BTreeSet<&u64> = self.seeds.iter().collect();
        if self.seeds.is_empty() || different.len() < self.seeds.len() {
            let found = format!("{:?}", self.seeds);
            let remedy = "name a seed for each time that every variant is to be trained";
            return Err(KallmError::unusable("seeds", "at least one, each once", found, remedy));
        }
        let largest = self.seeds.iter().max().filter(|seed| **seed > i64::MAX as u64);
        match largest {
            // TOML has signed integers only.
            Some(seed) => {
                let expected = format!("at most {}", i64::MAX);
                Err(KallmError::unusable(
                    "seeds",
                    expected,
                    seed.to_string(),
                    "choose smaller ones",
                ))
            }
            None => Ok(()),
        }
    }

    fn check_variants(&self) -> Result<()> {
        let remedy = "name a variant for each model to train";
        if self.variants.is_empty() {
            return Err(KallmError::unusable("variants", "at least one", "none", remedy));
        }
        let mut names = BTreeSet::new();
        for variant in &self.variants {
            check_name(&variant.name)?;
            // Some file systems do not distinguish `A` from `a`.
            if !names.insert(variant.name.to_lowercase()) {
                let found = format!("{} twice", variant.name);
                return Err(KallmError::unusable("variants", "different names", found, remedy));
            }
            self.check_start(variant)?;
        }
        Ok(())
    }

    fn check_start(&self, variant: &VariantPlan) -> Result<()> {
        use FeedForwardStart::{Converted, Fresh, Kept};
        let pretrained = matches!(self.model, ModelPlan::Pretrained(_));
        let (expected, possible) = match variant.start {
            Fresh => return Ok(()),
            Kept => (
                "swiglu, which is all that a pretrained model has to keep",
                FeedForwardKind::SwiGlu,
            ),
            Converted => (
                "gated_rational, which SwiGLU can be converted to",
                FeedForwardKind::GatedRational,
            ),
        };
        if pretrained && variant.feed_forward == possible {
            return Ok(());
        }
        let place = format!("variants.{}.start", variant.name);
        let (expected, found) = if pretrained {
            (expected, variant.feed_forward.name())
        } else {
            ("fresh", "a start from a pretrained model, and [model.scratch]")
        };
        let remedy = "write start = \"fresh\" to draw these layers, or choose another kind";
        Err(KallmError::unusable(place, expected, found, remedy))
    }

    fn check_model(&self) -> Result<()> {
        match &self.model {
            ModelPlan::Pretrained(name) if name.trim().is_empty() => {
                let expected = "a folder, a .gguf file or a hub id";
                Err(KallmError::unusable(
                    "model.pretrained",
                    expected,
                    "nothing",
                    "name one",
                ))
            }
            ModelPlan::Pretrained(_) => Ok(()),
            ModelPlan::Scratch(shape) => {
                let vocabulary = super::super::tokens::vocab_size(&shape.tokenizer);
                for variant in &self.variants {
                    let config = shape.config(vocabulary).with_feed_forward(variant.feed_forward);
                    config.validate().at_place(|| "model.scratch".to_string())?;
                }
                Ok(())
            }
        }
    }

    fn check_data(&self) -> Result<()> {
        match &self.data {
            DataPlan::Synthetic(plan) => {
                let place = "data.synthetic.conversations";
                within(
                    place,
                    "from 1 to 1000000",
                    plan.conversations as f64,
                    (1..=1_000_000).contains(&plan.conversations),
                )?;
                self.check_world_model()
            }
            DataPlan::Files(files) => check_files(files),
        }
    }

    fn check_world_model(&self) -> Result<()> {
        let found = match &self.model {
            ModelPlan::Scratch(shape) if shape.tokenizer == TokenizerPlan::Bytes => return Ok(()),
            ModelPlan::Scratch(_) => "another tokenizer",
            ModelPlan::Pretrained(_) => "a pretrained one",
        };
        let expected = "[model.scratch] with tokenizer = \"bytes\"";
        let remedy = "the synthetic world is for small models: change this, or give files to train on";
        Err(KallmError::unusable("model", expected, found, remedy))
    }

    fn check_tasks(&self) -> Result<()> {
        let tasks = &self.tasks;
        if let DataPlan::Synthetic(_) = self.data {
            let known = SyntheticWorld::task_names();
            if let Some(unknown) = tasks.names.iter().find(|name| !known.contains(name)) {
                let expected = format!("some of {}, the tasks of the synthetic world", known.join(", "));
                return Err(KallmError::unusable(
                    "tasks.names",
                    expected,
                    unknown,
                    "name only these",
                ));
            }
        }
        if let Some(limit) = tasks.limit {
            let usable = limit.is_finite() && limit > 0.0 && (limit < 1.0 || limit.fract() == 0.0);
            within(
                "tasks.limit",
                "a whole number of at least 1 or a fraction between 0 and 1",
                limit,
                usable,
            )?;
        }
        let batch = tasks.batch_size;
        within(
            "tasks.batch_size",
            "from 1 to 65536",
            batch as f64,
            (1..=65536).contains(&batch),
        )
    }

    fn check_criteria(&self) -> Result<()> {
        let criteria = &self.criteria;
        for (field, value) in [
            ("criteria.margin_nats", Some(criteria.margin_nats)),
            ("criteria.margin_points", Some(criteria.margin_points)),
            ("criteria.target_loss", criteria.target_loss),
        ] {
            if let Some(value) = value {
                within(field, "a number above 0", value, value.is_finite() && value > 0.0)?;
            }
        }
        if criteria.target_loss.is_some() && self.recipe.eval_every == 0 {
            return Err(KallmError::unusable(
                "recipe.eval_every",
                "at least 1 with `criteria.target_loss`: a target between two evaluations is interpolated",
                "0, which evaluates after the last step only",
                "set how often to evaluate, or remove the target",
            ));
        }
        Ok(())
    }
}

fn within(field: &'static str, expected: &str, found: f64, holds: bool) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(KallmError::unusable(field, expected, found.to_string(), "correct it"))
}

/// A variant's name is also the name of its folder.
fn check_name(name: &str) -> Result<()> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let usable = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && !name.ends_with('.')
        && name.len() <= LONGEST_NAME;
    if usable && !RESERVED.contains(&name.to_lowercase().as_str()) {
        return Ok(());
    }
    let expected = format!(
        "up to {LONGEST_NAME} letters, digits, `-`, `_` and `.`, beginning with a letter or digit, and not {}",
        RESERVED.join(" or ")
    );
    let remedy = "it names a folder: choose another";
    Err(KallmError::unusable(
        "variants.name",
        expected,
        format!("`{name}`"),
        remedy,
    ))
}

fn check_files(files: &FilesPlan) -> Result<()> {
    let remedy = "name a file, a folder or a hub id";
    let empty = |names: &[String]| names.is_empty() || names.iter().any(|name| name.trim().is_empty());
    if empty(&files.training) {
        let found = format!("{:?}", files.training);
        return Err(KallmError::unusable(
            "data.files.training",
            "at least one name",
            found,
            remedy,
        ));
    }
    match &files.held_out {
        HeldOutPlan::Share(share) => {
            let usable = *share > 0.0 && *share < 1.0;
            within("data.files.held_out.share", "a share between 0 and 1", *share, usable)
        }
        HeldOutPlan::Files(names) if empty(names) => {
            let found = format!("{names:?}");
            Err(KallmError::unusable(
                "data.files.held_out.files",
                "at least one name",
                found,
                remedy,
            ))
        }
        HeldOutPlan::Files(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut StudyPlan);

    /// The message with which a changed default plan is refused.
    fn refused(change: Change) -> String {
        let mut plan = StudyPlan::synthetic();
        change(&mut plan);
        let error = plan.validate().unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {}", source.unwrap_or_default())
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_field() {
        let pretrained = |plan: &mut StudyPlan| plan.model = ModelPlan::Pretrained("m".to_string());
        let cases: [(&str, Change); 16] = [
            ("seeds", |plan| plan.seeds.clear()),
            ("seeds", |plan| plan.seeds = vec![1, 2, 1]),
            ("seeds", |plan| plan.seeds = vec![u64::MAX]),
            ("variants", |plan| plan.variants.clear()),
            ("SwiGLU twice", |plan| plan.variants[1].name = "SwiGLU".to_string()),
            ("variants.name", |plan| plan.variants[0].name = "../out".to_string()),
            ("variants.name", |plan| plan.variants[0].name = "Synthetic".to_string()),
            ("variants.swiglu.start", |plan| {
                plan.variants[0].start = FeedForwardStart::Kept
            }),
            ("model", pretrained),
            ("another tokenizer", |plan| {
                let ModelPlan::Scratch(shape) = &mut plan.model else {
                    return;
                };
                shape.tokenizer = TokenizerPlan::Bpe(300);
            }),
            ("num_attention_heads", |plan| {
                let ModelPlan::Scratch(shape) = &mut plan.model else {
                    return;
                };
                shape.num_key_value_heads = 3;
            }),
            ("data.synthetic.conversations", |plan| {
                plan.data = DataPlan::Synthetic(super::super::SyntheticPlan { conversations: 0 });
            }),
            ("arc_easy", |plan| plan.tasks.names.push("arc_easy".to_string())),
            ("tasks.limit", |plan| plan.tasks.limit = Some(1.5)),
            ("criteria.margin_nats", |plan| plan.criteria.margin_nats = f64::NAN),
            ("recipe.eval_every", |plan| {
                plan.recipe.eval_every = 0;
                plan.criteria.target_loss = Some(1.0);
            }),
        ];
        for (place, change) in cases {
            let message = refused(change);
            assert!(message.contains(place), "{place}: {message}");
        }
        StudyPlan::synthetic().validate().unwrap();
    }

    #[test]
    fn layers_that_cannot_be_kept_or_converted_are_refused() {
        let mut plan = StudyPlan::pretrained("m", "d", Vec::new());
        plan.validate().unwrap();
        plan.variants[1].start = FeedForwardStart::Fresh;
        plan.validate().unwrap();
        plan.variants[1].start = FeedForwardStart::Kept;
        let message = plan.validate().unwrap_err().to_string();
        assert!(message.contains("variants.gated-rational.start"), "{message}");
        plan = StudyPlan::pretrained("m", "d", Vec::new());
        plan.data = DataPlan::Files(FilesPlan {
            training: vec!["d".to_string()],
            held_out: HeldOutPlan::Share(1.0),
        });
        let message = plan.validate().unwrap_err().to_string();
        assert!(message.contains("data.files.held_out.share"), "{message}");
    }
}
