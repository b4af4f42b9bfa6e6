//! [`Judged`]: an engine in the form that llm-bench evaluates.

mod encoding;
mod fingerprint;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::backend::Backend;
use llm_bench::{
    BenchError, ChatPrompt, GenerationRequest, LanguageModel, Loglikelihood, LoglikelihoodRequest, ModelDescription,
    Turn, cut_at_stops,
};
use sha2::{Digest, Sha256};
use smollm2_infer::{Decoder, Engine, GenerationConfig, InferError, Sampling, ScoreRequest};
use smollm2_model::DecoderBackend;
use smoltalk_data::{ChatTokenizer, Message, Rendered};

use encoding::{encode, pieces};

/// An engine under evaluation. Scores contexts in batches and generates texts.
pub struct Judged<B: Backend> {
    engine: Engine<B>,
    name: String,
    batch_size: usize,
    scored: usize,
    seconds: f64,
}

impl<B: DecoderBackend> Judged<B> {
    /// Wraps an engine; `name` identifies it in results.
    pub fn new(name: impl Into<String>, engine: Engine<B>) -> Self {
        Self {
            engine,
            name: name.into(),
            batch_size: 8,
            scored: 0,
            seconds: 0.0,
        }
    }

    /// Contexts in one forward pass, at least 1. Scores do not depend on it. Default 8.
    pub fn with_batch_size(mut self, contexts: usize) -> Self {
        self.batch_size = contexts.max(1);
        self
    }

    /// Log-likelihood requests answered per second, encoding included; `None` before the first.
    pub fn requests_per_second(&self) -> Option<f64> {
        (self.scored > 0).then(|| self.scored as f64 / self.seconds)
    }

    /// Ids of a text with special tokens at the byte ranges `special`.
    fn token_ids(&self, text: &str, special: &[Range<usize>]) -> Result<Vec<u32>, BenchError> {
        let rendered = Rendered {
            text: text.to_owned(),
            special: special.to_vec(),
        };
        self.engine.tokenizer().encode_rendered(&rendered).map_err(failed)
    }

    /// The requests of each document, which share a context, as ids.
    fn encode(&self, requests: &[LoglikelihoodRequest]) -> Result<Vec<ScoreRequest>, BenchError> {
        let (bos, most) = (self.engine.tokenizer().bos_id(), self.engine.max_length());
        let (mut encoded, mut first) = (Vec::new(), 0);
        for document in requests.chunk_by(are_of_one_document) {
            let ids = encode(first, document, bos, |text, special| self.token_ids(text, special))?;
            if let Some(long) = ids.continuations.iter().position(|ids| ids.len() > most) {
                return Err(BenchError::Request {
                    index: first + long,
                    problem: format!("{} tokens to score, at most {most}", ids.continuations[long].len()),
                });
            }
            first += document.len();
            encoded.push(ids);
        }
        Ok(encoded)
    }

    /// The prompt's ids, cut on the left so that the longest answer fits after them.
    fn prompt(&self, index: usize, request: &GenerationRequest) -> Result<Vec<u32>, BenchError> {
        let most = self.engine.max_length();
        if request.max_gen_toks >= most {
            return Err(BenchError::Request {
                index,
                problem: format!(
                    "max_gen_toks is {}, which leaves a prompt no room in {most} tokens",
                    request.max_gen_toks
                ),
            });
        }
        let ids = self.token_ids(&request.context, &request.special)?;
        if ids.is_empty() {
            return Ok(vec![self.engine.tokenizer().bos_id()]);
        }
        let start = ids.len().saturating_sub(most - request.max_gen_toks);
        Ok(ids[start..].to_vec())
    }

    /// Up to a stop string or the end of a text, as lm-evaluation-harness decides it: the end of a turn
    /// alone does not stop it.
    fn settings(&self, request: &GenerationRequest) -> GenerationConfig {
        let mut stop_ids = self.engine.model().config().eos_token_ids.clone();
        stop_ids.push(self.engine.tokenizer().eos_id());
        let stops = request.until.iter().filter(|stop| !stop.is_empty());
        GenerationConfig {
            max_new_tokens: request.max_gen_toks,
            sampling: request.sampling.map_or(Sampling::Greedy, |drawn| Sampling::Sample {
                temperature: drawn.temperature,
                top_k: drawn.top_k,
                top_p: drawn.top_p,
                min_p: 0.0,
            }),
            stream: request.sampling.map_or(0, |drawn| stream(&request.context, drawn.draw)),
            stop_ids,
            stop_strings: stops.cloned().collect(),
            ..Default::default()
        }
    }
}

impl<B: DecoderBackend> LanguageModel for Judged<B> {
    fn loglikelihood(&mut self, requests: &[LoglikelihoodRequest]) -> Result<Vec<Loglikelihood>, BenchError> {
        let start = Instant::now();
        let encoded = self.encode(requests)?;
        let scores = self.engine.score(&encoded, self.batch_size).map_err(failed)?;
        self.scored += requests.len();
        self.seconds += start.elapsed().as_secs_f64();
        let likelihoods = scores.iter().flatten().map(|score| Loglikelihood {
            sum: score.sum(),
            is_greedy: score.is_greedy(),
        });
        Ok(likelihoods.collect())
    }

