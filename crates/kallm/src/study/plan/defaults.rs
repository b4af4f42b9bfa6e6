//! Plans and values that programs start from.

use super::{
    DataPlan, FeedForwardStart, FilesPlan, HeldOutPlan, ModelPlan, ModelShape, StudyPlan, SyntheticPlan, TasksPlan,
    TokenizerPlan, VariantPlan,
};
use crate::synthetic::SyntheticWorld;
use crate::training::PRETRAINED_GATE;
use llm_bench::report::Criteria;
use smollm2_model::FeedForwardKind;
use smollm2_train::TrainConfig;
use smoltalk_data::{LoaderConfig, Mask, Packing};
use std::path::PathBuf;

pub(super) fn title() -> String {
    "SmolLM2: which feed-forward?".to_string()
}

impl Default for TasksPlan {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            data: PathBuf::new(),
            num_fewshot: None,
            limit: None,
            apply_chat_template: false,
            batch_size: 8,
        }
    }
}

impl VariantPlan {
    /// The variant of this kind with its default name and start.
    pub fn of_kind(feed_forward: FeedForwardKind) -> Self {
        Self {
            name: feed_forward.name().replace('_', "-"),
            feed_forward,
            start: match feed_forward {
                FeedForwardKind::SwiGlu => FeedForwardStart::Kept,
                FeedForwardKind::GatedRational => FeedForwardStart::Converted,
                FeedForwardKind::GroupKan | FeedForwardKind::SiluMlp => FeedForwardStart::Fresh,
            },
        }
    }
}

impl VariantPlan {
    /// The variant of this kind with its default name and random weights.
    pub fn fresh(feed_forward: FeedForwardKind) -> Self {
        Self {
            start: FeedForwardStart::Fresh,
            ..Self::of_kind(feed_forward)
        }
    }
}

impl StudyPlan {
    /// SwiGLU, gated rational and an ungated MLP as the control, three seeds each, from scratch on the synthetic world:
    /// minutes on a CPU.
    pub fn synthetic() -> Self {
        use FeedForwardKind::{GatedRational, SiluMlp, SwiGlu};
        Self {
            title: title(),
            seeds: vec![1, 2, 3],
            model: ModelPlan::Scratch(ModelShape {
                tokenizer: TokenizerPlan::Bytes,
                hidden_size: 128,
                intermediate_size: 384,
                num_hidden_layers: 4,
                num_attention_heads: 2,
                num_key_value_heads: 1,
                head_dim: 64,
                max_position_embeddings: 512,
            }),
            data: DataPlan::Synthetic(SyntheticPlan { conversations: 4000 }),
            recipe: TrainConfig {
                steps: 300,
                learning_rate: 3e-3,
                micro_batch_rows: 16,
                ..recipe(128)
            },
            tasks: TasksPlan {
                names: SyntheticWorld::task_names(),
                num_fewshot: Some(0),
                apply_chat_template: true,
                batch_size: 32,
                ..TasksPlan::default()
            },
            criteria: Criteria::default(),
            variants: [SwiGlu, GatedRational, SiluMlp].map(VariantPlan::fresh).to_vec(),
        }
    }

    /// A pretrained SwiGLU and what its conversion to gated rational becomes, 20 steps each with three seeds.
    pub fn pretrained(model: impl Into<String>, training: impl Into<String>, tasks: Vec<String>) -> Self {
        let mut recipe = TrainConfig {
            steps: 20,
            learning_rate: 1e-4,
            micro_batch_rows: 2,
            ..recipe(512)
        };
        recipe.optimizer.rational_input_size = PRETRAINED_GATE;
        Self {
            title: title(),
            seeds: vec![1, 2, 3],
            model: ModelPlan::Pretrained(model.into()),
            data: DataPlan::Files(FilesPlan {
                training: vec![training.into()],
                held_out: HeldOutPlan::Share(0.05),
            }),
            recipe,
            tasks: TasksPlan {
                names: tasks,
                ..TasksPlan::default()
            },
            criteria: Criteria::default(),
            variants: [FeedForwardKind::SwiGlu, FeedForwardKind::GatedRational]
                .map(VariantPlan::of_kind)
                .to_vec(),
        }
    }
}

/// The settings that both kinds of study share.
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
