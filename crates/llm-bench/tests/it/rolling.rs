//! Whole texts, against lm-evaluation-harness 0.4.13 with a model of the same log-likelihoods.

use llm_bench::*;
use serde_json::{Value, json};

use crate::quiz::{data_root, message, no_chat};
use crate::toy::Toy;

const ROLLING: &str = "
task: roll
dataset_path: synthetic/quiz
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ''
doc_to_target: '{{text}}'
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
";

fn texts() -> tempfile::TempDir {
    let texts = [
        "Two words",
        " A longer text,\nwith  two lines and\u{1c}\u{e9} accents.\n",
        "x",
    ];
    data_root(&texts.map(|text| json!({ "text": text }).to_string() + "\n").concat())
}

fn evaluated(model: &mut dyn LanguageModel) -> Result<Evaluation, BenchError> {
    let task = Task::from_yaml(ROLLING, "roll").unwrap();
    let root = texts();
    let mut options = EvaluateOptions::new(PromptOptions::new(root.path()));
    options.prompts.num_fewshot = Some(5);
    options.journal = Some(root.path().join("journal"));
    evaluate(model, std::slice::from_ref(&task), &options, &mut ())?;
    // Once more, from the journal.
    evaluate(model, &[task], &options, &mut ())
}

/// `lm_eval.simple_evaluate` with a model that gives every text half a nat per byte and one more.
#[test]
fn perplexities_equal_the_harness() {
    let mut toy = Toy::new("");
    let evaluation = evaluated(&mut toy).unwrap();
    assert_eq!(toy.asked, 3);
    let scores = &evaluation.tasks[0].scores;
    let expected = [
        ("word_perplexity,none", 9.832707078469747),
        ("byte_perplexity,none", 1.7362439627994641),
        ("bits_per_byte,none", 0.7959696777318419),
    ];
    for (score, (key, value)) in scores.iter().zip(expected) {
        assert_eq!((score.key().as_str(), score.stderr, score.n), (key, None, 3));
        assert!((score.value - value).abs() < 1e-14, "{key}: {}", score.value);
        let scale = if score.metric == "bits_per_byte" {
            Scale::Plain
        } else {
            Scale::Log
        };
        assert!(!score.higher_is_better && score.scale == scale && score.chance.is_none());
    }
    let output = tempfile::tempdir().unwrap();
    let files = evaluation.write(output.path(), true).unwrap();
    let results: Value = serde_json::from_slice(&std::fs::read(&files.results).unwrap()).unwrap();
    assert_eq!(results["results"]["roll"]["word_perplexity_stderr,none"], "N/A");
    assert_eq!(results["higher_is_better"]["roll"]["bits_per_byte"], false);
    assert_eq!(
        results["configs"]["roll"]["metric_list"][0]["aggregation"],
        "weighted_perplexity"
    );
    assert_eq!(results["n-shot"]["roll"], 0);
    let samples = std::fs::read_to_string(&files.samples[0]).unwrap();
    let second: Value = serde_json::from_str(samples.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["word_perplexity"], json!([-25.0, 11.0]));
    assert_eq!(second["bits_per_byte"], json!([-25.0, 48.0]));
    assert_eq!(
        (&second["resps"], &second["filtered_resps"]),
        (&json!([["-25.0"]]), &json!(["-25.0"]))
    );
    assert_eq!(second["arguments"], json!({"gen_args_0": {"arg_0": second["target"]}}));
    assert_eq!(
        second["doc_hash"],
        "0caebc7a13ac5b8216cd77fcec4eee7c2e5630fa18e04cc47eef7a46812a0e41"
    );
    assert_eq!(
        second["prompt_hash"],
        "5ec8aa5a47c93f315be3ab6baebf19e277266f83f0d8c406cf29e2eea2b940d0"
    );
}

/// What two models are compared by.
#[test]
fn outcomes_of_a_perplexity_have_its_logarithm_as_their_mean() {
    let evaluation = evaluated(&mut Toy::new("")).unwrap();
    for score in &evaluation.tasks[0].scores {
        let mean = stats::mean(&score.outcomes);
        let expected = if score.metric == "bits_per_byte" {
            score.value
        } else {
            score.value.ln()
        };
        assert!((mean - expected).abs() < 1e-12, "{}: {mean}", score.metric);
    }
}

#[test]
fn a_model_that_scores_no_whole_texts_says_so() {
    struct Shy;
    impl LanguageModel for Shy {
        fn loglikelihood(&mut self, _: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
            Ok(vec![])
        }
        fn generate_until(&mut self, _: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
            Ok(vec![])
        }
        fn apply_chat_template(&self, _: &[Turn], _: bool) -> Result<ChatPrompt, BenchError> {
            Ok(ChatPrompt::default())
        }
        fn description(&self) -> ModelDescription {
            ModelDescription::default()
        }
        fn fingerprint(&self) -> String {
            String::new()
        }
    }
    let error = evaluated(&mut Shy).unwrap_err().to_string();
    assert!(error.contains("whole texts"), "{error}");
}

/// One value for every text.
struct Fixed(f64);

impl LanguageModel for Fixed {
    fn loglikelihood(&mut self, _: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        Ok(vec![])
    }
    fn generate_until(&mut self, _: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        Ok(vec![])
    }
    fn loglikelihood_rolling(&mut self, texts: &[String]) -> Result<Vec<f64>, BenchError> {
        Ok(vec![self.0; texts.len()])
    }
    fn apply_chat_template(&self, _: &[Turn], _: bool) -> Result<ChatPrompt, BenchError> {
        Ok(ChatPrompt::default())
    }
    fn description(&self) -> ModelDescription {
        ModelDescription::default()
    }
    fn fingerprint(&self) -> String {
        self.0.to_string()
    }
}

/// A perplexity of no finite value would end up in a results file, which has no place for it.
#[test]
fn a_text_without_a_finite_log_likelihood_is_refused() {
    for value in [f64::NEG_INFINITY, f64::INFINITY, f64::NAN] {
        let error = evaluated(&mut Fixed(value)).unwrap_err();
        // The longest text is asked first.
        assert!(matches!(error, BenchError::NotANumber { doc_id: 1, .. }), "{error}");
    }
    evaluated(&mut Fixed(-3.0)).unwrap();
}

#[test]
fn texts_that_are_all_empty_are_refused() {
    let line = |text: &str| json!({ "text": text }).to_string() + "\n";
    let task = Task::from_yaml(ROLLING, "roll").unwrap();
    let build = |lines: String| {
        let root = data_root(&lines);
        build_prompts(&task, &PromptOptions::new(root.path()), &no_chat)
    };
    let error = build(line("") + &line("")).unwrap_err().to_string();
    assert!(
        error.contains("document 0") && error.contains("`doc_to_target`") && error.contains("empty"),
        "{error}"
    );
    build(line("") + &line("a")).unwrap();
}

#[test]
fn keys_that_a_whole_text_has_no_use_for_are_refused() {
    for (key, line) in [
        ("doc_to_choice", "doc_to_choice: [a, b]"),
        ("num_fewshot", "num_fewshot: 2"),
        (
            "filter_list",
            "filter_list: [{name: f, filter: [{function: lowercase}]}]",
        ),
    ] {
        assert!(
            message(&format!("{ROLLING}{line}\n")).contains(&format!("`{key}`")),
            "{key}"
        );
    }
}
