//! Every request string of lm-evaluation-harness's own logs, rebuilt.

use fixtures::lm_eval::{self, Log};
use llm_bench::{BenchError, ChatPrompt, PromptOptions, Requests, Task, Turn, build_prompts};

/// SmolLM2's chat format, spelt out so that this test needs no tokenizer.
pub(crate) fn smollm2_chat(turns: &[Turn], open: bool) -> Result<ChatPrompt, BenchError> {
    let mut text = String::new();
    if turns.first().is_none_or(|turn| turn.role != "system") {
        text.push_str(
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n",
        );
    }
    for turn in turns {
        text.push_str(&format!("<|im_start|>{}\n{}<|im_end|>\n", turn.role, turn.content));
    }
    if open {
        text.push_str("<|im_start|>assistant\n");
    }
    let special = Vec::new();
    Ok(ChatPrompt { text, special })
}

/// A log of lm-evaluation-harness, its task and the options it was made with.
pub(crate) fn reference(name: &str) -> Option<(Log, Task, PromptOptions)> {
    let log = lm_eval::log(name)?;
    let task = Task::builtin(&log.task).unwrap();
    let mut options = PromptOptions::new(&log.data);
    (options.num_fewshot, options.limit) = (log.num_fewshot, log.limit);
    options.apply_chat_template = log.chat;
    Some((log, task, options))
}

fn compare(name: &str) {
    let Some((log, task, options)) = reference(name) else {
        return;
    };
    let set = build_prompts(&task, &options, &smollm2_chat).unwrap();
    let mut compared = 0;
    for sample in &log.samples {
        let prompt = &set.prompts[sample["doc_id"].as_u64().unwrap() as usize];
        let expected = sample["arguments"].as_array().unwrap();
        match &prompt.requests {
            Requests::Choices(pairs) => {
                assert_eq!(pairs.len(), expected.len());
                for (pair, arguments) in pairs.iter().zip(expected) {
                    assert_eq!(&*pair.context, arguments[0].as_str().unwrap());
                    assert_eq!(pair.continuation, arguments[1].as_str().unwrap());
                }
            }
            Requests::Text(request) => {
                assert_eq!(request.context, expected[0][0].as_str().unwrap());
                assert_eq!(serde_json::json!(request.until), expected[0][1]["until"]);
            }
            Requests::Rolling(text) => assert_eq!(text, expected[0][0].as_str().unwrap()),
        }
        let target = sample["target"]
            .as_str()
            .map_or_else(|| sample["target"].to_string(), str::to_owned);
        assert_eq!(prompt.target, target);
        compared += 1;
    }
    assert!(compared >= set.prompts.len());
    assert_eq!(set.prompts.len() as f64, options.limit.unwrap());
}

#[test]
fn arc_easy_zero_shot_requests_equal_lm_eval() {
    compare("arc_easy_0shot");
}

#[test]
fn arc_easy_two_shot_requests_equal_lm_eval() {
    compare("arc_easy_2shot");
}

#[test]
fn arc_easy_chat_requests_equal_lm_eval() {
    compare("arc_easy_0shot_chat");
}

#[test]
fn hellaswag_requests_equal_lm_eval() {
    compare("hellaswag_0shot");
}

#[test]
fn gsm8k_requests_equal_lm_eval() {
    compare("gsm8k_5shot");
}

#[test]
fn truthfulqa_requests_equal_lm_eval() {
    compare("truthfulqa_mc1");
}

#[test]
fn mmlu_requests_equal_lm_eval() {
    compare("mmlu_anatomy_5shot");
}
