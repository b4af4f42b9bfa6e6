//! The model: embedding, blocks, output projection.
//!
//! B batch, T tokens, N = B·T rows, D hidden, V vocab.

mod attention;
mod block;
mod cache;
mod feed_forward;
mod layout;
mod norm;
mod packing;
mod parameters;
mod rotary;
mod scores;

pub use attention::Attention;
pub use block::Block;
pub use cache::KvCache;
pub use feed_forward::{FeedForward, GatedRational, GroupKan, SiluMlp, SwiGlu};
pub use layout::{Sequence, SequenceLayout};
pub use norm::RmsNorm;
pub use packing::Branched;
pub use parameters::ParameterPath;
pub use scores::TokenScore;
pub(crate) use scores::{LOGIT_ROWS, gather};

use burn::{
    module::{Initializer, Module, ModuleMapper, Param},
    nn::{Embedding, EmbeddingConfig, Linear, LinearConfig},
    tensor::{
        DType, Int, Tensor,
        backend::{AutodiffBackend, Backend},
    },
};

use crate::{DecoderBackend, FeedForwardConfig, ModelError, SmolLm2Config, StoredDtype};
use layout::foreign;
use rotary::RotaryTable;

/// A SmolLM2 language model with the configuration it was made from. Made by [`SmolLm2Config::init`] or loaded by
/// `weights::load`.
///
/// Fields carry Hugging Face's names, so that a parameter's path in the module is its name in a checkpoint; see
/// [`ParameterPath`].
#[derive(Module, Debug)]
pub struct SmolLm2<B: Backend> {
    /// Everything below the output projection.
    pub model: Decoder<B>,
    /// Output projection, `[D, V]`; `None` when it is the embedding transposed.
    pub lm_head: Option<Linear<B>>,
    rotary: RotaryTable<B>,
    #[module(skip)]
    config: SmolLm2Config,
}

/// Embedding, blocks and last norm: `LlamaModel` in `transformers/models/llama/modeling_llama.py`.
#[derive(Module, Debug)]
pub struct Decoder<B: Backend> {
    /// Token embedding, `[V, D]`.
    pub embed_tokens: Embedding<B>,
    /// Blocks, first to last.
    pub layers: Vec<Block<B>>,
    /// Norm after the last block.
    pub norm: RmsNorm<B>,
}

/// Marks every parameter as one that gets a gradient: those of a model that was loaded without are not.
struct Track;

impl<B: Backend> ModuleMapper<B> for Track {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.set_require_grad(true)
    }
}

/// A projection without bias whose weight, `[input, output]`, is drawn from a normal of standard deviation `std`.
fn linear<B: Backend>(input: usize, output: usize, std: f64, device: &B::Device) -> Linear<B> {
    LinearConfig::new(input, output)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std })
        .init(device)
}

impl<B: Backend> SmolLm2<B> {
    /// The configuration. Its [`dtype`](SmolLm2Config::dtype) is the type that the weights have.
    pub fn config(&self) -> &SmolLm2Config {
        &self.config
    }

    /// The device that holds the weights.
    pub fn device(&self) -> B::Device {
        self.model.embed_tokens.weight.val().device()
    }

    /// Float type of the weights; rational coefficients are f32 in every case. f64, which no checkpoint stores, counts
    /// as f32.
    pub fn dtype(&self) -> StoredDtype {
        match self.model.embed_tokens.weight.val().dtype() {
            DType::F16 => StoredDtype::Float16,
            DType::BF16 => StoredDtype::Bfloat16,
            _ => StoredDtype::Float32,
        }
    }

    /// Number of trainable parameters; a tied embedding counts once.
    pub fn num_parameters(&self) -> usize {
        self.config.num_parameters()
    }

    /// The same weights with other special tokens: a base model that learns to chat ends its texts differently. All
    /// else in a configuration decides tensors and changes only with them.
    ///
    /// # Errors
    /// [`ModelError::Config`] for an id outside the vocabulary.
    pub fn with_special_tokens(
        mut self,
        bos: Option<u32>,
        eos: Vec<u32>,
        pad: Option<u32>,
    ) -> Result<Self, ModelError> {
        self.config.bos_token_id = bos;
        self.config.eos_token_ids = eos;
        self.config.pad_token_id = pad;
        self.config.validate_tokens()?;
        Ok(self)
    }

