//! Everything about tasks that can be done, and found to be wrong, before a model is asked.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::answers::ask;
use super::{EvaluationProgress, Sample, TaskEvaluation};
use crate::journal::Journal;
use crate::outcomes::check_clusters;
use crate::output::sanitized;
use crate::scorer::Scorer;
use crate::task::Task;
use crate::{BenchError, FormatChat, LanguageModel, Prompt, PromptOptions, PromptSet, build_prompts};

/// Looks for everything that can be wrong with tasks without asking a model: their names, their expressions, their data
/// and few-shot splits, every prompt, and whether a model of `max_length` tokens has room for their answers. Call it
/// before work that only ends in [`evaluate()`](crate::evaluate()), which does the same at its start.
///
/// # Errors
/// As [`evaluate()`](crate::evaluate()).
pub fn check_tasks(
    tasks: &[Task],
    prompts: &PromptOptions,
    chat: &FormatChat,
    max_length: usize,
) -> Result<(), BenchError> {
    prepare(tasks, prompts, chat, max_length).map(drop)
}

/// A task that is ready to be asked.
pub(super) struct PreparedTask<'a> {
    task: &'a Task,
    scorer: Scorer<'a>,
    set: PromptSet,
}

pub(super) fn prepare<'a>(
    tasks: &'a [Task],
    prompts: &PromptOptions,
    chat: &FormatChat,
    max_length: usize,
) -> Result<Vec<PreparedTask<'a>>, BenchError> {
    let mut names = HashSet::new();
    for task in tasks {
        // Results and samples are filed under the name: the second would replace the first.
        if !names.insert(sanitized(&task.task)) {
            return Err(BenchError::DuplicateTask {
                task: task.task.clone(),
            });
        }
    }
    // What is quickly checked is checked for all tasks before anything is read.
    let scorers = tasks.iter().map(|task| {
        task.validate()?;
        check_length(task, max_length)?;
        Scorer::new(task)
    });
    let scorers = scorers.collect::<Result<Vec<_>, _>>()?;
    let prepared = tasks.iter().zip(scorers).map(|(task, scorer)| {
        let set = build_prompts(task, prompts, chat)?;
        check_clusters(task, &set.prompts)?;
        Ok(PreparedTask { task, scorer, set })
    });
    prepared.collect()
}

fn check_length(task: &Task, max_length: usize) -> Result<(), BenchError> {
    match task.output_type.form().longest_answer(task) {
        Some(longest) if longest >= max_length => task.refuse(
            "generation_kwargs",
            format!("max_gen_toks is {longest}, which leaves a prompt no room in the {max_length} tokens of the model"),
        ),
        _ => Ok(()),
    }
}

impl PreparedTask<'_> {
    pub(super) fn evaluate(
        self,
        model: &mut dyn LanguageModel,
        batch_size: usize,
        journal: &mut Journal,
        progress: &mut dyn EvaluationProgress,
    ) -> Result<TaskEvaluation, BenchError> {
        let (task, total) = (self.task, self.set.prompts.len());
        let prompts: Vec<Arc<Prompt>> = self.set.prompts.into_iter().map(Arc::new).collect();
        let (mut samples, mut unknown) = (vec![Vec::new(); total], Vec::new());
        for (index, prompt) in prompts.iter().enumerate() {
            match journal.answer(&prompt.requests) {
                Some(answer) => samples[index] = self.scorer.samples(prompt, &answer)?,
                None => unknown.push(index),
            }
        }
        // Similar lengths together: a model pads. The longest first: memory is exhausted early or never.
        unknown.sort_by_key(|index| Reverse(prompts[*index].requests.length()));
        let mut done = total - unknown.len();
        progress.documents(&task.task, done, total);
        for batch in unknown.chunks(batch_size.max(1)) {
            let asked: Vec<&Prompt> = batch.iter().map(|index| &*prompts[*index]).collect();
            let answers = ask(model, &task.task, &asked)?;
            journal.append(&task.task, asked.into_iter().zip(&answers))?;
            for (index, answer) in batch.iter().zip(&answers) {
                samples[*index] = self.scorer.samples(&prompts[*index], answer)?;
            }
            done += batch.len();
            progress.documents(&task.task, done, total);
        }
        let by_filter = by_filter(samples, self.scorer.filters());
        let scores = by_filter
            .iter()
            .flat_map(|samples| self.scorer.scores(samples))
            .collect();
        Ok(TaskEvaluation {
            task: task.clone(),
            num_fewshot: self.set.num_fewshot,
            documents: self.set.documents,
            splits: self.set.splits,
            samples: by_filter.into_iter().flatten().collect(),
            scores,
        })
    }
}

/// The samples of each filter, from those of each document.
fn by_filter(documents: Vec<Vec<Sample>>, filters: usize) -> Vec<Vec<Sample>> {
    let mut by_filter = vec![Vec::with_capacity(documents.len()); filters];
    for samples in documents {
        for (list, sample) in by_filter.iter_mut().zip(samples) {
            list.push(sample);
        }
    }
    by_filter
}
