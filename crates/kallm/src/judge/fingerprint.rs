//! A digest of everything that determines a model's answers.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use sha2::{Digest, Sha256};
use smollm2_infer::Engine;
use smollm2_model::DecoderBackend;

/// Weights, configuration, longest sequence, and how the tokenizer cuts a text. Chat templates are part of requests.
pub(super) fn of<B: DecoderBackend>(engine: &Engine<B>) -> String {
    let (config, tokenizer) = (engine.model().config(), engine.tokenizer());
    let mut digest = Sha256::new();
    digest.update(format!("{config:?} {} ", engine.max_length()));
    digest.update(tokenizer.specification());
    let (bos, stops, special) = (
        tokenizer.bos_id(),
        tokenizer.stop_ids(),
        tokenizer.special_tokens_in_text(),
    );
    digest.update(format!("{bos} {stops:?} {special} "));
    let mut weights = Weights(digest);
    engine.model().visit(&mut weights);
    weights.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Visits one parameter at a time, so that the model is never copied as a whole.
struct Weights(Sha256);

impl<B: DecoderBackend> ModuleVisitor<B> for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let data = param.val().into_data();
        self.0.update(format!("{:?} {:?} ", data.shape, data.dtype));
        self.0.update(data.as_bytes());
    }
}
