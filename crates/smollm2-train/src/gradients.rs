//! The gradients of a complete model by Hugging Face name.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Tensor, backend::Backend, ops::FloatTensor},
};
use burn_custom_op::{as_type, unwrap, wrap};
use smollm2_model::{ParameterKind, ParameterPath, SmolLm2};

use crate::{TrainBackend, ops::StepBackend};

/// Gradients of every trainable parameter, by its name in a checkpoint.
#[derive(Debug, Clone)]
pub struct ModelGradients<B: Backend> {
    tensors: BTreeMap<String, Ranked<B>>,
}

/// A tensor of any rank, with its rank to check against and the kind of the parameter.
#[derive(Debug, Clone)]
struct Ranked<B: Backend> {
    primitive: FloatTensor<B>,
    rank: usize,
    kind: ParameterKind,
}

impl<B: Backend> Default for ModelGradients<B> {
    fn default() -> Self {
        Self {
            tensors: BTreeMap::new(),
        }
    }
}

impl<B: StepBackend> ModelGradients<B> {
    /// Adds the gradients a backward pass left for the parameters of `model`, as f32.
    pub fn collect<AB: TrainBackend<InnerBackend = B>>(&mut self, mut found: AB::Gradients, model: &SmolLm2<AB>) {
        let mut visitor = Collect::<AB> {
            path: ParameterPath::new(model.config()),
            found: &mut found,
            into: self,
        };
        model.visit(&mut visitor);
    }

    /// The gradient of a parameter; `None` when there is none, or its rank is not `D`.
    pub fn get<const D: usize>(&self, name: &str) -> Option<Tensor<B, D>> {
        let found = self.tensors.get(name).filter(|found| found.rank == D)?;
        Some(wrap(found.primitive.clone()))
    }

    /// Takes the gradient of a parameter out.
    pub fn remove<const D: usize>(&mut self, name: &str) -> Option<Tensor<B, D>> {
        let found = self.tensors.remove(name)?;
        (found.rank == D).then(|| wrap(found.primitive))
    }

    /// Names of the parameters with a gradient, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Kinds of these parameters, in the order of [`names`](Self::names).
    pub fn kinds(&self) -> impl Iterator<Item = ParameterKind> {
        self.tensors.values().map(|found| found.kind)
    }

    /// Sums of squares, one per parameter in the order of [`names`](Self::names), `[P]`, still on the device.
    pub fn square_sums(&self) -> Option<Tensor<B, 1>> {
        let sums: Vec<_> = self.tensors.values().map(Ranked::square_sum).collect();
        (!sums.is_empty()).then(|| Tensor::cat(sums, 0)) // [P]
    }

    fn add<const D: usize>(&mut self, name: String, kind: ParameterKind, gradient: Tensor<B, D>) {
        let gradient = as_type(gradient, DType::F32);
        let sum = match self.remove::<D>(&name) {
            Some(before) => before + gradient,
            None => gradient,
        };
        self.tensors.insert(
            name,
            Ranked {
                primitive: unwrap(sum),
                rank: D,
                kind,
            },
        );
    }
}

impl<B: StepBackend> Ranked<B> {
    fn square_sum(&self) -> Tensor<B, 1> {
        match self.rank {
            1 => B::square_sum(wrap::<B, 1>(self.primitive.clone())),
            2 => B::square_sum(wrap::<B, 2>(self.primitive.clone())),
            _ => B::square_sum(wrap::<B, 3>(self.primitive.clone())),
        }
    }
}

struct Collect<'a, AB: TrainBackend> {
    path: ParameterPath,
    found: &'a mut AB::Gradients,
    into: &'a mut ModelGradients<AB::InnerBackend>,
}

impl<AB: TrainBackend> ModuleVisitor<AB> for Collect<'_, AB> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<AB, D>>) {
        if let Some(gradient) = param.val().grad_remove(self.found) {
            self.into.add(self.path.name(), self.path.kind(), gradient);
        }
    }
}
