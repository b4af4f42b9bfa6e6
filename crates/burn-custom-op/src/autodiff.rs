//! Recording an operation and its explicit backward pass on `Autodiff`.

use std::{fmt::Debug, marker::PhantomData};

use burn::tensor::{backend::Backend, ops::FloatTensor};
use burn_autodiff::{
    Autodiff, NodeId,
    checkpoint::{
        base::Checkpointer, retro_forward::RetroForward, state::BackwardStates, strategy::CheckpointStrategy,
    },
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};

/// An operation on N float tensors with one output. Further arguments (numbers, tensors without a gradient) are fields
/// of the implementing type.
pub trait Operation<B: Backend, const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs of the forward pass; most often the inputs, `[FloatTensor<B>; N]`.
    type Kept: Clone + Debug + Send + 'static;

    /// The output, without a backward pass.
    fn forward(&self, inputs: [FloatTensor<B>; N]) -> FloatTensor<B>;

    /// The gradients of all inputs, each with the shape and type of its input, given the gradient of the output.
    fn gradients(self, kept: Self::Kept, grad_output: FloatTensor<B>) -> [FloatTensor<B>; N];
}

/// Runs an operation and, if an input is tracked, records its backward pass and keeps the inputs for it. Gradient
/// checkpointing drops neither the inputs nor the output.
pub fn record<B: Backend, C: CheckpointStrategy, O, const N: usize>(
    operation: O,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>>
where
    O: Operation<B, N, Kept = [FloatTensor<B>; N]>,
{
    record_keeping::<B, C, O, N>(operation, inputs, |operation, inputs| {
        (operation.forward(inputs.clone()), inputs)
    })
}

/// [`record`] for an operation that keeps other values: `forward` returns the output and the values to keep, and
/// replaces the operation's own forward pass if an input is tracked.
pub fn record_keeping<B: Backend, C: CheckpointStrategy, O: Operation<B, N>, const N: usize>(
    operation: O,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    forward: impl FnOnce(&O, [FloatTensor<B>; N]) -> (FloatTensor<B>, O::Kept),
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(|input| input.node.clone());
    // Burn forgets the history of a tensor without a handle, at the end of any thread's backward pass: a handle of each
    // input has to live until the operation is recorded, or the gradient silently ends here.
    let handles = inputs.each_ref().map(|input| input.rc.clone());
    let inputs = inputs.map(|input| input.primitive);
    let step = Recorded::<O>(PhantomData);
    let output = match Backward::<B, N>::prepare::<C>(step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (output, kept) = forward(&operation, inputs);
            prep.finish((operation, kept), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(operation.forward(inputs)),
    };
    drop(handles);
    output
}

/// [`record`] for an operation that costs little: gradient checkpointing may drop its inputs and its output, and
/// compute them again in the backward pass.
pub fn record_recomputed<B: Backend, C: CheckpointStrategy, O, const N: usize>(
    operation: O,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>>
where
    O: Operation<B, N, Kept = [FloatTensor<B>; N]>,
{
    let nodes = inputs.each_ref().map(|input| input.node.clone());
    // As in `record`.
    let handles = inputs.each_ref().map(|input| input.rc.clone());
    let recomputed = Recomputed {
        operation: operation.clone(),
        inputs: handles.each_ref().map(|id| **id),
        backend: PhantomData::<B>,
    };
    let step = RecomputedStep::<O>(PhantomData);
    let prepared = Backward::<B, N>::prepare::<C>(step, nodes)
        .memory_bound()
        .retro_forward(recomputed.clone())
        .parents(&inputs)
        .stateful();
    let output = match prepared {
        OpsKind::Tracked(mut prep) => {
            for input in &inputs {
                prep.checkpoint(input);
            }
            let output = operation.forward(inputs.map(|input| input.primitive));
            prep.finish((recomputed.inputs, operation), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(operation.forward(inputs.map(|input| input.primitive))),
    };
    drop(handles);
    output
}

/// The backward pass from the kept values.
#[derive(Debug)]
struct Recorded<O>(PhantomData<O>);

impl<B: Backend, O: Operation<B, N>, const N: usize> Backward<B, N> for Recorded<O> {
    type State = (O, O::Kept);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad_output = grads.consume::<B>(&ops.node);
        let (operation, kept) = ops.state;
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B, N>(grads, parents, operation.gradients(kept, grad_output));
    }
}

/// The backward pass from inputs that the checkpointer keeps or recomputes.
#[derive(Debug)]
struct RecomputedStep<O>(PhantomData<O>);

impl<B, O, const N: usize> Backward<B, N> for RecomputedStep<O>
where
    B: Backend,
    O: Operation<B, N, Kept = [FloatTensor<B>; N]>,
{
    type State = ([NodeId; N], O);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (inputs, operation) = ops.state;
        let inputs = inputs.map(|id| checkpointer.retrieve_node_output(id));
        let grad_output = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B, N>(grads, parents, operation.gradients(inputs, grad_output));
    }
}

/// Adds each gradient to that of its input, if it is tracked.
fn register<B: Backend, const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    gradients: [FloatTensor<B>; N],
) {
    for (parent, gradient) in parents.into_iter().zip(gradients) {
        if let Some(id) = parent {
            grads.register::<B>(id, gradient);
        }
    }
}

/// Recomputes an output that gradient checkpointing dropped.
#[derive(Clone, Debug)]
struct Recomputed<B, O, const N: usize> {
    operation: O,
    inputs: [NodeId; N],
    backend: PhantomData<B>,
}

impl<B: Backend, O: Operation<B, N>, const N: usize> RetroForward for Recomputed<B, O, N> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let inputs = self.inputs.map(|id| states.get_state::<FloatTensor<B>>(&id));
        states.save(out_node, self.operation.forward(inputs));
    }
}
