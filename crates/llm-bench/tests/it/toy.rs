//! A toy model and its tasks.

use llm_bench::*;

use crate::quiz::data_root;

/// Scores by length, answers every text with the same words, and counts what it is asked.
pub(crate) struct Toy {
    text: String,
    pub(crate) asked: usize,
    pub(crate) fail_after: Option<usize>,
}

impl Toy {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            asked: 0,
            fail_after: None,
        }
    }
}

impl LanguageModel for Toy {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let score = |r: &LoglikelihoodRequest| Loglikelihood {
            sum: -(r.continuation.len() as f64),
            is_greedy: false,
        };
        Ok(requests.iter().map(score).collect())
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        self.asked += requests.len();
        if self.fail_after.is_some_and(|limit| self.asked > limit) {
            return Err(BenchError::Model("out of breath".into()));
        }
        Ok(requests
            .iter()
            .map(|request| cut_at_stops(&self.text, &request.until))
            .collect())
    }

    /// Half a nat per byte, and one more.
    fn loglikelihood_rolling(&mut self, texts: &[String]) -> Result<Vec<f64>, BenchError> {
        self.asked += texts.len();
        Ok(texts.iter().map(|text| -0.5 * text.len() as f64 - 1.0).collect())
    }

    fn apply_chat_template(&self, turns: &[Turn], _open: bool) -> Result<ChatPrompt, BenchError> {
        let turns = turns.iter().map(|turn| format!("[{}]{}", turn.role, turn.content));
        Ok(ChatPrompt {
            text: turns.collect(),
            special: vec![],
        })
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            name: "toy://model".to_owned(),
            max_length: 2048,
            eot_token_id: Some(2),
            num_parameters: Some(0),
            eos_token: Some(("<end>".to_owned(), 2)),
            chat_template: Some("{{ messages }}".to_owned()),
            ..Default::default()
        }
    }

    /// Its one text is all its knowledge.
    fn fingerprint(&self) -> String {
        self.text.clone()
    }
}

pub(crate) fn sums() -> (tempfile::TempDir, Task) {
    let line = |i: usize| format!("{{\"question\": \"{i} + 1 =\", \"answer\": \"{}\"}}\n", i + 1);
    let root = data_root(&(0..6).map(line).collect::<String>());
    let yaml = "
task: sums
dataset_path: synthetic/quiz
output_type: generate_until
test_split: test
doc_to_text: '{{question}}'
doc_to_target: '{{answer}}'
generation_kwargs: {until: ['<|im_end|>'], do_sample: false, max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
";
    (root, Task::from_yaml(yaml, "sums").unwrap())
}

/// A choice between `yes, very` and `no`, asked of [`Toy`], which prefers the shorter.
pub(crate) fn choices() -> (tempfile::TempDir, Task) {
    let root = data_root("{\"question\": \"q\", \"choices\": [\"yes, very\", \"no\"], \"answer\": 1}\n");
    let yaml = "
task: units
task_alias: Units
dataset_path: synthetic/quiz
output_type: multiple_choice
test_split: test
doc_to_text: '{{question}}'
doc_to_choice: '{{choices}}'
doc_to_target: '{{answer}}'
metric_list: [{metric: acc}, {metric: acc_norm}]
";
    (root, Task::from_yaml(yaml, "units").unwrap())
}

/// The sums, and a second task with something wrong.
pub(crate) fn with_second(change: impl FnOnce(&mut Task)) -> (tempfile::TempDir, [Task; 2]) {
    let (root, first) = sums();
    let mut second = first.clone();
    second.task = "second".to_owned();
    change(&mut second);
    (root, [first, second])
}
