//! The parameters of a model: the only table of their names, shapes and kinds.
//!
//! Loading, saving, counting and the report of a load use this table. So does code that treats parameters by kind, such
//! as an optimiser. D hidden, F feed-forward width, V vocab.

use crate::{FeedForwardConfig, RationalConfig, SmolLm2Config};

/// Name of the embedding.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
/// Name of an output projection of its own.
pub(crate) const OUTPUT_PROJECTION: &str = "lm_head.weight";

/// What a parameter is for, and with it how it is stored and trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// The token embedding, `[V, D]`.
    Embedding,
    /// The scale of every channel in a norm, `[D]`.
    Norm,
    /// The matrix of a product with activations: `[out, in]` in a checkpoint and `[in, out]` in memory.
    Projection,
    /// Numerators of rational functions, a row per group: column `k` multiplies `x^k`.
    Numerator,
    /// Denominators of rational functions, a row per group: column `k` multiplies `x^(k + 1)`.
    Denominator,
}

impl ParameterKind {
    /// Whether it holds coefficients of rational functions. They are f32 in every model and every checkpoint: rounding
    /// them to bf16 moves the function more than rounding its input does.
    pub fn is_rational(self) -> bool {
        matches!(self, Self::Numerator | Self::Denominator)
    }
}

/// One parameter of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Hugging Face's name, `model.layers.0.self_attn.q_proj.weight` for instance.
    pub name: String,
    /// Sizes in a checkpoint, outermost first.
    pub shape: Vec<usize>,
    /// What it is for.
    pub kind: ParameterKind,
    /// Whether it is of a feed-forward layer: what a model with another kind of feed-forward does not share.
    pub in_feed_forward: bool,
}

impl SmolLm2Config {
    /// Every parameter of a model of this configuration, in the order in which Burn visits them.
    ///
    /// ```
    /// use smollm2_model::{ParameterKind, SmolLm2Config};
    ///
    /// let config = SmolLm2Config::smollm2_135m();
    /// let norms = config.parameters().filter(|parameter| parameter.kind == ParameterKind::Norm);
    /// assert_eq!(norms.count(), 2 * 30 + 1);
    /// ```
    pub fn parameters(&self) -> impl Iterator<Item = ParameterSpec> + '_ {
        let layers = self.feed_forward.iter().enumerate().flat_map(move |(index, mlp)| {
            let rows = self.block_rows(mlp).into_iter();
            rows.map(move |row| row.spec(format!("model.layers.{index}.{}", row.name)))
        });
        let [embedding, norm] = self.outer_rows().map(|row| row.spec(row.name.to_owned()));
        let head = self.head_row().map(|row| row.spec(row.name.to_owned()));
        std::iter::once(embedding).chain(layers).chain([norm]).chain(head)
    }

    /// Number of values in [`SmolLm2Config::parameters`], without writing their names. Wide, because sizes that are
    /// possible one by one can multiply to more than 64 bits.
    pub(crate) fn count_parameters(&self) -> u128 {
        let blocks = self.feed_forward.iter().map(|mlp| count(&self.block_rows(mlp)));
        count(&self.outer_rows()) + blocks.sum::<u128>() + self.head_row().map_or(0, |row| row.count())
    }

    /// The embedding and the last norm.
    fn outer_rows(&self) -> [Row; 2] {
        let (v, d) = (self.vocab_size, self.hidden_size);
        [
            Row::new(EMBEDDING, ParameterKind::Embedding, [v, d]),
            Row::new("model.norm.weight", ParameterKind::Norm, [d, 1]),
        ]
    }

    /// The output projection, unless it is the embedding.
    fn head_row(&self) -> Option<Row> {
        let shape = [self.vocab_size, self.hidden_size];
        (!self.tie_word_embeddings).then(|| Row::new(OUTPUT_PROJECTION, ParameterKind::Projection, shape))
    }

    /// One block.
    fn block_rows(&self, mlp: &FeedForwardConfig) -> Vec<Row> {
        let d = self.hidden_size;
        let queries = self.num_attention_heads * self.head_dim;
        let keys = self.num_key_value_heads * self.head_dim;
        let mut rows = vec![
            Row::new("input_layernorm.weight", ParameterKind::Norm, [d, 1]),
            Row::new("self_attn.q_proj.weight", ParameterKind::Projection, [queries, d]),
            Row::new("self_attn.k_proj.weight", ParameterKind::Projection, [keys, d]),
            Row::new("self_attn.v_proj.weight", ParameterKind::Projection, [keys, d]),
            Row::new("self_attn.o_proj.weight", ParameterKind::Projection, [d, queries]),
            Row::new("post_attention_layernorm.weight", ParameterKind::Norm, [d, 1]),
        ];
        let feed_forward = feed_forward_rows(mlp, d, self.intermediate_size).into_iter();
        rows.extend(feed_forward.map(|row| Row {
            in_feed_forward: true,
            ..row
        }));
        rows
    }
}

