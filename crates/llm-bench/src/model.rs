//! [`LanguageModel`]: the interface of a model that can be evaluated.

use serde::{Deserialize, Serialize};

use crate::{BenchError, ChatPrompt, GenerationRequest, Loglikelihood, LoglikelihoodRequest, Turn};

/// The description of a model in a results file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// Name or path.
    pub name: String,
    /// Longest sequence that it accepts, in tokens, prompt and answer together.
    pub max_length: usize,
    /// The token that ends a text.
    pub eot_token_id: Option<u32>,
    /// Total number of parameters.
    pub num_parameters: Option<usize>,
    /// Type of the weights in memory, such as `f32`.
    pub dtype: Option<String>,
    /// The device that it runs on.
    pub device: Option<String>,
    /// Text and id of the padding token.
    pub pad_token: Option<(String, u32)>,
    /// Text and id of the token that ends a turn or a text.
    pub eos_token: Option<(String, u32)>,
    /// Text and id of the token that begins a text.
    pub bos_token: Option<(String, u32)>,
    /// The chat template's source.
    pub chat_template: Option<String>,
}

/// A language model under evaluation.
pub trait LanguageModel {
    /// Scores continuations; one result per request, in order. The requests of a document are consecutive, so an
    /// implementation can compute a shared context once.
    ///
    /// # Errors
    /// [`BenchError::Request`] for an empty continuation, [`BenchError::Model`] if the model fails.
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError>;

    /// Generates one text per request, in order, cut before the first stop string. Greedy unless the request sets a
    /// sampling.
    ///
    /// # Errors
    /// [`BenchError::Model`] if the model fails.
    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError>;

    /// Log-likelihoods of complete texts, in nats; one per text, in order. The first token is predicted from the
    /// model's beginning token. A text longer than the model's longest sequence is scored in pieces: each token belongs
    /// to exactly one piece, and is predicted from as much of the preceding text as fits in it. Needed only by tasks of
    /// `output_type: loglikelihood_rolling`.
    ///
    /// # Errors
    /// [`BenchError::Model`] if the model fails. The default implementation always returns it.
    fn loglikelihood_rolling(&mut self, _texts: &[String]) -> Result<Vec<f64>, BenchError> {
        Err(BenchError::Model("it does not score whole texts".into()))
    }

    /// Renders turns as one text in the model's chat format; `add_generation_prompt` opens the assistant's next turn.
    ///
    /// # Errors
    /// [`BenchError::Model`] if the model has no chat template, or the template rejects the turns.
    fn apply_chat_template(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<ChatPrompt, BenchError>;

    /// The description of the model for the results file.
    fn description(&self) -> ModelDescription;

    /// An identifier that changes whenever the model's answers could change: a digest of the weights and of the
    /// settings that go with them. It identifies the model in results, and a journal keeps the answers of different
    /// fingerprints apart, whatever the models are called. Called once per evaluation.
    fn fingerprint(&self) -> String;
}

/// Cuts a text before the first occurrence of every stop string, as lm-evaluation-harness does after decoding.
pub fn cut_at_stops(text: &str, stops: &[String]) -> String {
    let mut text = text;
    for stop in stops.iter().filter(|stop| !stop.is_empty()) {
        text = text.find(stop.as_str()).map_or(text, |start| &text[..start]);
    }
    text.to_owned()
}
