//! Everything about tasks that can be done, and found to be wrong, before a model is asked.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::answers::ask;
use super::{EvaluationProgress, TaskEvaluation};
use crate::journal::Journal;
use crate::outcomes::check_clusters;
use crate::output::sanitized;
use crate::resources::Resources;
use crate::scorer::Scorer;
use crate::task::Task;
use crate::{
    Answer, BenchError, FormatChat, LanguageModel, Prompt, PromptOptions, PromptSet, Sample, SplitDigest, build_prompts,
};

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
    pub(super) task: &'a Task,
    scorer: Scorer<'a>,
    pub(super) set: PromptSet,
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
    let resources = Resources::new(prompts.data.root());
    let prepared = tasks.iter().zip(scorers).map(|(task, mut scorer)| {
        scorer.load(&resources)?;
        let set = build_prompts(task, prompts, chat)?;
        check_clusters(task, &set.prompts)?;
        scorer.check(&set.prompts)?;
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

impl<'a> PreparedTask<'a> {
    pub(super) fn score_nothing(&mut self) {
        self.scorer.forget_metrics();
    }

    pub(super) fn evaluate(
        self,
        model: &mut dyn LanguageModel,
        batch_size: usize,
        journal: &mut Journal,
        progress: &mut dyn EvaluationProgress,
    ) -> Result<TaskEvaluation, BenchError> {
        let (judging, prompts) = self.judging();
        let (name, total) = (&judging.task.task, prompts.len());
        if let Some(first) = prompts.first() {
            progress.first_prompt(name, first);
        }
        let (mut samples, mut unknown) = (vec![Vec::new(); total], Vec::new());
        for (index, prompt) in prompts.iter().enumerate() {
            match journal.answer(&prompt.requests) {
                Some(answer) => samples[index] = judging.samples(prompt, &answer)?,
                None => unknown.push(index),
            }
        }
        // Similar lengths together: a model pads. The longest first: memory is exhausted early or never.
        unknown.sort_by_key(|index| Reverse(prompts[*index].requests.length()));
        let mut done = total - unknown.len();
        progress.documents(name, done, total);
        for batch in unknown.chunks(batch_size.max(1)) {
            let asked: Vec<&Prompt> = batch.iter().map(|index| &*prompts[*index]).collect();
            let answers = ask(model, name, &asked)?;
            journal.append(name, asked.into_iter().zip(&answers))?;
            for (index, answer) in batch.iter().zip(&answers) {
                samples[*index] = judging.samples(&prompts[*index], answer)?;
            }
            done += batch.len();
            progress.documents(name, done, total);
        }
        Ok(judging.finish(samples))
    }

    /// The task with no answer judged yet, and its prompts.
    pub(super) fn judging(self) -> (JudgedTask<'a>, Vec<Arc<Prompt>>) {
        let prompts = self.set.prompts.into_iter().map(Arc::new).collect();
        let judging = JudgedTask {
            task: self.task,
            scorer: self.scorer,
            num_fewshot: self.set.num_fewshot,
            documents: self.set.documents,
            splits: self.set.splits,
        };
        (judging, prompts)
    }
}

/// A task whose answers are being judged.
pub(super) struct JudgedTask<'a> {
    task: &'a Task,
    scorer: Scorer<'a>,
    num_fewshot: usize,
    documents: usize,
    splits: Vec<SplitDigest>,
}

impl JudgedTask<'_> {
    /// One sample for each filter.
    pub(super) fn samples(&self, prompt: &Arc<Prompt>, answer: &Answer) -> Result<Vec<Sample>, BenchError> {
        self.scorer.samples(prompt, answer)
    }

    /// The task's scores, from the samples of each judged answer.
    pub(super) fn finish(self, judged: Vec<Vec<Sample>>) -> TaskEvaluation {
        let by_filter = by_filter(judged, self.scorer.filters());
        let scores = by_filter.iter().flat_map(|samples| self.scorer.scores(samples));
        TaskEvaluation {
            scores: scores.collect(),
            task: self.task.clone(),
            num_fewshot: self.num_fewshot,
            documents: self.documents,
            splits: self.splits,
            samples: by_filter.into_iter().flatten().collect(),
        }
    }
}

/// The samples of each filter, from those of each judged answer.
fn by_filter(judged: Vec<Vec<Sample>>, filters: usize) -> Vec<Vec<Sample>> {
    let mut by_filter = vec![Vec::with_capacity(judged.len()); filters];
    for samples in judged {
        for (list, sample) in by_filter.iter_mut().zip(samples) {
            list.push(sample);
        }
    }
    by_filter
}