    fn generate_until(&mut self, requests: &[GenerationRequest]) -> Result<Vec<String>, BenchError> {
        let prompts = requests.iter().enumerate();
        let prompts = prompts.map(|(index, request)| self.prompt(index, request));
        let prompts: Vec<Vec<u32>> = prompts.collect::<Result<_, _>>()?;
        let mut decoder = Decoder::new(&self.engine);
        for (prompt, request) in prompts.iter().zip(requests) {
            decoder.admit(prompt, &self.settings(request)).map_err(failed)?;
        }
        let mut answers = vec![Vec::new(); requests.len()];
        while !decoder.is_idle() {
            for event in decoder.step().map_err(not_a_number)? {
                answers[event.row].push(event.token);
            }
        }
        let texts = answers.iter().zip(requests).map(|(ids, request)| {
            let text = self.engine.tokenizer().decode(ids).map_err(failed)?;
            Ok(cut_at_stops(&text, &request.until))
        });
        texts.collect()
    }

    fn loglikelihood_rolling(&mut self, texts: &[String]) -> Result<Vec<f64>, BenchError> {
        let (bos, most) = (self.engine.tokenizer().bos_id(), self.engine.max_length());
        let (mut requests, mut counts) = (Vec::new(), Vec::new());
        for text in texts {
            let pieces = pieces(&self.token_ids(text, &[])?, bos, most);
            counts.push(pieces.len());
            requests.extend(pieces);
        }
        let scores = self.engine.score(&requests, self.batch_size).map_err(failed)?;
        let mut sums = scores.iter().flatten().map(|score| score.sum());
        Ok(counts
            .into_iter()
            .map(|count| sums.by_ref().take(count).sum())
            .collect())
    }

    fn apply_chat_template(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<ChatPrompt, BenchError> {
        chat_prompt(self.engine.tokenizer(), turns, add_generation_prompt)
    }

    fn description(&self) -> ModelDescription {
        let (model, tokenizer) = (self.engine.model(), self.engine.tokenizer());
        let [pad_token, eos_token, bos_token] = [tokenizer.pad_id(), tokenizer.eos_id(), tokenizer.bos_id()]
            .map(|id| tokenizer.token(id).map(|text| (text, id)));
        ModelDescription {
            name: self.name.clone(),
            max_length: self.engine.max_length(),
            eot_token_id: Some(tokenizer.eos_id()),
            num_parameters: Some(model.num_parameters()),
            dtype: Some(model.output_embedding().dtype().name().to_owned()),
            device: Some(format!("{:?}", model.device())),
            pad_token,
            eos_token,
            bos_token,
            chat_template: Some(tokenizer.template().source().to_owned()),
        }
    }

    fn fingerprint(&self) -> String {
        fingerprint::of(&self.engine)
    }
}

/// Each text of each question has its own random draws, which depend neither on the batch nor on the Rust version.
fn stream(context: &str, draw: usize) -> u64 {
    let digest = Sha256::digest(format!("{draw} {context}"));
    digest[..8]
        .iter()
        .fold(0, |stream, byte| stream << 8 | u64::from(*byte))
}

/// Renders turns in the chat template of a tokenizer, as [`Judged`] does. [`check_tasks`](llm_bench::check_tasks) needs
/// only this and the longest sequence of a model.
///
/// # Errors
/// [`BenchError::Model`] when the template refuses the turns.
pub fn chat_prompt(
    tokenizer: &ChatTokenizer,
    turns: &[Turn],
    add_generation_prompt: bool,
) -> Result<ChatPrompt, BenchError> {
    let messages: Vec<Message> = turns
        .iter()
        .map(|turn| Message::new(turn.role, turn.content.clone()))
        .collect();
    let rendered = tokenizer.apply_chat_template(&messages, add_generation_prompt);
    let Rendered { text, special } = rendered.map_err(failed)?;
    Ok(ChatPrompt { text, special })
}

/// Groups the requests of a document, which share its context. Documents with equal text stay separate, so that nothing
/// depends on how documents are batched.
fn are_of_one_document(a: &LoglikelihoodRequest, b: &LoglikelihoodRequest) -> bool {
    !a.context.is_empty() && Arc::ptr_eq(&a.context, &b.context) && a.special == b.special
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> BenchError {
    BenchError::Model(Box::new(error))
}

/// Rows of the decoder are the requests, in their order.
fn not_a_number(error: InferError) -> BenchError {
    match error {
        InferError::NotANumber { row, step } => BenchError::Request {
            index: row,
            problem: format!(
                "the logits of generated token {} are not all numbers; check the model's weights, or load it in a type \
                 with a larger range",
                step + 1
            ),
        },
        other => failed(other),
    }
}