    /// The configuration with the type of the weights, once they have one.
    pub(crate) fn settled(mut self) -> Self {
        self.config.dtype = self.dtype();
        self
    }

    /// Exchanges the feed-forward of one layer together with its configuration.
    pub(crate) fn set_feed_forward(&mut self, layer: usize, config: FeedForwardConfig, mlp: FeedForward<B>) {
        self.config.feed_forward[layer] = config;
        self.model.layers[layer].mlp = mlp;
    }
}

impl<B: DecoderBackend> SmolLm2<B> {
    pub(crate) fn new(config: &SmolLm2Config, device: &B::Device) -> Self {
        let (d, v, std) = (config.hidden_size, config.vocab_size, config.initializer_range);
        let embedding = EmbeddingConfig::new(v, d).with_initializer(Initializer::Normal { mean: 0.0, std });
        let block = |kind| Block::new(config, kind, device);
        Self {
            model: Decoder {
                embed_tokens: embedding.init(device),
                layers: config.feed_forward.iter().map(block).collect(),
                norm: RmsNorm::new(d, config.rms_norm_eps, device),
            },
            lm_head: (!config.tie_word_embeddings).then(|| linear(d, v, std, device)),
            rotary: RotaryTable::new(
                config.max_position_embeddings,
                config.head_dim,
                config.rope_theta,
                device,
            ),
            config: config.clone(),
        }
    }

    /// The same weights where they get gradients. Tensors are wrapped, not copied, and keep their element type.
    ///
    /// ```
    /// use burn::{backend::{Autodiff, Flex}, module::AutodiffModule};
    /// use smollm2_model::SmolLm2Config;
    ///
    /// let mut config = SmolLm2Config::smollm2_135m();
    /// (config.vocab_size, config.num_hidden_layers) = (64, 1);
    /// config.feed_forward.truncate(1);
    /// let model = config.init::<Flex>(&Default::default())?.tracked::<Autodiff<Flex>>();
    /// assert!(model.model.norm.weight.val().is_require_grad());
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
        let sequence = self.sequence(&ids, layout);
        self.run(ids, &sequence, None, |_| {})
    }

    /// Every hidden state, as `output_hidden_states` of `transformers` gives them: the embedding, the output of every
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
        let sequence = self.sequence(&ids, layout);
        let mut states = Vec::with_capacity(self.model.layers.len() + 1);
        let last = self.run(ids, &sequence, None, |input: &Tensor<B, 2>| {
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
        let sequence = Sequence {
            rotation,
            hidden: cache.hidden(tokens),
            packing: None,
        };
        let hidden = self.run(ids, &sequence, Some(cache), |_| {});
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
            Some(head) => head.weight.val().transpose(),  // [V, D]
            None => self.model.embed_tokens.weight.val(), // [V, D]
        }
    }

    /// What the blocks need to know of `ids` and `layout`; computed once, shared by all layers.
    ///
    /// With [`SmolLm2::embed`], [`Block::forward`] and the last norm this runs the model block by block, for
    /// recomputation of activations or inspection.
    pub fn sequence(&self, ids: &Tensor<B, 2, Int>, layout: &SequenceLayout<B>) -> Sequence<B> {
        let rotation = match &layout.positions {
            Some(positions) => self.rotary.gather(positions.clone()),
            None => self.rotary.range(0, ids.dims()[1]),
        };
        Sequence {
            rotation,
            hidden: layout.documents.clone().map(foreign),
            packing: None,
        }
    }

    /// Embeddings of `ids: [B, T]`, `[B, T, D]`: the input of the first block.
    pub fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        self.model.embed_tokens.forward(ids)
    }

    /// All blocks and the last norm; `inspect` sees the input of every block.
    fn run(
        &self,
        ids: Tensor<B, 2, Int>,
        sequence: &Sequence<B>,
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
            x = block.forward_rows(x, batch, sequence, layer); // [N, D]
        }
        self.model.norm.forward(x).reshape([batch, tokens, channels]) // [B, T, D]
    }
}
