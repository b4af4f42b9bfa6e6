//! Estimates what a cell needs before anything is opened.

use super::plan::{Cell, ModelPlan, StudyPlan};
use super::tokens;
use smollm2_model::SmolLm2Config;
use smollm2_train::{MemoryEstimate, TrainConfig};

/// Bytes of a parameter in a checkpoint: itself and two moments, in f32.
const IN_CHECKPOINT: u64 = 12;
/// Bytes of a parameter in the model that a finished cell leaves.
const IN_MODEL: u64 = 4;

/// What a cell needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellEstimate {
    /// Parameters of its model.
    pub parameters: usize,
    /// While it trains.
    pub memory: MemoryEstimate,
    /// Peak size of the folder in bytes: the checkpoints kept, one being written, and the model.
    pub disk: u64,
}

impl StudyPlan {
    /// Tokens that one cell is trained on, padding included.
    pub fn tokens_per_cell(&self) -> usize {
        self.tokens_per_step().saturating_mul(self.recipe.steps)
    }

    /// Estimates what a cell needs if the sizes of its model are known: from the plan, from `pretrained` (the
    /// configuration of the model it starts from), or from the name of a published model.
    pub fn estimate(&self, cell: &Cell<'_>, pretrained: Option<&SmolLm2Config>) -> Option<CellEstimate> {
        let base = match &self.model {
            ModelPlan::Scratch(shape) => Some(shape.config(tokens::vocab_size(&shape.tokenizer))),
            ModelPlan::Pretrained(name) => pretrained.cloned().or_else(|| published(name)),
        };
        let config = base?.with_feed_forward(cell.variant.feed_forward);
        let parameters = config.num_parameters();
        Some(CellEstimate {
            parameters,
            memory: MemoryEstimate::new(&config, &self.recipe),
            disk: disk(parameters as u64, &self.recipe),
        })
    }
}

fn disk(parameters: u64, recipe: &TrainConfig) -> u64 {
    let checkpoints = recipe.keep_checkpoints as u64 + 1;
    let bytes = IN_CHECKPOINT.saturating_mul(checkpoints).saturating_add(IN_MODEL);
    parameters.saturating_mul(bytes)
}

/// The sizes of a published model by the name of its repository.
fn published(name: &str) -> Option<SmolLm2Config> {
    let repository = name.rsplit('/').next()?.split('@').next()?;
    match repository.strip_suffix("-Instruct").unwrap_or(repository) {
        "SmolLM2-135M" => Some(SmolLm2Config::smollm2_135m()),
        "SmolLM2-360M" => Some(SmolLm2Config::smollm2_360m()),
        "SmolLM2-1.7B" => Some(SmolLm2Config::smollm2_1_7b()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_need_not_be_there() {
        let mut plan = StudyPlan::pretrained("HuggingFaceTB/SmolLM2-135M@main", "d", Vec::new());
        let parameters = |plan: &StudyPlan| plan.estimate(&plan.cells()[0], None).map(|found| found.parameters);
        assert_eq!(parameters(&plan), Some(134_515_008));
        plan.model = ModelPlan::Pretrained("owner/SmolLM2-360M-Instruct".to_string());
        assert_eq!(parameters(&plan), Some(SmolLm2Config::smollm2_360m().num_parameters()));
        plan.model = ModelPlan::Pretrained("models/mine".to_string());
        assert_eq!(parameters(&plan), None);
        let cell = plan.cells()[0];
        let found = plan.estimate(&cell, Some(&SmolLm2Config::smollm2_135m())).unwrap();
        // One checkpoint kept, one being written, and the model.
        assert_eq!(found.disk, 134_515_008 * (2 * 12 + 4));
    }

    #[test]
    fn variants_from_scratch_have_equal_costs() {
        let plan = StudyPlan::synthetic();
        let sizes = plan
            .cells()
            .into_iter()
            .map(|cell| plan.estimate(&cell, None).unwrap().parameters as f64);
        let sizes: Vec<f64> = sizes.collect();
        assert!(
            sizes.iter().all(|size| (size / sizes[0] - 1.0).abs() < 0.01),
            "{sizes:?}"
        );
    }
}
