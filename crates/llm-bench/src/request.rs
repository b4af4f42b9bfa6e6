//! Requests to a model and its answers. [`Requests`] and [`Answer`] have one variant per method of
//! [`LanguageModel`](crate::LanguageModel); the form of a task determines which is used.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::BenchError;

/// One turn of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// The text of the turn, before the chat template is applied.
    pub content: String,
}

/// The text before the answer, and the special tokens in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatPrompt {
    /// The turns as one string, special tokens spelled out.
    pub text: String,
    /// Byte ranges of the special tokens that the chat template inserted, in order. Everything else is plain text, even
    /// if a document spells out a special token.
    pub special: Vec<Range<usize>>,
}

/// A request for the log-likelihood of a continuation of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoglikelihoodRequest {
    /// The text before the continuation; not scored. The requests of a document share it.
    #[serde(serialize_with = "shared_text")]
    pub context: Arc<str>,
    /// Byte ranges of the context's special tokens, as in [`ChatPrompt`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<Range<usize>>,
    /// The text to score, including its leading delimiter.
    pub continuation: String,
}

fn shared_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// How the tokens of a generated text are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sampling {
    /// Divides the logits; above 0.
    pub temperature: f64,
    /// Tokens are drawn from the smallest set of most probable tokens with at least this total probability; 1 for all.
    pub top_p: f64,
    /// Tokens are drawn from this many of the most probable ones; 0 for all.
    pub top_k: usize,
    /// Index of this text among those of one question, from 0. Each is drawn independently.
    pub draw: usize,
}

/// A request for generated text after a context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerationRequest {
    /// Everything before the answer.
    pub context: String,
    /// Byte ranges of the context's special tokens, as in [`ChatPrompt`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<Range<usize>>,
    /// Stop strings; the text is cut before the first one.
    pub until: Vec<String>,
    /// Most tokens to generate.
    pub max_gen_toks: usize,
    /// How tokens are drawn; greedy when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Number of texts wanted. A model is asked for one at a time.
    #[serde(skip_serializing_if = "is_one")]
    pub repeats: usize,
}

fn is_one(repeats: &usize) -> bool {
    *repeats == 1
}

impl GenerationRequest {
    /// One request per text to generate; only one if greedy, because the text is always the same.
    pub(crate) fn draws(&self) -> Vec<Self> {
        let draws = match self.sampling {
            None => 1,
            Some(_) => self.repeats.max(1),
        };
        let texts = (0..draws).map(|draw| Self {
            sampling: self.sampling.map(|sampling| Sampling { draw, ..sampling }),
            repeats: 1,
            ..self.clone()
        });
        texts.collect()
    }
}

/// The requests of one document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Requests {
    /// [`loglikelihood`](crate::LanguageModel::loglikelihood), one request per choice.
    Choices(Vec<LoglikelihoodRequest>),
    /// [`generate_until`](crate::LanguageModel::generate_until), one text or several.
    Text(GenerationRequest),
    /// [`loglikelihood_rolling`](crate::LanguageModel::loglikelihood_rolling), the whole text.
    Rolling(String),
}

impl Requests {
    /// Continuations of one question.
    pub(crate) fn continuations(question: &str, continuations: impl Iterator<Item = String>) -> Self {
        let context: Arc<str> = question.into();
        Self::Choices(continuations.map(|text| unframed(context.clone(), text)).collect())
    }

    /// One continuation after each of several questions.
    pub(crate) fn contexts(questions: &[String], continuation: &str) -> Self {
        let requests = questions
            .iter()
            .map(|question| unframed(question.as_str().into(), continuation.to_owned()));
        Self::Choices(requests.collect())
    }

    /// Replaces every question by the prompt that `frame` builds from it. A question shared by several requests is
    /// framed once.
    pub(crate) fn framed(self, frame: impl Fn(&str) -> Result<ChatPrompt, BenchError>) -> Result<Self, BenchError> {
        match self {
            Self::Choices(requests) => framed_choices(requests, &frame).map(Self::Choices),
            Self::Text(request) => {
                let ChatPrompt { text, special } = frame(&request.context)?;
                Ok(Self::Text(GenerationRequest {
                    context: text,
                    special,
                    ..request
                }))
            }
            Self::Rolling(text) => Ok(Self::Rolling(text)),
        }
    }

    /// Bytes of the longest text that the model reads, as an estimate of its number of tokens.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Choices(requests) => {
                let lengths = requests
                    .iter()
                    .map(|request| request.context.len() + request.continuation.len());
                lengths.max().unwrap_or(0)
            }
            Self::Text(request) => request.context.len(),
            Self::Rolling(text) => text.len(),
        }
    }

    /// Adds continuations without a context.
    pub(crate) fn with_unconditional(self, continuations: Vec<String>) -> Self {
        match self {
            Self::Choices(mut requests) if !continuations.is_empty() => {
                let nothing: Arc<str> = "".into();
                requests.extend(continuations.into_iter().map(|text| unframed(nothing.clone(), text)));
                Self::Choices(requests)
            }
            other => other,
        }
    }

    /// The first context, which identifies the prompt in samples files.
    pub fn first_context(&self) -> &str {
        match self {
            Self::Choices(requests) => requests.first().map_or("", |request| &request.context),
            Self::Text(request) => &request.context,
            Self::Rolling(text) => text,
        }
    }
}

fn unframed(context: Arc<str>, continuation: String) -> LoglikelihoodRequest {
    LoglikelihoodRequest {
        context,
        special: Vec::new(),
        continuation,
    }
}

fn framed_choices(
    mut requests: Vec<LoglikelihoodRequest>,
    frame: &impl Fn(&str) -> Result<ChatPrompt, BenchError>,
) -> Result<Vec<LoglikelihoodRequest>, BenchError> {
    let mut last: Option<(Arc<str>, LoglikelihoodRequest)> = None;
    for request in &mut requests {
        let question = request.context.clone();
        match &last {
            Some((earlier, framed)) if Arc::ptr_eq(earlier, &question) => {
                (request.context, request.special) = (framed.context.clone(), framed.special.clone());
            }
            _ => {
                let ChatPrompt { text, special } = frame(&question)?;
                (request.context, request.special) = (text.into(), special);
                last = Some((question, request.clone()));
            }
        }
    }
    Ok(requests)
}

/// Log-likelihood of a continuation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loglikelihood {
    /// Sum of the natural log-probabilities of the continuation's tokens.
    #[serde(with = "number")]
    pub sum: f64,
    /// Whether every token of the continuation is the model's most likely one.
    pub is_greedy: bool,
}

/// The model's answer to a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// One score per choice.
    Choices(Vec<Loglikelihood>),
    /// The generated text, cut at its stop.
    Text(String),
    /// The generated texts, where more than one is wanted.
    Texts(Vec<String>),
    /// Sum of the natural log-probabilities of all tokens of a text.
    Rolling(#[serde(with = "number")] f64),
}

/// Writes infinity, which JSON does not have, as text: a continuation that the model excludes has log-likelihood
/// minus infinity.
mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else {
            serializer.collect_str(value)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}
