//! BLEU, chrF, chrF++ and TER against sacreBLEU 2.6.0 on invented texts (translation.json holds its values).

use llm_bench::*;
use serde_json::{Value, json};

use crate::quiz::data_root;

/// Answers each document with the text of its question.
struct Echo;

impl LanguageModel for Echo {
    fn loglikelihood(&mut self, _requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        Err(BenchError::Model("not asked".into()))
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        Ok(requests.iter().map(|request| request.context.clone()).collect())
    }

    fn apply_chat_template(&self, _turns: &[Turn], _open: bool) -> Result<ChatPrompt, BenchError> {
        Err(BenchError::Model("no chat template".into()))
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            max_length: 4096,
            ..Default::default()
        }
    }

    fn fingerprint(&self) -> String {
        "echo".to_owned()
    }
}

#[test]
fn scores_and_standard_errors_are_those_of_sacrebleu() {
    let expected: Value = serde_json::from_str(include_str!("translation.json")).unwrap();
    let pairs = expected["pairs"].as_array().unwrap();
    let lines = pairs
        .iter()
        .map(|pair| json!({"question": pair[0], "answer": pair[1]}).to_string() + "\n");
    let root = data_root(&lines.collect::<String>());
    let yaml = "
task: translation
dataset_path: synthetic/quiz
output_type: generate_until
test_split: test
doc_to_text: question
doc_to_target: answer
metric_list: [{metric: bleu}, {metric: chrf}, {metric: chrf++}, {metric: ter}]
";
    let task = Task::from_yaml(yaml, "translation").unwrap();
    let options = EvaluateOptions::new(PromptOptions::new(root.path()));
    let evaluation = evaluate(&mut Echo, &[task], &options, &mut ()).unwrap();
    let task = &evaluation.tasks[0];
    for (index, name) in ["bleu", "chrf", "chrf++", "ter"].into_iter().enumerate() {
        let score = task.score(name).unwrap();
        let value = expected[name].as_f64().unwrap();
        assert!((score.value - value).abs() < 1e-9, "{name}: {} {value}", score.value);
        for (pair, outcome) in score.outcomes.iter().enumerate() {
            let value = expected["each"][pair][index].as_f64().unwrap();
            assert!((outcome - value).abs() < 1e-9, "{name} {pair}: {outcome} {value}");
        }
        if let Some(value) = expected["stderr"][name].as_f64() {
            let error = score.stderr.unwrap();
            assert!((error - value).abs() < 1e-9, "{name}: {error} {value}");
        }
        assert_eq!(score.higher_is_better, name != "ter");
    }
}
