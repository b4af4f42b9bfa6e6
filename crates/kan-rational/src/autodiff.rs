//! The explicit backward pass on `Autodiff`. It keeps only the inputs and recomputes `F`, which costs a few
//! multiply-adds and saves a tensor of the size of the activations.

use crate::{RationalBackend, RationalSpec};
use burn::tensor::{TensorMetadata, backend::Backend, ops::FloatTensor};
use burn_autodiff::{
    Autodiff, NodeId,
    checkpoint::{
        base::Checkpointer, retro_forward::RetroForward, state::BackwardStates, strategy::CheckpointStrategy,
    },
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use std::marker::PhantomData;

impl<B: RationalBackend, C: CheckpointStrategy> RationalBackend for Autodiff<B, C> {
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        let parents = [&x, &numerator, &denominator];
        let retro = Retro::<B, 3>::new(parents.map(|parent| parent.node.id), spec);
        let prepared = GroupRationalStep
            .prepare::<C>(parents.map(|parent| parent.node.clone()))
            .memory_bound()
            .retro_forward(retro)
            .parents(parents)
            .stateful();
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let state = (parents.map(|parent| prep.checkpoint(parent)), spec);
                prep.finish(
                    state,
                    B::group_rational(x.primitive, numerator.primitive, denominator.primitive, spec),
                )
            }
            OpsKind::UnTracked(prep) => prep.finish(B::group_rational(
                x.primitive,
                numerator.primitive,
                denominator.primitive,
                spec,
            )),
        }
    }

    fn gated_rational(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        let parents = [&gate, &up, &numerator, &denominator];
        let retro = Retro::<B, 4>::new(parents.map(|parent| parent.node.id), spec);
        let prepared = GatedRationalStep
            .prepare::<C>(parents.map(|parent| parent.node.clone()))
            .memory_bound()
            .retro_forward(retro)
            .parents(parents)
            .stateful();
        let forward = |gate, up, numerator, denominator| B::gated_rational(gate, up, numerator, denominator, spec);
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let state = (parents.map(|parent| prep.checkpoint(parent)), spec);
                prep.finish(
                    state,
                    forward(gate.primitive, up.primitive, numerator.primitive, denominator.primitive),
                )
            }
            OpsKind::UnTracked(prep) => prep.finish(forward(
                gate.primitive,
                up.primitive,
                numerator.primitive,
                denominator.primitive,
            )),
        }
    }
}

#[derive(Debug)]
struct GroupRationalStep;

impl<B: RationalBackend> Backward<B, 3> for GroupRationalStep {
    type State = ([NodeId; 3], RationalSpec);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (inputs, spec) = ops.state;
        let [x, numerator, denominator] = inputs.map(|id| checkpointer.retrieve_node_output(id));
        let grad_output = like_input::<B>(grads.consume::<B>(&ops.node), &x);
        let found = B::group_rational_backward(x, numerator, denominator, grad_output, spec);
        for (parent, gradient) in ops
            .parents
            .into_iter()
            .zip([found.input, found.numerator, found.denominator])
        {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct GatedRationalStep;

impl<B: RationalBackend> Backward<B, 4> for GatedRationalStep {
    type State = ([NodeId; 4], RationalSpec);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (inputs, spec) = ops.state;
        let [gate, up, numerator, denominator] = inputs.map(|id| checkpointer.retrieve_node_output(id));
        let grad_output = like_input::<B>(grads.consume::<B>(&ops.node), &gate);
        let found = B::gated_rational_backward(gate, up, numerator, denominator, grad_output, spec);
        let gradients = [found.gate, found.up, found.numerator, found.denominator];
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The gradient of the output. If the input has no elements, the input itself stands in for it: Burn's backward pass of
/// a sum multiplies ones of shape `[0, D]` by a tensor of shape `[1, 1]`, which CubeCL broadcasts to `[1, D]`.
fn like_input<B: Backend>(grad_output: FloatTensor<B>, input: &FloatTensor<B>) -> FloatTensor<B> {
    if input.shape().num_elements() == 0 {
        input.clone()
    } else {
        grad_output
    }
}

/// Recomputes the output from its inputs when gradient checkpointing dropped it.
#[derive(Debug)]
struct Retro<B, const N: usize> {
    inputs: [NodeId; N],
    spec: RationalSpec,
    backend: PhantomData<B>,
}

impl<B, const N: usize> Retro<B, N> {
    fn new(inputs: [NodeId; N], spec: RationalSpec) -> Self {
        Self {
            inputs,
            spec,
            backend: PhantomData,
        }
    }

    fn inputs(&self, states: &mut BackwardStates) -> [FloatTensor<B>; N]
    where
        B: Backend,
    {
        self.inputs.map(|id| states.get_state::<FloatTensor<B>>(&id))
    }
}

impl<B: RationalBackend> RetroForward for Retro<B, 3> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let [x, numerator, denominator] = self.inputs(states);
        states.save(out_node, B::group_rational(x, numerator, denominator, self.spec));
    }
}

impl<B: RationalBackend> RetroForward for Retro<B, 4> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let [gate, up, numerator, denominator] = self.inputs(states);
        states.save(out_node, B::gated_rational(gate, up, numerator, denominator, self.spec));
    }
}
