//! Results and samples on disk, in the layout of lm-evaluation-harness.

mod samples;

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::evaluate::GroupEvaluation;
use crate::evaluate::OutputOptions;
use crate::journal::{not_written, sha256};
use crate::{BenchError, Evaluation, TaskEvaluation};

pub(crate) use samples::{document_hash, request_json};
use samples::{task_hash, write_samples};

/// The files an evaluation wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFiles {
    /// `results_{date}.json`.
    pub results: PathBuf,
    /// `samples_{task}_{date}.jsonl`, in the tasks' order; empty if samples were not asked for.
    pub samples: Vec<PathBuf>,
}

impl Evaluation {
    /// The results file's contents.
    pub fn to_json(&self) -> Value {
        let mut contents = self.task_fields();
        let groups = self.groups();
        if !groups.is_empty() {
            contents.push(("groups", Value::Object(groups.iter().map(group_results).collect())));
        }
        contents.extend(self.run_fields());
        contents.extend(self.model_fields());
        contents
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn per_task(&self, value: fn(&TaskEvaluation) -> Value) -> Value {
        let entries = self.tasks.iter().map(|task| (task.task.task.clone(), value(task)));
        Value::Object(entries.collect())
    }

    /// The fields of the results that are keyed by task name.
    fn task_fields(&self) -> Vec<(&'static str, Value)> {
        let groups = self.groups();
        vec![
            ("results", self.per_task(task_results)),
            (
                "group_subtasks",
                Value::Object(
                    groups
                        .iter()
                        .map(|group| (group.group.group.clone(), json!(group.group.members)))
                        .collect(),
                ),
            ),
            (
                "configs",
                self.per_task(|task| serde_json::to_value(&task.task).expect("what was read from YAML is JSON")),
            ),
            ("versions", self.per_task(|task| task.task.version())),
            ("n-shot", self.per_task(|task| json!(task.num_fewshot))),
            ("higher_is_better", self.per_task(higher_is_better)),
            (
                "n-samples",
                self.per_task(|task| json!({"original": task.documents, "effective": task.evaluated()})),
            ),
            ("parts", self.per_task(parts)),
            ("task_hashes", self.per_task(|task| json!(task_hash(task)))),
            ("data", self.per_task(|task| json!(task.splits))),
            ("warnings", self.per_task(|task| json!(task.warnings()))),
        ]
    }

    /// The fields of the results that describe the run.
    fn run_fields(&self) -> Vec<(&'static str, Value)> {
        let options = &self.options.prompts;
        let instruction = options.system_instruction.as_deref();
        let config = json!({
            "model": "kallm",
            "model_args": self.model.name,
            "model_num_parameters": self.model.num_parameters,
            "model_dtype": self.model.dtype,
            "model_fingerprint": self.fingerprint,
            "device": self.model.device,
            "batch_size": self.options.batch_size,
            "limit": options.limit,
            "random_seed": 0,
            "numpy_seed": 1234,
            "torch_seed": 1234,
            "fewshot_seed": 1234,
        });
        vec![
            ("config", config),
            ("date", json!(self.started)),
            ("llm_bench_version", json!(env!("CARGO_PKG_VERSION"))),
            ("system_instruction", json!(instruction)),
            ("system_instruction_sha", json!(instruction.map(sha256))),
            ("fewshot_as_multiturn", json!(options.fewshot_as_multiturn)),
            ("total_evaluation_time_seconds", json!(self.seconds.to_string())),
        ]
    }

    fn model_fields(&self) -> Vec<(&'static str, Value)> {
        let model = &self.model;
        // A template that was not applied is omitted.
        let template = model.chat_template.as_deref();
        let template = template.filter(|_| self.options.prompts.apply_chat_template);
        vec![
            ("tokenizer_pad_token", token(&model.pad_token)),
            ("tokenizer_eos_token", token(&model.eos_token)),
            ("tokenizer_bos_token", token(&model.bos_token)),
            ("eot_token_id", json!(model.eot_token_id)),
            ("max_length", json!(model.max_length)),
            ("model_source", json!("kallm")),
            ("model_name", json!(model.name)),
            ("model_name_sanitized", json!(sanitized(&model.name))),
            ("chat_template", json!(template)),
            ("chat_template_sha", json!(template.map(sha256))),
        ]
    }

    /// Writes `results_{date}.json` and, with `log_samples`, `samples_{task}_{date}.jsonl` into `directory/{model}`,
    /// which is created. [`EvaluateOptions::output`](crate::EvaluateOptions::output) writes the same as each task is
    /// done.
    ///
    /// # Errors
    /// If a folder or file cannot be written.
    pub fn write(&self, directory: &Path, log_samples: bool) -> Result<OutputFiles, BenchError> {
        self.create_folder(directory)?;
        let files = self.files(directory, log_samples);
        for (task, path) in self.tasks.iter().zip(&files.samples) {
            write_samples(task, path)?;
        }
        self.write_results(&files.results)?;
        Ok(files)
    }

    /// The paths that [`Evaluation::write`] writes to.
    pub fn files(&self, directory: &Path, log_samples: bool) -> OutputFiles {
        let folder = directory.join(sanitized(&self.model.name));
        let date = self.date.replace(':', "-");
        let logged = self.tasks.iter().filter(|_| log_samples);
        let samples = logged.map(|task| folder.join(format!("samples_{}_{date}.jsonl", sanitized(&task.task.task))));
        OutputFiles {
            samples: samples.collect(),
            results: folder.join(format!("results_{date}.json")),
        }
    }

    /// Creates the folder of the files and checks that a file can be written there.
    pub(crate) fn create_folder(&self, directory: &Path) -> Result<(), BenchError> {
        let results = self.files(directory, false).results;
        let folder = directory.join(sanitized(&self.model.name));
        std::fs::create_dir_all(&folder).map_err(not_written(&folder))?;
        let partial = partial(&results);
        File::create(&partial).map_err(not_written(&partial))?;
        std::fs::remove_file(&partial).map_err(not_written(&partial))
    }

    /// Writes the samples of the task evaluated last, and the results of all tasks so far.
    pub(crate) fn write_last_task(&self, output: &OutputOptions) -> Result<(), BenchError> {
        let files = self.files(&output.directory, output.log_samples);
        if let (Some(task), Some(path)) = (self.tasks.last(), files.samples.last()) {
            write_samples(task, path)?;
        }
        self.write_results(&files.results)
    }

    /// Replaces the results file atomically.
    fn write_results(&self, path: &Path) -> Result<(), BenchError> {
        let partial = partial(path);
        let text = serde_json::to_string_pretty(&self.to_json())?;
        std::fs::write(&partial, text).map_err(not_written(&partial))?;
        std::fs::rename(&partial, path).map_err(not_written(path))
    }
}

fn partial(path: &Path) -> PathBuf {
    path.with_extension("json.partial")
}

/// A name as part of a file name: every run of characters that do not belong in a file name becomes `__`, and so does
/// a name that is empty or leads to another folder.
pub(crate) fn sanitized(name: &str) -> String {
    if matches!(name, "" | "." | "..") {
        return "__".to_owned();
    }
    let mut file = String::with_capacity(name.len());
    let mut inside = false;
    for c in name.chars() {
        let odd = r#"":<>|\/?*[]"#.contains(c) || c.is_control();
        if !odd {
            file.push(c);
        } else if !inside {
            file.push_str("__");
        }
        inside = odd;
    }
    file
}

/// A token's text and id, both as text.
fn token(token: &Option<(String, u32)>) -> Value {
    json!(token.as_ref().map(|(text, id)| [text.clone(), id.to_string()]))
}

fn group_results(group: &GroupEvaluation) -> (String, Value) {
    let name = &group.group.group;
    let mut results = Map::new();
    results.insert("name".to_owned(), json!(name));
    results.insert("alias".to_owned(), json!(group.group.alias.as_ref().unwrap_or(name)));
    results.insert("sample_len".to_owned(), json!(group.documents));
    for score in &group.scores {
        let (metric, filter) = (&score.metric, &score.filter);
        let stderr = score.stderr.map_or_else(|| json!("N/A"), |stderr| json!(stderr));
        results.insert(format!("{metric},{filter}"), json!(score.value));
        results.insert(format!("{metric}_stderr,{filter}"), stderr);
    }
    (name.clone(), Value::Object(results))
}

fn task_results(task: &TaskEvaluation) -> Value {
    let name = &task.task.task;
    let mut results = Map::new();
    results.insert("name".to_owned(), json!(name));
    results.insert("alias".to_owned(), json!(task.task.task_alias.as_ref().unwrap_or(name)));
    results.insert("sample_len".to_owned(), json!(task.evaluated()));
    for score in &task.scores {
        let stderr = score.stderr.map_or_else(|| json!("N/A"), |stderr| json!(stderr));
        results.insert(score.key(), json!(score.value));
        results.insert(format!("{}_stderr,{}", score.metric, score.filter), stderr);
    }
    Value::Object(results)
}

fn higher_is_better(task: &TaskEvaluation) -> Value {
    let scores = task.scores.iter();
    Value::Object(
        scores
            .map(|score| (score.metric.clone(), json!(score.higher_is_better)))
            .collect(),
    )
}

/// By the score's key: of each part of what it counts, the value and how many there are.
fn parts(task: &TaskEvaluation) -> Value {
    let scores = task.scores.iter().filter(|score| !score.parts.is_empty());
    let parts = scores.map(|score| {
        let parts = score.parts.iter();
        let parts = parts.map(|part| (part.name.clone(), json!({"value": part.value, "n": part.n})));
        (score.key(), Value::Object(parts.collect()))
    });
    Value::Object(parts.collect())
}
