//! The operations for `Fusion`: each is one custom operation of the stream.
//!
//! The stream gives up its reference to an input at its last use, so the inner backend can free the input as soon as
//! the kernel that reads it is queued. Partial sums do not appear in the stream. Tensors are checked when a call is
//! queued, because a panic in the stream would not point to the caller.

use std::marker::PhantomData;

use burn::tensor::ops::FloatTensor;
use burn_fusion::{
    Fusion, FusionBackend, FusionRuntime, FusionTensor,
    stream::{Operation, OperationStreams},
};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};

use crate::{GatedGradients, RationalBackend, RationalGradients, RationalSpec, checked};

type Handles<B> = HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;

/// A call that runs when the stream reaches it.
///
/// `run` is a function of the call alone, so that one type serves all four operations.
#[derive(Debug)]
struct Deferred<B> {
    call: CustomOpIr,
    spec: RationalSpec,
    run: Run,
    backend: PhantomData<B>,
}

/// Which operation a deferred call stands for.
#[derive(Clone, Copy, Debug)]
enum Run {
    Forward,
    Backward,
    Gated,
    GatedBackward,
}

impl<B: FusionBackend + RationalBackend> Operation<B::FusionRuntime> for Deferred<B> {
    fn execute(&self, handles: &mut Handles<B>) {
        match self.run {
            Run::Forward => self.forward(handles),
            Run::Backward => self.backward(handles),
            Run::Gated => self.gated(handles),
            Run::GatedBackward => self.gated_backward(handles),
        }
    }
}

impl<B: FusionBackend + RationalBackend> Deferred<B> {
    fn take<const N: usize>(inputs: &[TensorIr; N], handles: &mut Handles<B>) -> [B::FloatTensorPrimitive; N] {
        std::array::from_fn(|i| handles.get_float_tensor::<B>(&inputs[i]))
    }

    fn forward(&self, handles: &mut Handles<B>) {
        let (inputs, [output]) = self.call.as_fixed::<3, 1>();
        let [x, numerator, denominator] = Self::take(inputs, handles);
        let value = B::group_rational(x, numerator, denominator, self.spec);
        handles.register_float_tensor::<B>(&output.id, value);
    }

    fn backward(&self, handles: &mut Handles<B>) {
        let (inputs, [to_x, to_numerator, to_denominator]) = self.call.as_fixed::<4, 3>();
        let [x, numerator, denominator, gradient] = Self::take(inputs, handles);
        let gradients = B::group_rational_backward(x, numerator, denominator, gradient, self.spec);
        handles.register_float_tensor::<B>(&to_x.id, gradients.input);
        handles.register_float_tensor::<B>(&to_numerator.id, gradients.numerator);
        handles.register_float_tensor::<B>(&to_denominator.id, gradients.denominator);
    }

    fn gated(&self, handles: &mut Handles<B>) {
        let (inputs, [output]) = self.call.as_fixed::<4, 1>();
        let [gate, up, numerator, denominator] = Self::take(inputs, handles);
        let value = B::gated_rational(gate, up, numerator, denominator, self.spec);
        handles.register_float_tensor::<B>(&output.id, value);
    }

    fn gated_backward(&self, handles: &mut Handles<B>) {
        let (inputs, [to_gate, to_up, to_numerator, to_denominator]) = self.call.as_fixed::<5, 4>();
        let [gate, up, numerator, denominator, gradient] = Self::take(inputs, handles);
        let gradients = B::gated_rational_backward(gate, up, numerator, denominator, gradient, self.spec);
        handles.register_float_tensor::<B>(&to_gate.id, gradients.gate);
        handles.register_float_tensor::<B>(&to_up.id, gradients.up);
        handles.register_float_tensor::<B>(&to_numerator.id, gradients.numerator);
        handles.register_float_tensor::<B>(&to_denominator.id, gradients.denominator);
    }
}

/// Queues a call whose outputs look like the inputs named by position.
fn defer<B: FusionBackend + RationalBackend, const IN: usize, const OUT: usize>(
    run: Run,
    inputs: [FusionTensor<B::FusionRuntime>; IN],
    outputs_like: [usize; OUT],
    spec: RationalSpec,
) -> [FusionTensor<B::FusionRuntime>; OUT] {
    let client = inputs[0].client.clone();
    let streams = OperationStreams::with_inputs(inputs.iter().collect::<Vec<_>>());
    let outputs = outputs_like.map(|input| {
        let like = &inputs[input];
        TensorIr::uninit(client.create_empty_handle(), like.shape.clone(), like.dtype)
    });
    let name = match run {
        Run::Forward => "group_rational",
        Run::Backward => "group_rational_backward",
        Run::Gated => "gated_rational",
        Run::GatedBackward => "gated_rational_backward",
    };
    let call = CustomOpIr::new(name, &inputs.map(FusionTensor::into_ir), &outputs);
    let operation = Deferred::<B> {
        call: call.clone(),
        spec,
        run,
        backend: PhantomData,
    };
    let mut results = client
        .register(streams, OperationIr::Custom(call), operation)
        .into_iter();
    std::array::from_fn(|_| results.next().expect("a stream returns every output it was given"))
}

impl<B: FusionBackend + RationalBackend> RationalBackend for Fusion<B> {
    fn group_rational(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        checked::group_rational::<Self>(&x, &numerator, &denominator, spec);
        let [output] = defer::<B, 3, 1>(Run::Forward, [x, numerator, denominator], [0], spec);
        output
    }

    fn group_rational_backward(
        x: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        checked::group_rational_backward::<Self>(&x, &numerator, &denominator, &grad_output, spec);
        let inputs = [x, numerator, denominator, grad_output];
        let [input, numerator, denominator] = defer::<B, 4, 3>(Run::Backward, inputs, [0, 1, 2], spec);
        RationalGradients {
            input,
            numerator,
            denominator,
        }
    }

    fn gated_rational(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> FloatTensor<Self> {
        checked::gated_rational::<Self>(&gate, &up, &numerator, &denominator, spec);
        let [output] = defer::<B, 4, 1>(Run::Gated, [gate, up, numerator, denominator], [0], spec);
        output
    }

    fn gated_rational_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        numerator: FloatTensor<Self>,
        denominator: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        spec: RationalSpec,
    ) -> GatedGradients<Self> {
        checked::gated_rational_backward::<Self>(&gate, &up, &numerator, &denominator, &grad_output, spec);
        let inputs = [gate, up, numerator, denominator, grad_output];
        let [gate, up, numerator, denominator] = defer::<B, 5, 4>(Run::GatedBackward, inputs, [0, 1, 2, 3], spec);
        GatedGradients {
            gate,
            up,
            numerator,
            denominator,
        }
    }
}
