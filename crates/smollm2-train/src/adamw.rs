//! AdamW with weight-decay groups. The result is the same as with `torch.optim.AdamW`.

mod state;

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend, ops::FloatTensor},
};
use burn_custom_op::{unwrap, wrap};
use serde::{Deserialize, Serialize};
use smollm2_model::{ParameterKind, ParameterPath, SmolLm2};

use crate::{
    ModelGradients, TrainBackend, TrainError,
    config::within,
    ops::{AdamWState, AdamWStep, StepBackend},
};

/// Constants of AdamW. The defaults are Hugging Face's, which the published recipe does not change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients. Default 0.9.
    pub beta1: f64,
    /// Decay of the mean of squared gradients. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// Decoupled weight decay of the projections. Default 0.
    pub weight_decay: f64,
    /// Whether the embedding decays too. Default false.
    pub decay_embedding: bool,
    /// Whether the norms' weights decay too. Default false: they scale, and a scale has no reason to be small.
    pub decay_norms: bool,
    /// Whether rational coefficients decay too. Default false: shrinking them changes the function's shape, not its
    /// size.
    pub decay_rational: bool,
    /// Typical size of the inputs of rational functions: the coefficient of `x^k` moves by the learning rate divided by
    /// this to the power of k, so that a step changes the function about as much at this size as near zero. The gates
    /// of a pretrained model reach far (to 50 in SmolLM2-135M), and there a step of 1e-4 in the coefficient of `x^5` is
    /// not small (docs/log.md). Default 1: every coefficient moves by the learning rate.
    pub rational_input_size: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_embedding: false,
            decay_norms: false,
            decay_rational: false,
            rational_input_size: 1.0,
        }
    }
}

impl AdamWConfig {
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        within("optimizer.beta1", self.beta1, 0.0..1.0, "at least 0 and below 1")?;
        within("optimizer.beta2", self.beta2, 0.0..1.0, "at least 0 and below 1")?;
        // Smaller ones, times the bias correction, are 0 in f32, and a parameter without gradient then 0 / 0.
        let epsilon = "a finite number of at least 1e-30";
        within("optimizer.epsilon", self.epsilon, 1e-30..=f64::MAX, epsilon)?;
        let decay = "a finite number of at least 0";
        within("optimizer.weight_decay", self.weight_decay, 0.0..=f64::MAX, decay)?;
        let size = "a finite number of at least 1";
        within(
            "optimizer.rational_input_size",
            self.rational_input_size,
            1.0..=f64::MAX,
            size,
        )
    }

    /// Weight decay of parameters of a kind.
    pub fn decay(&self, kind: ParameterKind) -> f64 {
        let decays = match kind {
            ParameterKind::Projection => true,
            ParameterKind::Embedding => self.decay_embedding,
            ParameterKind::Norm => self.decay_norms,
            ParameterKind::Numerator | ParameterKind::Denominator => self.decay_rational,
        };
        if decays { self.weight_decay } else { 0.0 }
    }
}

/// The power of x that the first column of a table of coefficients multiplies; `None` for other parameters.
fn first_power(kind: ParameterKind) -> Option<usize> {
    match kind {
        ParameterKind::Numerator => Some(0),
        ParameterKind::Denominator => Some(1),
        ParameterKind::Projection | ParameterKind::Embedding | ParameterKind::Norm => None,
    }
}

/// AdamW's state: two moments per parameter in f32, a master copy where the model computes in another type, and the
/// number of updates made.
///
/// With `m`, `v` the moments after this step's gradient `g` and `t` the step from 1, a weight becomes
/// `w (1 - lr * decay) - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)`
/// (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, in PyTorch's arrangement). Both bias corrections are moved
/// into scalars, which saves two passes over every parameter.
#[derive(Debug, Clone)]
pub struct AdamW<B: Backend> {
    config: AdamWConfig,
    updates: usize,
    moments: BTreeMap<String, Moments<B>>,
}

#[derive(Debug, Clone)]
struct Moments<B: Backend> {
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    master: Option<FloatTensor<B>>,
}

impl<B: StepBackend> AdamW<B> {
    /// A fresh optimiser.
    pub fn new(config: AdamWConfig) -> Self {
        Self {
            config,
            updates: 0,
            moments: BTreeMap::new(),
        }
    }

