//! The contents of a report.

use super::documents::{self, Comparison, TaskScores};
use super::seeds::{self, SeedComparison};
use super::variant::{self, Criteria, LearnedFunction, Variant};
use crate::{BenchError, QuestionOutcomes};

/// The variants of a study, and comparisons of their trained models.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// The command that made it.
    pub command: String,
    /// The hardware that it ran on.
    pub hardware: String,
    /// Date of the run.
    pub date: String,
    /// Resolved settings: name and value.
    pub settings: Vec<(String, String)>,
    variants: Vec<Variant>,
    criteria: Criteria,
    tasks: Vec<TaskScores>,
    comparisons: Vec<Comparison>,
    across_seeds: Vec<SeedComparison>,
    trained: bool,
}

impl Report {
    /// Compares every later variant with the first. Title, command, hardware, date and settings are empty.
    ///
    /// # Errors
    /// Without a variant or a run, when names or seeds repeat, when the variants do not have runs with the same seeds,
    /// measures and questions in the same order, for an outcome that is not finite, and for criteria that are not
    /// positive numbers.
    pub fn new(variants: Vec<Variant>, criteria: Criteria) -> Result<Self, BenchError> {
        variant::check(&variants, &criteria)?;
        Ok(Self {
            title: String::new(),
            command: String::new(),
            hardware: String::new(),
            date: String::new(),
            settings: Vec::new(),
            tasks: documents::scores(&variants)?,
            comparisons: documents::comparisons(&variants)?,
            across_seeds: seeds::comparisons(&variants, &criteria)?,
            trained: true,
            variants,
            criteria,
        })
    }

    /// Compares the answers of any two models, document by document. With a margin (in percentage points), scores that
    /// are percentages are also tested for equivalence.
    ///
    /// # Errors
    /// When both have the same name, the outcomes are not of the same measures and questions, one is not finite, or the
    /// margin is not a positive number.
    pub fn of_answers(models: [(String, Vec<QuestionOutcomes>); 2], margin: Option<f64>) -> Result<Self, BenchError> {
        let variants = models.map(|(name, tasks)| Variant::answering(name, tasks));
        let mut criteria = Criteria::default();
        criteria.margin_points = margin.unwrap_or(criteria.margin_points);
        let mut report = Self::new(variants.to_vec(), criteria)?;
        report.trained = false;
        if let Some(points) = margin {
            documents::test_equivalence(&mut report.comparisons, points / 100.0)?;
        }
        Ok(report)
    }

    /// A page of one model's learned functions.
    ///
    /// # Errors
    /// Never: there is nothing to compare.
    pub fn of_functions(model: String, functions: Vec<LearnedFunction>) -> Result<Self, BenchError> {
        let mut variant = Variant::answering(model, Vec::new());
        variant.functions = functions;
        let mut report = Self::new(vec![variant], Criteria::default())?;
        report.trained = false;
        Ok(report)
    }

    /// The variants; the first is the baseline of every comparison.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// The criteria that the plan stated before training.
    pub fn criteria(&self) -> &Criteria {
        &self.criteria
    }

    /// The seeds of every variant's runs, in order.
    pub fn seeds(&self) -> Vec<u64> {
        self.variants[0].seeds()
    }

    /// Scores of each seed's models by task.
    pub fn tasks(&self) -> &[TaskScores] {
        &self.tasks
    }

    /// Variants compared across seeds; none with a single seed.
    pub fn across_seeds(&self) -> &[SeedComparison] {
        &self.across_seeds
    }

    /// Whether this is about variants that were trained, not about two sets of answers from anywhere.
    pub(super) fn is_trained(&self) -> bool {
        self.trained
    }

    /// Models of one seed compared document by document.
    pub fn comparisons(&self) -> &[Comparison] {
        &self.comparisons
    }
}

/// A p-value to four digits. One that would print as zero is shown as the bound that it is below.
pub fn p_text(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".to_owned()
    } else {
        format!("{p:.4}")
    }
}
