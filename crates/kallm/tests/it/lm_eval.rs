//! SmolLM2-135M-Instruct against lm-evaluation-harness: every log-likelihood, every text, every score.

use std::path::Path;

use burn::backend::Flex;
use fixtures::{lm_eval, shared, tolerance};
use kallm::judge::Judged;
use llm_bench::{Answer, EvaluateOptions, PromptOptions, Task, TaskEvaluation, evaluate};
use serde_json::Value;
use smollm2_infer::Engine;

fn judged(path: &Path) -> Judged<Flex> {
    let engine = Engine::open(path, &Default::default()).unwrap();
    Judged::new("SmolLM2-135M-Instruct", engine)
}

/// Evaluates a reference job.
fn compare(model: &mut Judged<Flex>, name: &str) {
    let Some(log) = lm_eval::log(name) else { return };
    let mut prompts = PromptOptions::new(&log.data);
    (prompts.num_fewshot, prompts.limit) = (log.num_fewshot, log.limit);
    prompts.apply_chat_template = log.chat;
    let start = std::time::Instant::now();
    let mut options = EvaluateOptions::new(prompts);
    options.batch_size = 6;
    let evaluation = evaluate(model, &[Task::builtin(&log.task).unwrap()], &options, &mut ()).unwrap();
    let task = &evaluation.tasks[0];
    let worst = compare_samples(task, &log.samples);
    eprintln!(
        "{name}: {} documents, largest difference {worst:.2e}, {:.0?}",
        task.scores[0].n,
        start.elapsed()
    );
    for score in &task.scores {
        assert_eq!(
            Some(score.value),
            log.results[score.key()].as_f64(),
            "{name} {}",
            score.key()
        );
    }
}

/// The largest difference of two log-likelihoods.
fn compare_samples(task: &TaskEvaluation, references: &[Value]) -> f64 {
    let mut worst = 0.0f64;
    assert_eq!(task.samples.len(), references.len());
    for sample in &task.samples {
        let of = |r: &&Value| r["doc_id"] == sample.prompt.doc_id && r["filter"] == sample.filter.as_str();
        let reference = references.iter().find(of).unwrap();
        match &sample.answer {
            Answer::Choices(scores) => {
                let expected = reference["filtered_resps"].as_array().unwrap();
                assert_eq!(scores.len(), expected.len());
                for (score, expected) in scores.iter().zip(expected) {
                    let difference = (score.sum - expected[0].as_f64().unwrap()).abs();
                    assert!(difference < tolerance::LM_EVAL_LOGLIKELIHOOD, "{score:?} {expected}");
                    assert_eq!(score.is_greedy, expected[1].as_bool().unwrap());
                    worst = worst.max(difference);
                }
            }
            Answer::Text(text) => {
                assert_eq!(text, reference["resps"][0][0].as_str().unwrap());
                assert_eq!(sample.filtered.as_deref(), reference["filtered_resps"][0].as_str());
            }
            Answer::Texts(_) | Answer::Rolling(_) => unreachable!("no reference draws texts or scores whole ones"),
        }
        for (metric, value) in &sample.metrics {
            assert_eq!(
                Some(value.outcome),
                reference[*metric].as_f64(),
                "document {}",
                sample.prompt.doc_id
            );
        }
    }
    worst
}

/// Evaluates everything in one test: loading dequantises the model, and two such tests would share the cores.
#[test]
fn smollm2_135m_scores_equal_lm_eval() {
    let Some(path) = shared("models/SmolLM2-135M-Instruct.Q4_1.gguf") else {
        return;
    };
    let mut model = judged(&path);
    for name in [
        "arc_easy_0shot",
        "arc_easy_0shot_chat",
        "arc_easy_2shot",
        "hellaswag_0shot",
        "mmlu_anatomy_5shot",
        "truthfulqa_mc1",
        "gsm8k_5shot",
    ] {
        compare(&mut model, name);
    }
}
