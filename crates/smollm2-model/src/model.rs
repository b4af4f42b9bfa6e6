//! The model: embedding, blocks, output projection.
//!
//! B batch, T tokens, N = B·T rows, D hidden, V vocab.

mod attention;
mod block;
mod cache;
mod configuration;
mod context;
mod feed_forward;
mod functions;
mod norm;
mod packing;
mod parameters;
mod projection;
mod rotary;
mod scores;

pub use block::Block;
pub use cache::KvCache;
pub use context::{ForwardContext, SequenceLayout};
pub(crate) use feed_forward::{FeedForward, GatedRational};
pub use functions::RationalFunction;
pub use packing::Branched;
pub use parameters::ParameterPath;
pub(crate) use projection::Projection;
pub use scores::TokenScore;
pub(crate) use scores::{LOGIT_ROWS, gather};

use burn::{
    module::{Initializer, Module, ModuleMapper, Param},
    nn::{Embedding, EmbeddingConfig},
    tensor::{
        Int, Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};

use crate::{DecoderBackend, SmolLm2Config};
use context::document_mask;
use norm::RmsNorm;
use rotary::RotaryTable;

/// A SmolLM2 language model with its configuration. Created by [`SmolLm2Config::init`] or loaded by `weights::load`.
///
/// Fields carry Hugging Face's names, so that a parameter's path in the module is its name in a checkpoint; see
/// [`ParameterPath`].
#[derive(Module, Debug)]
pub struct SmolLm2<B: Backend> {
    /// Everything below the output projection.
    pub(crate) model: Decoder<B>,
    /// Output projection, `[D, V]`; `None` when it is the embedding transposed.
    lm_head: Option<Projection<B>>,
    rotary: RotaryTable<B>,
    #[module(skip)]
    config: SmolLm2Config,
}

/// Embedding, blocks and last norm: `LlamaModel` in `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub(crate) struct Decoder<B: Backend> {
    /// Token embedding, `[V, D]`.
    embed_tokens: Embedding<B>,
    /// Blocks, first to last.
    pub(crate) layers: Vec<Block<B>>,
    /// Norm after the last block.
    norm: RmsNorm<B>,
}

/// Marks every parameter as requiring a gradient, which those of a model loaded without gradients do not.
struct Track;

impl<B: Backend> ModuleMapper<B> for Track {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.set_require_grad(true)
    }
}

