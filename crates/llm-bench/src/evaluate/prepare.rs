//! Everything about tasks that can be done, and found to be wrong, before a model is asked.

use std::collections::HashSet;
use std::sync::Arc;

use super::answers::answer_batch;
use super::{EvaluationProgress, TaskEvaluation};
use crate::journal::Journal;
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
    let resources = Resources::new(&prompts.data_dir);
    let prepared = tasks.iter().zip(scorers).map(|(task, mut scorer)| {
        scorer.load(&resources)?;
        let set = build_prompts(task, prompts, chat)?;
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
    pub(super) fn evaluate(
        self,
        model: &mut dyn LanguageModel,
        batch_size: usize,
        journal: &mut Journal,
        progress: &mut dyn EvaluationProgress,
    ) -> Result<TaskEvaluation, BenchError> {
        let (mut judging, prompts) = self.judging();
        let (task, total, batch_size) = (judging.task, prompts.len(), batch_size.max(1));
        progress.documents(&task.task, 0, total);
        for (done, batch) in prompts.chunks(batch_size).enumerate() {
            let answers = answer_batch(model, &task.task, batch, journal)?;
            for (prompt, answer) in batch.iter().zip(&answers) {
                judging.judge(prompt, answer)?;
            }
            progress.documents(&task.task, done * batch_size + batch.len(), total);
        }
        Ok(judging.finish())
    }

    /// The task with no answer judged yet, and its prompts.
    pub(super) fn judging(self) -> (JudgedTask<'a>, Vec<Arc<Prompt>>) {
        let prompts: Vec<Arc<Prompt>> = self.set.prompts.into_iter().map(Arc::new).collect();
        let judging = JudgedTask {
            task: self.task,
            by_filter: vec![Vec::with_capacity(prompts.len()); self.scorer.filters()],
            scorer: self.scorer,
            num_fewshot: self.set.num_fewshot,
            documents: self.set.documents,
            splits: self.set.splits,
        };
        (judging, prompts)
    }
}

/// A task whose answers are judged one after another.
pub(super) struct JudgedTask<'a> {
    task: &'a Task,
    scorer: Scorer<'a>,
    num_fewshot: usize,
    documents: usize,
    splits: Vec<SplitDigest>,
    by_filter: Vec<Vec<Sample>>,
}

impl JudgedTask<'_> {
    pub(super) fn judge(&mut self, prompt: &Arc<Prompt>, answer: &Answer) -> Result<(), BenchError> {
        let samples = self.scorer.samples(prompt, answer)?;
        let lists = self.by_filter.iter_mut();
        lists.zip(samples).for_each(|(list, sample)| list.push(sample));
        Ok(())
    }

    pub(super) fn finish(self) -> TaskEvaluation {
        let scores = self.by_filter.iter().flat_map(|samples| self.scorer.scores(samples));
        TaskEvaluation {
            scores: scores.collect(),
            task: self.task.clone(),
            num_fewshot: self.num_fewshot,
            documents: self.documents,
            splits: self.splits,
            samples: self.by_filter.into_iter().flatten().collect(),
        }
    }
}
