//! What a study compares, on what, and how.

use super::variant_name;
use crate::error::{KallmError, Result};
use crate::identity;
use crate::synthetic::SyntheticWorld;
use crate::training::PRETRAINED_GATE;
use llm_bench::{EvaluateOptions, PromptOptions, Task, load_split};
use smollm2_model::FeedForwardKind;
use smollm2_train::{RunOrigin, TrainConfig};
use smoltalk_data::{LoaderConfig, Mask, Packing};
use std::collections::BTreeMap;

/// What is compared and how. The two constructors have defaults that take minutes on a CPU.
pub struct StudyPlan {
    /// The variants in order, each once; the first is the baseline.
    pub variants: Vec<FeedForwardKind>,
    /// How each is trained.
    pub recipe: TrainConfig,
    /// Tasks to judge by.
    pub tasks: Vec<Task>,
    /// How they are asked.
    pub evaluation: EvaluateOptions,
    /// Names of model, data and device for the record; the data's and the device's must not change between two runs in
    /// one folder.
    pub origin: RunOrigin,
}

impl StudyPlan {
    /// SwiGLU, gated rational and an ungated MLP as the control, 360 steps on the synthetic world.
    ///
    /// # Errors
    /// Never: the tasks are part of the program.
    pub fn synthetic() -> Result<Self> {
        use FeedForwardKind::{GatedRational, SiluMlp, SwiGlu};
        // The folder of the study has the data.
        let mut prompts = PromptOptions::new("");
        (prompts.apply_chat_template, prompts.num_fewshot) = (true, Some(0));
        Ok(Self {
            variants: vec![SwiGlu, GatedRational, SiluMlp],
            recipe: TrainConfig {
                steps: 360,
                learning_rate: 3e-3,
                micro_batch_rows: 16,
                ..recipe(128)
            },
            tasks: SyntheticWorld::tasks()?,
            evaluation: EvaluateOptions {
                batch_size: 32,
                ..EvaluateOptions::new(prompts)
            },
            origin: RunOrigin {
                model: "random weights".to_string(),
                ..RunOrigin::default()
            },
        })
    }

    /// A pretrained SwiGLU and what its conversion to gated rational becomes, 20 steps each.
    pub fn pretrained(tasks: Vec<Task>, prompts: PromptOptions) -> Self {
        let mut recipe = TrainConfig {
            steps: 20,
            learning_rate: 1e-4,
            micro_batch_rows: 2,
            ..recipe(512)
        };
        recipe.optimizer.rational_input_size = PRETRAINED_GATE;
        Self {
            variants: vec![FeedForwardKind::SwiGlu, FeedForwardKind::GatedRational],
            recipe,
            tasks,
            evaluation: EvaluateOptions {
                batch_size: 8,
                ..EvaluateOptions::new(prompts)
            },
            origin: RunOrigin::default(),
        }
    }

    /// Two variants of one name would write into one folder.
    pub(super) fn check_variants(&self) -> Result<()> {
        let kinds = &self.variants;
        let twice = (1..kinds.len()).find(|index| kinds[..*index].contains(&kinds[*index]));
        let found = match twice {
            Some(index) => format!("{} twice", variant_name(kinds[index])),
            None if kinds.is_empty() => "none".to_string(),
            None => return Ok(()),
        };
        let remedy = "name a variant for each model to train";
        Err(KallmError::unusable("variants", "each once", found, remedy))
    }

    /// The SHA-256 of each task's documents, by name.
    pub(super) fn asked(&self) -> Result<BTreeMap<String, String>> {
        let prompts = &self.evaluation.prompts;
        let tasks = self.tasks.iter();
        tasks
            .map(|task| {
                let documents = load_split(&prompts.data, task, task.evaluated_split())?;
                Ok((task.task.clone(), identity::of_value(&documents)?))
            })
            .collect()
    }

    /// What a reader of the report should know of the recipe.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let recipe = &self.recipe;
        let tokens = recipe.data.sequence_length * recipe.micro_batch_rows * recipe.gradient_accumulation;
        [
            ("start", self.origin.model.clone()),
            ("optimiser steps", recipe.steps.to_string()),
            ("tokens in a step", tokens.to_string()),
            ("peak learning rate", recipe.learning_rate.to_string()),
            ("loss on", "the assistant's tokens".to_string()),
            ("packing", "best fit, attention within a conversation".to_string()),
            ("seed", recipe.data.seed.to_string()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }
}

/// What both kinds of study share.
fn recipe(sequence_length: usize) -> TrainConfig {
    TrainConfig {
        gradient_accumulation: 1,
        eval_every: 0,
        eval_rows: 16,
        checkpoint_every: 0,
        keep_checkpoints: 1,
        data: LoaderConfig {
            sequence_length,
            mask: Mask::AssistantOnly,
            packing: Packing::BestFit,
            ..LoaderConfig::default()
        },
        ..TrainConfig::default()
    }
}
