//! `prompt_level_strict_acc`, `inst_level_strict_acc`, `prompt_level_loose_acc`, `inst_level_loose_acc`: whether a
//! response follows the instructions of its document, which a program can check.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{Answered, Metric, MetricKind, MetricValue, NoOptions, Opened, ScorePart, ValueError, options};
use crate::english::English;
use crate::instruction::{OF_LANGUAGE, Strictness, instructions, names};
use crate::processor::FieldError;
use crate::resources::Resources;
use crate::{BenchError, Document};

const FORMS: &[&str] = &["generate_until"];

pub(super) const PROMPT_STRICT: MetricKind = MetricKind {
    name: "prompt_level_strict_acc",
    forms: FORMS,
    new: |keys| Followed::open(keys, Level::Prompt, Strictness::Strict),
};

pub(super) const INSTRUCTION_STRICT: MetricKind = MetricKind {
    name: "inst_level_strict_acc",
    forms: FORMS,
    new: |keys| Followed::open(keys, Level::Instruction, Strictness::Strict),
};

pub(super) const PROMPT_LOOSE: MetricKind = MetricKind {
    name: "prompt_level_loose_acc",
    forms: FORMS,
    new: |keys| Followed::open(keys, Level::Prompt, Strictness::Loose),
};

pub(super) const INSTRUCTION_LOOSE: MetricKind = MetricKind {
    name: "inst_level_loose_acc",
    forms: FORMS,
    new: |keys| Followed::open(keys, Level::Instruction, Strictness::Loose),
};

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// Documents of which all instructions are followed.
    Prompt,
    /// Instructions that are followed, of all documents together.
    Instruction,
}

struct Followed {
    level: Level,
    strictness: Strictness,
    english: Option<Rc<English>>,
}

impl Followed {
    fn open(keys: &Map<String, Value>, level: Level, strictness: Strictness) -> Opened {
        options::<NoOptions>(keys)?;
        Ok(Box::new(Self {
            level,
            strictness,
            english: None,
        }))
    }
}

impl Metric for Followed {
    fn load(&mut self, resources: &Resources) -> Result<(), BenchError> {
        self.english = Some(resources.english()?);
        Ok(())
    }

    fn check(&self, document: &Document) -> Result<(), FieldError> {
        instructions(document).map(drop)
    }

    fn value(&self, answered: &Answered) -> Result<MetricValue, ValueError> {
        let (response, _) = answered.text()?;
        let english = self
            .english
            .as_ref()
            .expect("metrics are loaded before the first answer");
        let instructions = instructions(&answered.prompt.document)?;
        let verdicts = self.strictness.verdicts(response, &instructions, english)?;
        let followed = verdicts.iter().filter(|&&followed| followed).count();
        Ok(match self.level {
            Level::Prompt => {
                let all = followed == verdicts.len();
                MetricValue {
                    written: Some(Value::from(all)),
                    ..MetricValue::from(all)
                }
            }
            Level::Instruction => MetricValue {
                outcome: followed as f64 / verdicts.len().max(1) as f64,
                parts: vec![followed as f64, verdicts.len() as f64],
                written: Some(Value::from(verdicts)),
            },
        })
    }

    fn aggregation(&self) -> &'static str {
        match self.level {
            Level::Prompt => "mean",
            Level::Instruction => "agg_inst_level_acc",
        }
    }

    /// The original has none for instructions, which share documents.
    fn stderr(&self, values: &[MetricValue]) -> Option<f64> {
        match self.level {
            Level::Prompt => crate::stats::mean_stderr(&self.outcomes(values)),
            Level::Instruction => None,
        }
    }

    /// A document's share in the score of all: the mean is the share of instructions that are followed.
    fn outcomes(&self, values: &[MetricValue]) -> Vec<f64> {
        if self.level == Level::Prompt {
            return values.iter().map(|value| value.outcome).collect();
        }
        let instructions: f64 = values.iter().map(|value| value.parts[1]).sum();
        let mean = instructions / values.len() as f64;
        values.iter().map(|value| value.parts[0] / mean).collect()
    }

    /// Of instructions: those whose verdict depends on a language identified, the others, and each type by itself.
    fn parts(&self, documents: &[(&Document, &MetricValue)]) -> Vec<ScorePart> {
        let mut parts: Vec<ScorePart> = Vec::new();
        for (document, value) in documents {
            let (Ok(names), Some(Value::Array(verdicts))) = (names(document), &value.written) else {
                continue;
            };
            for (name, verdict) in names.into_iter().zip(verdicts) {
                let of_language = OF_LANGUAGE.contains(&name);
                let group = if of_language { "by language" } else { "by rule" };
                for name in [group, name] {
                    ScorePart::count(&mut parts, name, *verdict == Value::Bool(true));
                }
            }
        }
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        parts
    }
}
