//! What the types of a task file's keys cannot say.

use std::collections::HashSet;

use super::Task;
use crate::BenchError;
use crate::scorer::Scorer;

impl Task {
    /// Checks what the types cannot: contradictions between keys, options of metrics, expressions.
    ///
    /// # Errors
    /// [`BenchError::TaskField`] with the key and what it should be, [`BenchError::Expression`] with the expression.
    pub fn validate(&self) -> Result<(), BenchError> {
        if self.test_split.is_none() && self.validation_split.is_none() {
            return self.refuse("test_split", "neither a test split nor a validation split is given");
        }
        self.output_type.form().validate(self)?;
        self.validate_prompt()?;
        self.validate_generation()?;
        if self.metric_list.is_empty() {
            return self.refuse("metric_list", "at least one metric is needed");
        }
        let chains = self.filter_list.iter().map(|chain| chain.name.as_str());
        self.refuse_repeated("filter_list", "name", chains)?;
        let metrics = self.metric_list.iter().map(|entry| entry.metric.as_str());
        self.refuse_repeated("metric_list", "metric", metrics)?;
        Scorer::new(self).map(drop)
    }

    /// An error about one key.
    pub(crate) fn refuse<T>(&self, field: &'static str, problem: impl Into<String>) -> Result<T, BenchError> {
        Err(BenchError::TaskField {
            task: self.task.clone(),
            field,
            problem: problem.into(),
        })
    }

    /// Scores go by metric and filter: of two with the same names one would be lost.
    fn refuse_repeated<'a>(
        &self,
        field: &'static str,
        key: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), BenchError> {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name) {
                return self.refuse(
                    field,
                    format!("two entries have `{key}: {name}`: scores go by that name, which must differ"),
                );
            }
        }
        Ok(())
    }

    fn validate_prompt(&self) -> Result<(), BenchError> {
        if ["{{", "{%", "{#"].iter().any(|mark| self.description.contains(mark)) {
            return self.refuse(
                "description",
                "plain text is expected, templates are not supported here",
            );
        }
        if self.repeats != 1 {
            return self.refuse("repeats", format!("only 1 is supported, found {}", self.repeats));
        }
        Ok(())
    }

    fn validate_generation(&self) -> Result<(), BenchError> {
        let kwargs = &self.generation_kwargs;
        if kwargs.do_sample == Some(true) || kwargs.temperature.is_some_and(|t| t != 0.0) {
            return self.refuse(
                "generation_kwargs",
                "only greedy decoding is supported: do_sample false, temperature 0",
            );
        }
        if kwargs.max_gen_toks == Some(0) {
            return self.refuse("generation_kwargs", "max_gen_toks must be at least 1");
        }
        Ok(())
    }
}
