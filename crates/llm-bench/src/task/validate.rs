//! What the types of a task file's keys cannot say.

use std::collections::HashSet;
use std::path::{Component, Path};

use super::{ChoiceField, Samples, TargetField, Task};
use crate::BenchError;
use crate::scorer::Scorer;
use crate::template::Templates;

/// Bytes of a task's name, with which the names of files are made.
const MAX_NAME: usize = 200;

impl Task {
    /// Checks what the types cannot: contradictions between keys, options of metrics, expressions.
    ///
    /// # Errors
    /// [`BenchError::TaskField`] with the key and what it should be, [`BenchError::Expression`] with the expression.
    pub fn validate(&self) -> Result<(), BenchError> {
        if self.test_split.is_none() && self.validation_split.is_none() {
            return self.refuse("test_split", "neither a test split nor a validation split is given");
        }
        self.validate_data()?;
        self.output_type.form().validate(self)?;
        self.validate_templates()?;
        self.validate_filters()?;
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

    /// The name is part of the names of files.
    pub(super) fn validate_name(&self) -> Result<(), BenchError> {
        if self.task.is_empty()
            || self.task.len() > MAX_NAME
            || self.task.contains(separates)
            || self.task.contains("..")
        {
            let problem = format!("a name of at most {MAX_NAME} bytes without a path in it is expected");
            return self.refuse("task", problem);
        }
        Ok(())
    }

    /// Data lie below the root.
    fn validate_data(&self) -> Result<(), BenchError> {
        let name = self.dataset_name.as_deref().unwrap_or_default();
        let splits = [
            &self.test_split,
            &self.validation_split,
            &self.training_split,
            &self.fewshot_split,
        ];
        let splits = splits.into_iter().flatten().map(|split| ("test_split", split.as_str()));
        let keys = [("dataset_path", self.dataset_path.as_str()), ("dataset_name", name)];
        for (key, path) in keys.into_iter().chain(splits) {
            if leads_out(path) {
                return self.refuse(
                    key,
                    format!("a path below the root of the data is expected, found `{path}`"),
                );
            }
        }
        if let Some(Samples::File(file)) = &self.fewshot_config.samples
            && (leads_out(&file.file) || file.file.contains('/'))
        {
            return self.refuse(
                "fewshot_config",
                format!("the name of a file is expected, found `{}`", file.file),
            );
        }
        let files = self
            .dataset_kwargs
            .as_ref()
            .and_then(|kwargs| kwargs.data_files.as_ref());
        let mut files = files.into_iter().flatten().flat_map(|(_, names)| names.to_vec());
        match files.find(|name| leads_out(name) || name.contains("://")) {
            Some(name) => self.refuse(
                "dataset_kwargs",
                format!("data_files are files below the root of the data, found `{name}`"),
            ),
            None => Ok(()),
        }
    }

    /// Templates are compiled, and what they call must be there.
    fn validate_templates(&self) -> Result<(), BenchError> {
        let templates = Templates::new();
        let shown = self.for_examples();
        for task in [self, &shown] {
            let choice = match &task.doc_to_choice {
                Some(ChoiceField::Template(template)) => template.as_str(),
                _ => "",
            };
            let target = match &task.doc_to_target {
                TargetField::Template(template) => template.as_str(),
                TargetField::Index(_) => "",
            };
            for (field, template) in [
                ("doc_to_text", task.doc_to_text.as_str()),
                ("doc_to_target", target),
                ("doc_to_choice", choice),
                ("description", &task.description),
                ("gen_prefix", task.gen_prefix.as_deref().unwrap_or_default()),
            ] {
                templates.check(template).map_err(|source| BenchError::Template {
                    task: self.task.clone(),
                    field,
                    source: Box::new(source),
                })?;
            }
        }
        Ok(())
    }

    fn validate_filters(&self) -> Result<(), BenchError> {
        if self.repeats == 0 {
            return self.refuse("repeats", "at least 1 is expected, found 0");
        }
        let mut problems = self.filter_list.iter().filter_map(|chain| chain.problem(self.repeats));
        match problems.next() {
            Some(problem) => self.refuse("filter_list", problem),
            None => Ok(()),
        }
    }

    fn validate_generation(&self) -> Result<(), BenchError> {
        let kwargs = &self.generation_kwargs;
        let problem = if kwargs.samples() && kwargs.temperature.is_none_or(|t| !(t > 0.0 && t.is_finite())) {
            "do_sample needs a temperature above 0"
        } else if kwargs.top_p.is_some_and(|top_p| !(top_p > 0.0 && top_p <= 1.0)) {
            "top_p must be above 0 and at most 1"
        } else if kwargs.num_beams.is_some_and(|beams| beams != 1) {
            "num_beams must be 1: there is no beam search"
        } else if kwargs.longest() == 0 {
            "max_gen_toks must be at least 1"
        } else {
            return Ok(());
        };
        self.refuse("generation_kwargs", problem)
    }
}

/// Whether a character ends a part of a path, or has no form in a name.
fn separates(c: char) -> bool {
    matches!(c, '/' | '\\') || c.is_control()
}

/// Whether a path may end outside of the folder it is joined to.
fn leads_out(path: &str) -> bool {
    let mut components = Path::new(path).components();
    components.any(|component| !matches!(component, Component::Normal(_) | Component::CurDir))
}