/// The feed-forward of one block.
fn feed_forward_rows(config: &FeedForwardConfig, d: usize, f: usize) -> Vec<Row> {
    match config {
        FeedForwardConfig::SwiGlu => gated_rows(d, f).to_vec(),
        FeedForwardConfig::GatedRational(gate) => {
            let names = ["mlp.gate_rational.numerator", "mlp.gate_rational.denominator"];
            [&gated_rows(d, f)[..], &rational_rows(names, &gate.rational)].concat()
        }
        FeedForwardConfig::GroupKan(kan) => {
            let [first, second] = ungated_rows(d, kan.hidden_size);
            let before = rational_rows(["mlp.act1.numerator", "mlp.act1.denominator"], &kan.rational);
            let between = rational_rows(["mlp.act2.numerator", "mlp.act2.denominator"], &kan.rational);
            [&before[..], &[first], &between, &[second]].concat()
        }
        FeedForwardConfig::SiluMlp { hidden_size } => ungated_rows(d, *hidden_size).to_vec(),
    }
}

fn gated_rows(d: usize, f: usize) -> [Row; 3] {
    [
        Row::new("mlp.gate_proj.weight", ParameterKind::Projection, [f, d]),
        Row::new("mlp.up_proj.weight", ParameterKind::Projection, [f, d]),
        Row::new("mlp.down_proj.weight", ParameterKind::Projection, [d, f]),
    ]
}

fn ungated_rows(d: usize, f: usize) -> [Row; 2] {
    [
        Row::new("mlp.fc1.weight", ParameterKind::Projection, [f, d]),
        Row::new("mlp.fc2.weight", ParameterKind::Projection, [d, f]),
    ]
}

fn rational_rows(names: [&'static str; 2], config: &RationalConfig) -> [Row; 2] {
    let [numerator, denominator] = config.shapes();
    [
        Row::new(names[0], ParameterKind::Numerator, numerator),
        Row::new(names[1], ParameterKind::Denominator, denominator),
    ]
}

/// A row of the table, named within its block.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    kind: ParameterKind,
    /// Sizes in a checkpoint; a vector has one column.
    shape: [usize; 2],
    in_feed_forward: bool,
}

impl Row {
    fn new(name: &'static str, kind: ParameterKind, shape: [usize; 2]) -> Self {
        Self {
            name,
            kind,
            shape,
            in_feed_forward: false,
        }
    }

    fn count(&self) -> u128 {
        self.shape.iter().map(|size| *size as u128).product()
    }

    fn spec(&self, name: String) -> ParameterSpec {
        let rank = if self.kind == ParameterKind::Norm { 1 } else { 2 };
        ParameterSpec {
            name,
            shape: self.shape[..rank].to_vec(),
            kind: self.kind,
            in_feed_forward: self.in_feed_forward,
        }
    }
}

fn count(rows: &[Row]) -> u128 {
    rows.iter().map(Row::count).sum()
}
