//! The explicit backward on `Autodiff<B>`. Nothing is saved but the inputs.

use crate::{RationalBackend, RationalSpec};
use burn::backend::Autodiff;
use burn::tensor::ops::FloatTensor;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

#[derive(Debug)]
struct GroupRationalBackward;

impl<B: RationalBackend> Backward<B, 3> for GroupRationalBackward {
    type State = ([NodeId; 1], FloatTensor<B>, FloatTensor<B>, RationalSpec);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let ([x], numerator, denominator, spec) = ops.state;
        let grad_output = grads.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output(x);
        let found = B::group_rational_backward(x, numerator, denominator, grad_output, spec);
        let found = [found.input, found.numerator, found.denominator];
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct GatedRationalBackward;

impl<B: RationalBackend> Backward<B, 4> for GatedRationalBackward {
    type State = ([NodeId; 2], FloatTensor<B>, FloatTensor<B>, RationalSpec);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let ([gate, up], numerator, denominator, spec) = ops.state;
        let grad_output = grads.consume::<B>(&ops.node);
        let gate = checkpointer.retrieve_node_output(gate);
        let up = checkpointer.retrieve_node_output(up);
        let found = B::gated_rational_backward(gate, up, numerator, denominator, grad_output, spec);
        let found = [found.gate, found.up, found.numerator, found.denominator];
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: RationalBackend, C: CheckpointStrategy> RationalBackend for Autodiff<B, C> {
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        let parents = [x.node.clone(), numerator.node.clone(), denominator.node.clone()];
        match GroupRationalBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&x)];
                let output = B::group_rational(
                    x.primitive,
                    numerator.primitive.clone(),
                    denominator.primitive.clone(),
                    spec,
                );
                prep.finish((saved, numerator.primitive, denominator.primitive, spec), output)
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
        let parents = [
            gate.node.clone(),
            up.node.clone(),
            numerator.node.clone(),
            denominator.node.clone(),
        ];
        match GatedRationalBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = [prep.checkpoint(&gate), prep.checkpoint(&up)];
                let output = B::gated_rational(
                    gate.primitive,
                    up.primitive,
                    numerator.primitive.clone(),
                    denominator.primitive.clone(),
                    spec,
                );
                prep.finish((saved, numerator.primitive, denominator.primitive, spec), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gated_rational(
                gate.primitive,
                up.primitive,
                numerator.primitive,
                denominator.primitive,
                spec,
            )),
        }
    }
}
