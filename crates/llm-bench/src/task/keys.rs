//! The types of the keys of a task file.

use serde::{Deserialize, Serialize};

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

/// `fewshot_config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FewshotConfig {
    /// How examples are drawn.
    #[serde(default)]
    pub sampler: FewshotSampler,
    /// Replaces the task's `fewshot_split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
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

/// `generation_kwargs`. Decoding is greedy: a task that asks for sampling is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationKwargs {
    /// Strings that end the text; the few-shot delimiter when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<StringOrList>,
    /// Must be false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub do_sample: Option<bool>,
    /// Must be 0 when present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Tokens generated at most; 256 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gen_toks: Option<usize>,
}
