//! Results and samples on disk, in the layout of lm-evaluation-harness.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::journal::sha256;
use crate::{Answer, BenchError, Evaluation, Loglikelihood, Requests, Sample, TaskEvaluation};

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
        let per_task = |value: fn(&TaskEvaluation) -> Value| {
            Value::Object(
                self.tasks
                    .iter()
                    .map(|task| (task.task.task.clone(), value(task)))
                    .collect(),
            )
        };
        let options = &self.options.prompts;
        json!({
            "results": per_task(task_results),
            "group_subtasks": per_task(|_| json!([])),
            "configs": per_task(|task| serde_json::to_value(&task.task).unwrap_or(Value::Null)),
            "versions": per_task(|task| task.task.version()),
            "n-shot": per_task(|task| json!(task.num_fewshot)),
            "higher_is_better": per_task(higher_is_better),
            "n-samples": per_task(|task| json!({
                "original": task.documents,
                "effective": task.documents.min(task.samples.len() / task.task.filters().len()),
            })),
            "config": {
                "model": "kallm",
                "model_args": self.model.name,
                "model_num_parameters": self.model.num_parameters,
                "batch_size": self.options.batch_size,
                "limit": options.limit,
                "random_seed": 0,
                "numpy_seed": 1234,
                "torch_seed": 1234,
                "fewshot_seed": 1234,
            },
            "date": self.date,
            "llm_bench_version": env!("CARGO_PKG_VERSION"),
            "eot_token_id": self.model.eot_token_id,
            "max_length": self.model.max_length,
            "task_hashes": per_task(|task| json!(task_hash(task))),
            "model_source": "kallm",
            "model_name": self.model.name,
            "model_name_sanitized": sanitized(&self.model.name),
            "system_instruction": options.system_instruction,
            "system_instruction_sha": options.system_instruction.as_deref().map(sha256),
            "fewshot_as_multiturn": options.fewshot_as_multiturn,
            "apply_chat_template": options.apply_chat_template,
            "total_evaluation_time_seconds": self.seconds.to_string(),
        })
    }

    /// Writes `results_{date}.json` and, with `log_samples`, `samples_{task}_{date}.jsonl` into
    /// `directory/{model}`, which is created.
    ///
    /// # Errors
    /// When a folder or file cannot be written.
    pub fn write(&self, directory: &Path, log_samples: bool) -> Result<OutputFiles, BenchError> {
        let folder = directory.join(sanitized(&self.model.name));
        std::fs::create_dir_all(&folder).map_err(|source| BenchError::Write {
            path: folder.clone(),
            source,
        })?;
        let date = self.date.replace(':', "-");
        let results = folder.join(format!("results_{date}.json"));
        write(&results, serde_json::to_string_pretty(&self.to_json())?)?;
        let mut samples = Vec::new();
        for task in self.tasks.iter().filter(|_| log_samples) {
            let path = folder.join(format!("samples_{}_{date}.jsonl", task.task.task));
            let mut lines = String::new();
            for sample in &task.samples {
                lines.push_str(&serde_json::to_string(&sample_json(sample)?)?);
                lines.push('\n');
            }
            write(&path, lines)?;
            samples.push(path);
        }
        Ok(OutputFiles { results, samples })
    }
}

fn write(path: &Path, text: String) -> Result<(), BenchError> {
    std::fs::write(path, text).map_err(|source| BenchError::Write {
        path: path.to_owned(),
        source,
    })
}

/// A model's name as a folder: everything a file name should not hold becomes `_` pairs, as in the original.
fn sanitized(name: &str) -> String {
    let plain = |c: char| {
        if r#"":<>|\/?*[]"#.contains(c) {
            "__".to_owned()
        } else {
            c.to_string()
        }
    };
    name.chars().map(plain).collect()
}

fn task_results(task: &TaskEvaluation) -> Value {
    let mut results = Map::new();
    let alias = task.task.task_alias.as_ref().unwrap_or(&task.task.task);
    results.insert("alias".to_owned(), json!(alias));
    for score in &task.scores {
        let stderr = score.stderr.map_or_else(|| json!("N/A"), |stderr| json!(stderr));
        results.insert(score.key(), json!(score.value));
        results.insert(format!("{}_stderr,{}", score.metric.name(), score.filter), stderr);
    }
    results.insert(
        "sample_len".to_owned(),
        json!(task.scores.first().map_or(0, |score| score.n)),
    );
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

/// Hash over the hashes of all samples, so that two files can be seen to hold the same questions.
fn task_hash(task: &TaskEvaluation) -> String {
    let hashes = task.samples.iter().map(|sample| {
        let document = serde_json::to_string_pretty(&sample.prompt.document).unwrap_or_default();
        sha256(&document) + &sha256(first_context(&sample.prompt.requests)) + &sha256(&sample.prompt.target)
    });
    sha256(&hashes.collect::<String>())
}

fn first_context(requests: &Requests) -> &str {
    match requests {
        Requests::Choices(pairs) => pairs.first().map_or("", |pair| &pair.context),
        Requests::Text(request) => &request.context,
    }
}

fn score_json(score: &Loglikelihood) -> Value {
    // lm-evaluation-harness writes both as strings.
    let greedy = if score.is_greedy { "True" } else { "False" };
    json!([score.sum.to_string(), greedy])
}

fn arguments_json(requests: &Requests) -> Map<String, Value> {
    match requests {
        Requests::Choices(pairs) => {
            let argument = |(i, pair): (usize, &crate::LoglikelihoodRequest)| {
                (
                    format!("gen_args_{i}"),
                    json!({"arg_0": pair.context, "arg_1": pair.continuation}),
                )
            };
            pairs.iter().enumerate().map(argument).collect()
        }
        Requests::Text(request) => {
            let kwargs = json!({"until": request.until, "do_sample": false, "max_gen_toks": request.max_gen_toks});
            [(
                "gen_args_0".to_owned(),
                json!({"arg_0": request.context, "arg_1": kwargs}),
            )]
            .into_iter()
            .collect()
        }
    }
}

fn sample_json(sample: &Sample) -> Result<Value, BenchError> {
    let prompt = &sample.prompt;
    let (resps, filtered) = match &sample.answer {
        Answer::Choices(scores) => (
            scores
                .iter()
                .map(|score| json!([score_json(score)]))
                .collect::<Vec<_>>(),
            scores.iter().map(score_json).collect::<Vec<_>>(),
        ),
        Answer::Text(text) => (vec![json!([text])], vec![json!(sample.filtered)]),
    };
    let mut line = json!({
        "doc_id": prompt.doc_id,
        "doc": prompt.document,
        "target": prompt.target,
        "arguments": arguments_json(&prompt.requests),
        "resps": resps,
        "filtered_resps": filtered,
        "filter": sample.filter,
        "metrics": sample.metrics.iter().map(|(metric, _)| metric.name()).collect::<Vec<_>>(),
        "doc_hash": sha256(&serde_json::to_string_pretty(&prompt.document)?),
        "prompt_hash": sha256(first_context(&prompt.requests)),
        "target_hash": sha256(&prompt.target),
    });
    if let Value::Object(fields) = &mut line {
        fields.extend(
            sample
                .metrics
                .iter()
                .map(|(metric, value)| (metric.name().to_owned(), json!(value))),
        );
    }
    Ok(line)
}