impl<B: DecoderBackend> SmolLm2<B> {
    pub(crate) fn new(config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, v, std) = (config.hidden_size, config.vocab_size, config.initializer_range);
        let embedding = EmbeddingConfig::new(v, d).with_initializer(Initializer::Normal { mean: 0.0, std });
        Self {
            model: Decoder {
                embed_tokens: embedding.init(device),
                layers: config
                    .feed_forward
                    .iter()
                    .map(|kind| Block::new(config, kind, device))
                    .collect(),
                norm: RmsNorm::new(d, config.rms_norm_eps, device),
            },
            lm_head: (!config.tie_word_embeddings).then(|| Projection::new(d, v, std, device)),
            rotary: RotaryTable::new(
                config.max_position_embeddings,
                config.head_dim,
                config.rope_theta,
                device,
            ),
            config: config.clone(),
        }
    }

    /// The same weights on a backend that tracks gradients. Tensors are wrapped, not copied, and keep their element
    /// type.
    ///
    /// ```
    /// use burn::{backend::{Autodiff, Flex}, module::AutodiffModule};
    /// use smollm2_model::SmolLm2Config;
    ///
    /// let mut config = SmolLm2Config::smollm2_135m();
    /// (config.vocab_size, config.num_hidden_layers) = (64, 1);
    /// config.feed_forward.truncate(1);
    /// let model = config.init::<Flex>(&Default::default())?.tracked::<Autodiff<Flex>>();
    /// assert!(model.output_embedding().is_require_grad());
    /// let back = model.valid();
    /// # let _ = back;
    /// # Ok::<(), smollm2_model::ModelError>(())
    /// ```
    pub fn tracked<AB: AutodiffBackend<InnerBackend = B>>(self) -> SmolLm2<AB> {
        self.train::<AB>().map(&mut Track)
    }

    /// Logits of the next token at every position.
    ///
    /// # Shapes
    /// - `ids`: `[B, T]`, ids below V
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When T exceeds `max_position_embeddings`, or a tensor of `layout` is not `[B, T]`.
    pub fn forward(&self, ids: Tensor<B, 2, Int>, layout: &SequenceLayout<B>) -> Tensor<B, 3> {
        self.logits(self.hidden(ids, layout))
    }

    /// Hidden states after the last norm: what [`SmolLm2::logits`] projects.
    ///
    /// # Shapes
    /// - `ids`: `[B, T]`
    /// - output: `[B, T, D]`
    ///
    /// # Panics
    /// As [`SmolLm2::forward`].
    pub fn hidden(&self, ids: Tensor<B, 2, Int>, layout: &SequenceLayout<B>) -> Tensor<B, 3> {
        let context = self.context(&ids, layout);
        self.run(ids, &context, None, |_| {})
    }

    /// Every hidden state, as `output_hidden_states` of `transformers` returns them: the embedding, the output of every
    /// block but the last, and the last norm's output; layers + 1 tensors.
    ///
    /// # Shapes
    /// - `ids`: `[B, T]`
    /// - each output: `[B, T, D]`
    ///
    /// # Panics
    /// As [`SmolLm2::forward`].
    pub fn hidden_states(&self, ids: Tensor<B, 2, Int>, layout: &SequenceLayout<B>) -> Vec<Tensor<B, 3>> {
        let [batch, tokens] = ids.dims();
        let context = self.context(&ids, layout);
        let mut states = Vec::with_capacity(self.model.layers.len() + 1);
        let last = self.run(ids, &context, None, |input: &Tensor<B, 2>| {
            let channels = input.dims()[1];
            states.push(input.clone().reshape([batch, tokens, channels])); // [B, T, D]
        });
        states.push(last);
        states
    }

    /// Hidden states after the last norm of `ids`, which continue the tokens in `cache`; they are added to it.
    ///
    /// # Shapes
    /// - `ids`: `[B, T]`
    /// - output: `[B, T, D]`
    ///
    /// # Panics
    /// When the batch is not the cache's, or the tokens exceed its capacity or `max_position_embeddings`.
    pub fn forward_cached(&self, ids: Tensor<B, 2, Int>, cache: &mut KvCache<B>) -> Tensor<B, 3> {
        let [batch, tokens] = ids.dims();
        let (seen, capacity) = (cache.len(), cache.capacity());
        assert_eq!(batch, cache.batch(), "rows of ids and rows of the cache");
        assert!(
            seen + tokens <= capacity,
            "{seen} + {tokens} tokens in a cache of {capacity}"
        );
        let rotation = match cache.positions(tokens) {
            Some(positions) => self.rotary.gather(positions),
            None => self.rotary.range(seen, tokens),
        };
        let context = ForwardContext {
            rotation,
            mask: cache.mask(tokens),
            packing: None,
        };
        let hidden = self.run(ids, &context, Some(cache), |_| {});
        cache.advance(tokens);
        hidden
    }

    /// Projects hidden states onto the vocabulary.
    ///
    /// # Shapes
    /// - `hidden`: `[B, T, D]`
    /// - output: `[B, T, V]`
    pub fn logits(&self, hidden: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, tokens, channels] = hidden.dims();
        let rows = hidden.reshape([batch * tokens, channels]); // [N, D]
        // The transposes are views: a tied embedding is never copied.
        let logits = match &self.lm_head {
            Some(head) => head.forward(rows),                                      // [N, V]
            None => rows.matmul(self.model.embed_tokens.weight.val().transpose()), // [N, V]
        };
        let vocab = logits.dims()[1];
        logits.reshape([batch, tokens, vocab]) // [B, T, V]
    }

    /// Weight of the output projection, `[V, D]`: the embedding when it is tied. A view, not a copy.
    pub fn output_embedding(&self) -> Tensor<B, 2> {
        match &self.lm_head {
            Some(head) => head.stored(),                  // [V, D]
            None => self.model.embed_tokens.weight.val(), // [V, D]
        }
    }

    /// What the blocks need to know of `ids` and `layout`; computed once, shared by all layers.
    ///
    /// With [`SmolLm2::embed`] and the [`blocks`](SmolLm2::blocks) this runs the model block by block.
    pub fn context(&self, ids: &Tensor<B, 2, Int>, layout: &SequenceLayout<B>) -> ForwardContext<B> {
        let rotation = match &layout.positions {
            Some(positions) => self.rotary.gather(positions.clone()),
            None => self.rotary.range(0, ids.dims()[1]),
        };
        ForwardContext {
            rotation,
            mask: layout.documents.clone().map(document_mask),
            packing: None,
        }
    }

    /// The blocks, first to last.
    pub fn blocks(&self) -> &[Block<B>] {
        &self.model.layers
    }

    /// Embeddings of `ids: [B, T]`, `[B, T, D]`: the input of the first block.
    pub fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        self.model.embed_tokens.forward(ids)
    }

    /// All blocks and the last norm; `inspect` sees the input of every block.
    fn run(
        &self,
        ids: Tensor<B, 2, Int>,
        context: &ForwardContext<B>,
        mut cache: Option<&mut KvCache<B>>,
        mut inspect: impl FnMut(&Tensor<B, 2>),
    ) -> Tensor<B, 3> {
        let [batch, tokens] = ids.dims();
        let x = self.embed(ids); // [B, T, D]
        let channels = x.dims()[2];
        let mut x = x.reshape([batch * tokens, channels]); // [N, D]
        for (index, block) in self.model.layers.iter().enumerate() {
            inspect(&x);
            let layer = cache.as_mut().map(|cache| cache.layer(index));
            x = block.forward_rows(x, batch, context, layer); // [N, D]
        }
        self.model.norm.forward(x).reshape([batch, tokens, channels]) // [B, T, D]
    }
}

/// Whole numbers as a tensor: positions, rows to select, token ids.
fn indices<B: Backend>(values: impl IntoIterator<Item = i64>, device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i64> = values.into_iter().collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device) // [N]
}
