//! A small task of several forms, its data, and the prompts of it.

use llm_bench::{BenchError, ChatPrompt, Prompt, PromptOptions, PromptSet, Requests, Task, Turn, build_prompts};

/// A data root with one split of `synthetic/quiz`.
pub(crate) fn data_root(lines: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("synthetic/quiz/default");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("test.jsonl"), lines).unwrap();
    root
}

pub(crate) const CHOICE: &str = "
task: quiz
dataset_path: synthetic/quiz
output_type: multiple_choice
test_split: test
doc_to_text: '{{question}}'
doc_to_choice: '{{choices}}'
doc_to_target: '{{answer}}'
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
";

pub(crate) fn no_chat(_: &[Turn], _: bool) -> Result<ChatPrompt, BenchError> {
    Err(BenchError::Model("no chat template".into()))
}

pub(crate) fn message(yaml: &str) -> String {
    Task::from_yaml(yaml, "quiz.yaml").unwrap_err().to_string()
}

pub(crate) const HEAD: &str = "task: quiz\ndataset_path: synthetic/quiz\nmetric_list: [{metric: acc}]\n";
pub(crate) const QUIZ: &str = "output_type: multiple_choice\ntest_split: test\ndoc_to_text: '{{question}}'\n\
                    doc_to_choice: '{{choices}}'\ndoc_to_target: '{{answer}}'\n";

/// Every turn behind its role, and the role that is to speak.
pub(crate) fn chat(turns: &[Turn], open: bool) -> Result<ChatPrompt, BenchError> {
    let mut text: String = turns.iter().map(|t| format!("<{}>{}", t.role, t.content)).collect();
    let start = text.len();
    text.push_str(if open { "<assistant>" } else { "" });
    let special = std::iter::once(start..text.len()).collect();
    Ok(ChatPrompt { text, special })
}

/// `count` questions `q0?`, `q1?`, .. with the choices x and y.
pub(crate) fn questions(count: usize) -> String {
    let line = |i: usize| {
        format!(
            "{{\"question\": \"q{i}?\", \"choices\": [\"x\", \"y\"], \"answer\": {}}}\n",
            i % 2
        )
    };
    (0..count).map(line).collect()
}

/// Builds a task's prompts from the lines of its test split and of its training split.
pub(crate) fn build(
    yaml: &str,
    [test, train]: [&str; 2],
    set: impl FnOnce(&mut PromptOptions),
) -> Result<PromptSet, BenchError> {
    let root = data_root(test);
    std::fs::write(root.path().join("synthetic/quiz/default/train.jsonl"), train).unwrap();
    let mut options = PromptOptions::new(root.path());
    set(&mut options);
    build_prompts(&Task::from_yaml(&format!("{HEAD}{yaml}"), "quiz")?, &options, &chat)
}

pub(crate) fn pairs(prompt: &Prompt) -> Vec<(&str, &str)> {
    match &prompt.requests {
        Requests::Choices(pairs) => pairs.iter().map(|p| (&*p.context, p.continuation.as_str())).collect(),
        _ => panic!("choices expected"),
    }
}

pub(crate) fn context(prompt: &Prompt) -> &str {
    pairs(prompt)[0].0
}
