//! Results and samples on disk, in the layout of lm-evaluation-harness.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::evaluate::OutputOptions;
use crate::journal::{not_written, sha256};
use crate::task::GenerationKwargs;
use crate::{
    Answer, BenchError, Document, Evaluation, GenerationRequest, Loglikelihood, LoglikelihoodRequest, Requests, Sample,
    Task, TaskEvaluation,
};

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
        contents.extend(self.run_fields());
        contents.extend(self.model_fields());
        contents
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// What is kept by the task's name.
    fn task_fields(&self) -> Vec<(&'static str, Value)> {
        let per_task = |value: fn(&TaskEvaluation) -> Value| {
            let entries = self.tasks.iter().map(|task| (task.task.task.clone(), value(task)));
            Value::Object(entries.collect())
        };
        vec![
            ("results", per_task(task_results)),
            // Of groups, which are not supported.
            ("group_subtasks", json!({})),
            (
                "configs",
                per_task(|task| serde_json::to_value(&task.task).expect("what was read from YAML is JSON")),
            ),
            ("versions", per_task(|task| task.task.version())),
            ("n-shot", per_task(|task| json!(task.num_fewshot))),
            ("higher_is_better", per_task(higher_is_better)),
            (
                "n-samples",
                per_task(|task| json!({"original": task.documents, "effective": evaluated(task)})),
            ),
            ("task_hashes", per_task(|task| json!(task_hash(task)))),
            ("data", per_task(|task| json!(task.splits))),
            ("warnings", per_task(|task| json!(task.warnings()))),
        ]
    }

    /// How the evaluation ran.
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
        // Of tokens the text and the id, both as text. A template that was not applied is not there.
        let token =
            |token: &Option<(String, u32)>| json!(token.as_ref().map(|(text, id)| [text.clone(), id.to_string()]));
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

    /// Writes `results_{date}.json` and, with `log_samples`, `samples_{task}_{date}.jsonl` into
    /// `directory/{model}`, which is created. [`EvaluateOptions::output`](crate::EvaluateOptions::output) writes the same
    /// as each task is done.
    ///
    /// # Errors
    /// When a folder or file cannot be written.
    pub fn write(&self, directory: &Path, log_samples: bool) -> Result<OutputFiles, BenchError> {
        self.create_folder(directory)?;
        let files = self.files(directory, log_samples);
        for (task, path) in self.tasks.iter().zip(&files.samples) {
            write_samples(task, path)?;
        }
        self.write_results(&files.results)?;
        Ok(files)
    }

    /// Where [`Evaluation::write`] writes.
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

    /// Replaces the results file; there is never half of one.
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

fn write_samples(task: &TaskEvaluation, path: &Path) -> Result<(), BenchError> {
    let mut lines = String::new();
    for sample in &task.samples {
        lines.push_str(&serde_json::to_string(&sample_json(&task.task, sample))?);
        lines.push('\n');
    }
    std::fs::write(path, lines).map_err(not_written(path))
}

/// A name as part of a file's name: every run of characters that a file name should not hold becomes `__`, and so does a
/// name that is empty or leads to another folder.
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

/// Documents evaluated.
fn evaluated(task: &TaskEvaluation) -> usize {
    task.scores.first().map_or(0, |score| score.n)
}

fn task_results(task: &TaskEvaluation) -> Value {
    let name = &task.task.task;
    let mut results = Map::new();
    results.insert("name".to_owned(), json!(name));
    results.insert("alias".to_owned(), json!(task.task.task_alias.as_ref().unwrap_or(name)));
    results.insert("sample_len".to_owned(), json!(evaluated(task)));
    for score in &task.scores {
        let stderr = score.stderr.map_or_else(|| json!("N/A"), |stderr| json!(stderr));
        results.insert(score.key(), json!(score.value));
        results.insert(format!("{}_stderr,{}", score.metric.name(), score.filter), stderr);
    }
    Value::Object(results)
}

