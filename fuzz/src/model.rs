//! A language model without weights, for what is read around an evaluation.

use std::path::Path;

use llm_bench::{
    BenchError, ChatPrompt, EvaluateOptions, GenerationRequest, LanguageModel, Loglikelihood, LoglikelihoodRequest,
    ModelDescription, PromptOptions, Task, Turn, evaluate,
};

/// Prefers short continuations and generates the same text for every prompt.
struct Instant;

impl LanguageModel for Instant {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let score = |request: &LoglikelihoodRequest| Loglikelihood {
            sum: -(request.continuation.len() as f64),
            is_greedy: false,
        };
        Ok(requests.iter().map(score).collect())
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        Ok(vec!["The answer is (B).\n#### 42".to_owned(); requests.len()])
    }

    fn loglikelihood_rolling(&mut self, texts: &[String]) -> Result<Vec<f64>, BenchError> {
        Ok(texts.iter().map(|text| -(text.len() as f64)).collect())
    }

    fn apply_chat_template(&self, turns: &[Turn], _add_generation_prompt: bool) -> Result<ChatPrompt, BenchError> {
        Ok(ChatPrompt {
            text: turns.iter().map(|turn| turn.content.as_str()).collect(),
            special: Vec::new(),
        })
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            max_length: 1 << 20,
            ..ModelDescription::default()
        }
    }

    fn fingerprint(&self) -> String {
        "instant".to_owned()
    }
}

/// A built-in task without examples before the question.
pub fn builtin(name: &str) -> Task {
    let mut task = Task::builtin(name).expect("a built-in task");
    task.num_fewshot = Some(0);
    task
}

/// Evaluates a task on the split `test` of the data set `data` in `root`, whatever the task names. Refusals are fine.
pub fn evaluate_in(root: &Path, task: Task) {
    let _ = evaluate(
        &mut Instant,
        &[on_test_data(task)],
        &EvaluateOptions::new(PromptOptions::new(root)),
        &mut (),
    );
}

/// Evaluates a task of choices and one of text on the same data, with a journal that may know their answers.
pub fn evaluate_with_journal(root: &Path, journal: &Path) {
    let tasks = [
        include_str!("../seeds/task_yaml/pair.yaml"),
        include_str!("../seeds/task_yaml/plain.yaml"),
    ];
    let tasks = tasks.map(|yaml| on_test_data(Task::from_yaml(yaml, "journal").expect("a sound task")));
    let mut options = EvaluateOptions::new(PromptOptions::new(root));
    options.journal = Some(journal.to_owned());
    let _ = evaluate(&mut Instant, &tasks, &options, &mut ());
}

fn on_test_data(mut task: Task) -> Task {
    task.dataset_path = "data".to_owned();
    task.dataset_name = None;
    task.test_split = Some("test".to_owned());
    task.fewshot_split = Some("test".to_owned());
    task.fewshot_config.split = None;
    task
}
