//! The types of the keys of a task file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Document;

/// `doc_to_choice`: a template that yields a list, or the list itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "doc_to_choice: a template or a list of texts is expected")]
pub enum ChoiceField {
    /// One template whose value is a list of strings.
    Template(String),
    /// The choices, which are not templates.
    List(Vec<String>),
}

/// `doc_to_target`: a template, or the index of the right choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "doc_to_target: an index or a template is expected; several right answers are a template that yields a list"
)]
pub enum TargetField {
    /// The same index for every document.
    Index(usize),
    /// A template that yields an index, one of the choices, or the expected text or texts.
    Template(String),
}

/// How few-shot examples are drawn from their pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FewshotSampler {
    /// At random, by CPython's `random.Random(1234).sample`, one state running over all documents.
    #[default]
    Default,
    /// The first rows of the pool, the same for every document.
    FirstN,
}

/// Examples that come from no split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "samples: a list of documents, or `file: NAME` is expected")]
pub enum Samples {
    /// Written out.
    List(Vec<Document>),
    /// The lines of a file.
    File(SamplesFile),
}

/// Published examples that are read from the data root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplesFile {
    /// Name of the file `ROOT/fewshot/<name>.jsonl`.
    pub file: String,
    /// Who published the examples: what an error says when the file is absent.
    pub source: String,
}

/// `fewshot_config`: where examples come from, and keys of the task that differ for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FewshotConfig {
    /// How examples are drawn.
    #[serde(default)]
    pub sampler: FewshotSampler,
    /// Replaces the task's `fewshot_split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// The examples themselves, where no split is named; no processor rewrites them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
    /// The question of an example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_text: Option<String>,
    /// The choices of an example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_choice: Option<ChoiceField>,
    /// The answer of an example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_to_target: Option<TargetField>,
    /// How the answer of an example begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gen_prefix: Option<String>,
    /// Between the question and the answer of an example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_delimiter: Option<String>,
    /// After an example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewshot_delimiter: Option<String>,
}

/// `dataset_kwargs`: further arguments of Python's `load_dataset`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetKwargs {
    /// No effect: no code of a data set is run here, nor by `datasets` from version 4 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_remote_code: Option<bool>,
    /// The file of each split, relative to the data root; `dataset_path` and `dataset_name` do not matter then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_files: Option<BTreeMap<String, StringOrList>>,
}

/// A string, or a list of strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StringOrList {
    /// One string.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl StringOrList {
    /// The strings.
    pub(crate) fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(s) => vec![s.clone()],
            Self::Many(list) => list.clone(),
        }
    }
}

/// Tokens generated at most when a task does not say.
const DEFAULT_MAX_GEN_TOKS: usize = 256;

/// `generation_kwargs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationKwargs {
    /// Strings that end the text; the few-shot delimiter when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<StringOrList>,
    /// Whether tokens are drawn; when absent they are if the temperature is above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// Divides the logits before a token is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Tokens are drawn from the smallest set with this probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Tokens are drawn from so many of the most probable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Must be 1: there is no beam search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_beams: Option<usize>,
    /// Tokens generated at most; 256 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gen_toks: Option<usize>,
    /// Another name for `max_gen_toks`, which goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
}

impl GenerationKwargs {
    /// Tokens generated at most.
    pub(crate) fn longest(&self) -> usize {
        self.max_gen_toks
            .or(self.max_new_tokens)
            .unwrap_or(DEFAULT_MAX_GEN_TOKS)
    }

    /// Whether tokens are drawn.
    pub(crate) fn samples(&self) -> bool {
        self.do_sample
            .unwrap_or_else(|| self.temperature.is_some_and(|temperature| temperature > 0.0))
    }

    /// These settings with others in their place, as the command line gives them.
    ///
    /// # Errors
    /// Names a setting that is unknown or of another type.
    pub(crate) fn updated(&self, settings: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut keys = serde_json::to_value(self)?;
        if let Value::Object(keys) = &mut keys {
            keys.extend(settings.clone());
        }
        serde_json::from_value(keys)
    }
}