fn higher_is_better(task: &TaskEvaluation) -> Value {
    let metrics = task.task.metric_list.iter();
    Value::Object(
        metrics
            .map(|entry| (entry.metric.name().to_owned(), json!(entry.higher_is_better)))
            .collect(),
    )
}

/// SHA-256 of a document as indented JSON, as the original hashes it.
pub(crate) fn document_hash(document: &Document) -> String {
    sha256(&serde_json::to_string_pretty(document).expect("a map of JSON values is JSON"))
}

/// Hash over the hashes of all samples, so that two files can be seen to hold the same questions.
fn task_hash(task: &TaskEvaluation) -> String {
    let hashes = task.samples.iter().map(|sample| {
        document_hash(&sample.prompt.document)
            + &sha256(first_context(&sample.prompt.requests))
            + &sha256(&sample.prompt.target)
    });
    sha256(&hashes.collect::<String>())
}

fn first_context(requests: &Requests) -> &str {
    match requests {
        Requests::Choices(pairs) => pairs.first().map_or("", |pair| &pair.context),
        Requests::Text(request) => &request.context,
    }
}

/// A log-likelihood and its flag as Python prints them, which is how the original writes them.
fn score_json(score: &Loglikelihood) -> Value {
    let greedy = if score.is_greedy { "True" } else { "False" };
    json!([python_float(score.sum), greedy])
}

/// A number as Python prints it: always with a point or an exponent, the exponent signed and of two digits.
fn python_float(value: f64) -> String {
    let text = format!("{value:?}").to_lowercase();
    let parts = text.split_once('e');
    match parts.and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) => format!("{digits}e{exponent:+03}"),
        None => text,
    }
}

/// The task's own generation settings, or the original's where the task has none.
fn generation_json(task: &Task, request: &GenerationRequest) -> Value {
    let kwargs = &task.generation_kwargs;
    if *kwargs == GenerationKwargs::default() {
        return json!({
            "temperature": 0.0, "do_sample": false, "max_gen_toks": request.max_gen_toks, "until": request.until,
        });
    }
    let mut written = json!(kwargs);
    if kwargs.until.is_none() {
        written["until"] = json!(request.until);
    }
    written
}

fn arguments_json(task: &Task, requests: &Requests) -> Value {
    let arguments = match requests {
        Requests::Choices(pairs) => {
            let pair = |pair: &LoglikelihoodRequest| json!({"arg_0": &*pair.context, "arg_1": pair.continuation});
            pairs.iter().map(pair).collect()
        }
        Requests::Text(request) => vec![json!({"arg_0": request.context, "arg_1": generation_json(task, request)})],
    };
    let numbered = arguments.into_iter().enumerate();
    numbered
        .map(|(index, value)| (format!("gen_args_{index}"), value))
        .collect()
}

fn sample_json(task: &Task, sample: &Sample) -> Value {
    let prompt = &sample.prompt;
    let (responses, filtered): (Vec<Value>, Vec<Value>) = match &sample.answer {
        Answer::Choices(scores) => {
            let scores = scores.iter().map(score_json);
            (scores.clone().map(|score| json!([score])).collect(), scores.collect())
        }
        Answer::Text(text) => (vec![json!([text])], vec![json!(sample.filtered)]),
    };
    let metrics = sample.metrics.iter().map(|(metric, value)| (metric.name(), *value));
    let mut line = json!({
        "doc_id": prompt.doc_id,
        "doc": prompt.document,
        "target": prompt.target,
        "arguments": arguments_json(task, &prompt.requests),
        "resps": responses,
        "filtered_resps": filtered,
        "filter": sample.filter,
        "metrics": metrics.clone().map(|(name, _)| name).collect::<Vec<_>>(),
        "doc_hash": document_hash(&prompt.document),
        "prompt_hash": sha256(first_context(&prompt.requests)),
        "target_hash": sha256(&prompt.target),
    });
    for (name, value) in metrics {
        line[name] = json!(value);
    }
    line
}
