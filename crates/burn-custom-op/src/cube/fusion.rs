//! Operations behind `Fusion`.

use std::{
    fmt::{self, Debug, Formatter},
    marker::PhantomData,
};

use burn::tensor::ops::FloatTensor;
use burn_fusion::{
    Fusion, FusionBackend, FusionRuntime, FusionTensor,
    stream::{Operation, OperationStreams},
};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};

type Handles<B> = HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;

/// Queues `run` as one custom operation of the stream. Each output has shape and type of the input at the position that
/// `outputs_like` names.
///
/// The stream gives up an input at its last use, so the inner backend frees it as soon as the kernel that reads it is
/// queued. Except for its outputs, what `run` allocates never enters the stream. Check the tensors before: a panic in
/// the stream would not point at the caller.
pub fn queue<B: FusionBackend, const IN: usize, const OUT: usize>(
    name: &'static str,
    inputs: [FloatTensor<Fusion<B>>; IN],
    outputs_like: [usize; OUT],
    run: impl Fn([FloatTensor<B>; IN]) -> [FloatTensor<B>; OUT] + Send + Sync + 'static,
) -> [FloatTensor<Fusion<B>>; OUT] {
    let client = inputs[0].client.clone();
    let streams = OperationStreams::with_inputs(inputs.iter().collect::<Vec<_>>());
    let outputs = outputs_like.map(|input| {
        let like = &inputs[input];
        TensorIr::uninit(client.create_empty_handle(), like.shape.clone(), like.dtype)
    });
    let call = CustomOpIr::new(name, &inputs.map(FusionTensor::into_ir), &outputs);
    let operation = Queued::<B, _, IN, OUT> {
        call: call.clone(),
        run,
        backend: PhantomData,
    };
    let mut results = client
        .register(streams, OperationIr::Custom(call), operation)
        .into_iter();
    std::array::from_fn(|_| results.next().expect("a stream returns every output it was given"))
}

/// A call that runs when the stream reaches it.
struct Queued<B, F, const IN: usize, const OUT: usize> {
    call: CustomOpIr,
    run: F,
    backend: PhantomData<B>,
}

impl<B, F, const IN: usize, const OUT: usize> Debug for Queued<B, F, IN, OUT> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl<B, F, const IN: usize, const OUT: usize> Operation<B::FusionRuntime> for Queued<B, F, IN, OUT>
where
    B: FusionBackend,
    F: Fn([FloatTensor<B>; IN]) -> [FloatTensor<B>; OUT] + Send + Sync,
{
    fn execute(&self, handles: &mut Handles<B>) {
        let (inputs, outputs) = self.call.as_fixed::<IN, OUT>();
        let inputs = inputs.each_ref().map(|input| handles.get_float_tensor::<B>(input));
        for (output, value) in outputs.iter().zip((self.run)(inputs)) {
            handles.register_float_tensor::<B>(&output.id, value);
        }
    }
}