    /// Updates made so far.
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// One update of every parameter of `model` that has a gradient; each gradient is multiplied by its factor of
    /// `clip` first.
    pub fn update<AB: TrainBackend<InnerBackend = B>>(
        &mut self,
        model: SmolLm2<AB>,
        gradients: ModelGradients<B>,
        rate: f64,
        clip: Clip,
    ) -> SmolLm2<AB> {
        self.updates += 1;
        // 1 - beta^t: how far the moments have come from the zeros they started as.
        let [corrected1, corrected2] =
            [self.config.beta1, self.config.beta2].map(|beta| 1.0 - beta.powf(self.updates as f64));
        let root = corrected2.sqrt();
        let step = AdamWStep {
            clip: clip.others,
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            step_size: rate * root / corrected1,
            epsilon: self.config.epsilon * root,
            decay: 0.0,
        };
        let mut mapper = Update::<AB> {
            path: ParameterPath::new(model.config()),
            optimizer: self,
            gradients,
            rate,
            step,
            rational_clip: clip.rational,
        };
        model.map(&mut mapper)
    }

    /// The update of one parameter. Every tensor is passed on owned, so that it can be updated in place.
    fn update_one<const D: usize>(
        &mut self,
        name: String,
        weight: Tensor<B, D>,
        gradient: Tensor<B, D>,
        step: &AdamWStep,
    ) -> Tensor<B, D> {
        let dtype = weight.dtype();
        let (first, second, master) = match self.moments.remove(&name) {
            Some(moments) => (wrap(moments.first), wrap(moments.second), moments.master.map(wrap)),
            None => (gradient.zeros_like(), gradient.zeros_like(), None),
        };
        let weight = master.unwrap_or_else(|| {
            if dtype == DType::F32 {
                weight
            } else {
                weight.cast(DType::F32)
            }
        });
        let updated = B::adamw(AdamWState { weight, first, second }, gradient, step);
        let (output, master) = if dtype == DType::F32 {
            (updated.weight, None)
        } else {
            (updated.weight.clone().cast(dtype), Some(unwrap(updated.weight)))
        };
        self.moments.insert(
            name,
            Moments {
                first: unwrap(updated.first),
                second: unwrap(updated.second),
                master,
            },
        );
        output
    }
}

/// `kept + (updated - kept) / size^k` in the column of `x^k`; the first column's power is `first_power`. What the
/// weight decay left is kept: it shrinks every coefficient by the same factor.
fn shorten<B: Backend, const D: usize>(
    kept: Tensor<B, D>,
    updated: Tensor<B, D>,
    size: f64,
    first_power: usize,
) -> Tensor<B, D> {
    let columns = kept.dims()[D - 1];
    let factors: Vec<f32> = (0..columns)
        .map(|column| size.powi(-((column + first_power) as i32)) as f32)
        .collect();
    let mut shape = [1; D];
    shape[D - 1] = columns;
    let factors = Tensor::<B, D>::from_data(TensorData::new(factors, shape), &kept.device()); // [1, K]
    kept.clone() + (updated - kept) * factors // [G, K]
}

/// Factors that scale gradients to bound their norms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// For rational coefficients.
    pub rational: f64,
    /// For all other parameters.
    pub others: f64,
}

struct Update<'a, AB: TrainBackend> {
    path: ParameterPath,
    optimizer: &'a mut AdamW<AB::InnerBackend>,
    gradients: ModelGradients<AB::InnerBackend>,
    rate: f64,
    step: AdamWStep,
    rational_clip: f64,
}

impl<AB: TrainBackend> ModuleMapper<AB> for Update<'_, AB> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<AB, D>>) -> Param<Tensor<AB, D>> {
        let (name, kind) = (self.path.name(), self.path.kind());
        let Some(gradient) = self.gradients.remove::<D>(&name) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        let step = AdamWStep {
            decay: self.rate * self.optimizer.config.decay(kind),
            clip: if kind.is_rational() {
                self.rational_clip
            } else {
                self.step.clip
            },
            ..self.step
        };
        let before = tensor.inner();
        let size = self.optimizer.config.rational_input_size;
        let updated = if let Some(first_power) = first_power(kind).filter(|_| size != 1.0) {
            let updated = self.optimizer.update_one(name, before.clone(), gradient, &step);
            shorten(before.mul_scalar(1.0 - step.decay), updated, size, first_power)
        } else {
            self.optimizer.update_one(name, before, gradient, &step)
        };
        Param::from_mapped_value(id, Tensor::from_inner(updated).set_require_grad(tracked), mapper)
    }
}
