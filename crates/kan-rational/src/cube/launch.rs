//! The host code of the four operations. It allocates outputs, launches kernels and returns the results. `checked` has
//! already checked the tensors.

use burn::tensor::{DType, Shape};
use burn_cubecl::{
    CubeRuntime,
    ops::numeric::{empty_device_contiguous_dtype, zeros_client},
    tensor::CubeTensor,
};
use cubecl::{CubeCount, calculate_cube_count_elemwise, ir::AddressType, prelude::*};

use super::{
    backward, fold, forward,
    grid::THREADS,
    layout::{Rows, Sharing, Work},
};
use crate::RationalSpec;

/// A forward kernel of degrees (5, 4) has at most 40 registers a thread. More rows amortise the reading of the
/// coefficients; fewer leave more threads, hence more loads in flight.
const FORWARD: Sharing = Sharing {
    resident: 1536,
    most_rows: 8,
};

/// A backward kernel of degrees (5, 4) has at most 64 registers a thread. A thread folds its sums once, however many
/// rows it took; with 32 rows of 8 lanes it adds 256 terms before they join the tree.
const BACKWARD: Sharing = Sharing {
    resident: 1024,
    most_rows: 32,
};

/// Coefficients as the kernels read them.
pub(super) struct Parameters<R: CubeRuntime> {
    numerator: Rows<R>,
    denominator: Rows<R>,
    spec: RationalSpec,
}

impl<R: CubeRuntime> Parameters<R> {
    /// Coefficients `[G or 1, n + 1]` and `[G or 1, m]`, f32.
    pub(super) fn new(numerator: CubeTensor<R>, denominator: CubeTensor<R>, spec: RationalSpec) -> Self {
        Self {
            numerator: Rows::new(numerator),
            denominator: Rows::new(denominator),
            spec,
        }
    }

    fn work(&self, tensors: &[&Rows<R>], sharing: Sharing) -> Work {
        Work::new(tensors, &self.numerator, &self.denominator, self.spec, sharing)
    }
}

/// Gradients of the coefficients.
pub(super) struct CoefficientGradients<R: CubeRuntime> {
    pub(super) numerator: CubeTensor<R>,
    pub(super) denominator: CubeTensor<R>,
}

/// `F(x)`: `[.., D] -> [.., D]`
pub(super) fn group_rational<R: CubeRuntime>(x: CubeTensor<R>, parameters: Parameters<R>) -> CubeTensor<R> {
    let x = Rows::new(x);
    let work = parameters.work(&[&x], FORWARD);
    let output = like(&x.tensor);
    if work.is_empty() {
        return output;
    }
    let client = output.client.clone();
    let pitch = x.vector_pitch(work.vector);
    let (count, dim) = cubes_of(&client, work.threads());
    // SAFETY: `checked` has compared shape and element type of every tensor; every index is below `rows * columns`
    // vectors of tensors of this shape; the loop advances by a positive number of rows.
    unsafe {
        forward::forward::launch_unchecked::<R>(
            &client,
            count,
            dim,
            address_type(&[&x.tensor, &output]),
            work.vector,
            x.tensor.into_array_arg(),
            parameters.numerator.tensor.into_array_arg(),
            parameters.denominator.tensor.into_array_arg(),
            output.clone().into_array_arg(),
            work.grid(),
            pitch,
            work.form,
            output.dtype.into(),
        );
    }
    output
}

/// `F(gate) * up`: `[.., D], [.., D] -> [.., D]`
pub(super) fn gated_rational<R: CubeRuntime>(
    gate: CubeTensor<R>,
    up: CubeTensor<R>,
    parameters: Parameters<R>,
) -> CubeTensor<R> {
    let (gate, up) = (Rows::new(gate), Rows::new(up));
    let work = parameters.work(&[&gate, &up], FORWARD);
    let output = like(&gate.tensor);
    if work.is_empty() {
        return output;
    }
    let client = output.client.clone();
    let pitches = (gate.vector_pitch(work.vector), up.vector_pitch(work.vector));
    let (count, dim) = cubes_of(&client, work.threads());
    // SAFETY: as in `group_rational`.
    unsafe {
        forward::forward_gated::launch_unchecked::<R>(
            &client,
            count,
            dim,
            address_type(&[&gate.tensor, &up.tensor, &output]),
            work.vector,
            gate.tensor.into_array_arg(),
            up.tensor.into_array_arg(),
            parameters.numerator.tensor.into_array_arg(),
            parameters.denominator.tensor.into_array_arg(),
            output.clone().into_array_arg(),
            work.grid(),
            pitches.0,
            pitches.1,
            work.form,
            output.dtype.into(),
        );
    }
    output
}

/// Gradients of `F(x)`: that of `x` and those of the coefficients.
pub(super) fn group_rational_backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    output_gradient: CubeTensor<R>,
    parameters: Parameters<R>,
) -> (CubeTensor<R>, CoefficientGradients<R>) {
    let (x, output_gradient) = (Rows::new(x), Rows::new(output_gradient));
    let work = parameters.work(&[&x, &output_gradient], BACKWARD);
    let x_gradient = like(&x.tensor);
    if work.is_empty() {
        return (x_gradient, zero_gradients(&parameters));
    }
    let client = x_gradient.client.clone();
    let partials = partial_sums(&x_gradient, &work);
    let pitches = (x.vector_pitch(work.vector), output_gradient.vector_pitch(work.vector));
    let (count, dim) = cubes_of(&client, work.threads());
    // SAFETY: as in `group_rational`; partial sums are indexed below `slots * terms * cubes`.
    unsafe {
        backward::backward::launch_unchecked::<R>(
            &client,
            count,
            dim,
            address_type(&[&x.tensor, &output_gradient.tensor, &x_gradient, &partials]),
            work.vector,
            x.tensor.into_array_arg(),
            output_gradient.tensor.into_array_arg(),
            parameters.numerator.tensor.clone().into_array_arg(),
            parameters.denominator.tensor.clone().into_array_arg(),
            x_gradient.clone().into_array_arg(),
            partials.clone().into_array_arg(),
            work.grid(),
            pitches.0,
            pitches.1,
            work.form,
            x_gradient.dtype.into(),
        );
    }
    (x_gradient, combine(partials, parameters, &work))
}

/// Gradients of `F(gate) * up`: those of `gate`, of `up` and of the coefficients.
pub(super) fn gated_rational_backward<R: CubeRuntime>(
    gate: CubeTensor<R>,
    up: CubeTensor<R>,
    output_gradient: CubeTensor<R>,
    parameters: Parameters<R>,
) -> (CubeTensor<R>, CubeTensor<R>, CoefficientGradients<R>) {
    let (gate, up, output_gradient) = (Rows::new(gate), Rows::new(up), Rows::new(output_gradient));
    let work = parameters.work(&[&gate, &up, &output_gradient], BACKWARD);
    let (gate_gradient, up_gradient) = (like(&gate.tensor), like(&up.tensor));
    if work.is_empty() {
        return (gate_gradient, up_gradient, zero_gradients(&parameters));
    }
    let client = gate_gradient.client.clone();
    let partials = partial_sums(&gate_gradient, &work);
    let pitch = |rows: &Rows<R>| rows.vector_pitch(work.vector);
    let pitches = (pitch(&gate), pitch(&up), pitch(&output_gradient));
    let (count, dim) = cubes_of(&client, work.threads());
    // SAFETY: as in `group_rational_backward`.
    unsafe {
        backward::backward_gated::launch_unchecked::<R>(
            &client,
            count,
            dim,
            address_type(&[
                &gate.tensor,
                &up.tensor,
                &output_gradient.tensor,
                &gate_gradient,
                &partials,
            ]),
            work.vector,
            gate.tensor.into_array_arg(),
            up.tensor.into_array_arg(),
            output_gradient.tensor.into_array_arg(),
            parameters.numerator.tensor.clone().into_array_arg(),
            parameters.denominator.tensor.clone().into_array_arg(),
            gate_gradient.clone().into_array_arg(),
            up_gradient.clone().into_array_arg(),
            partials.clone().into_array_arg(),
            work.grid(),
            pitches.0,
            pitches.1,
            pitches.2,
            work.form,
            gate_gradient.dtype.into(),
        );
    }
    (gate_gradient, up_gradient, combine(partials, parameters, &work))
}

/// The second stage: adds the cubes' partial sums, one cube per coefficient.
fn combine<R: CubeRuntime>(partials: CubeTensor<R>, parameters: Parameters<R>, work: &Work) -> CoefficientGradients<R> {
    let client = partials.client.clone();
    let numerator = like(&parameters.numerator.tensor);
    let denominator = like(&parameters.denominator.tensor);
    let jobs = numerator.meta.num_elements() + denominator.meta.num_elements();
    let (count, dim) = cubes_of(&client, jobs * THREADS);
    // SAFETY: a cube past the last coefficient reads a partial sum that exists and writes nothing.
    unsafe {
        fold::combine::launch_unchecked::<R>(
            &client,
            count,
            dim,
            address_type(&[&partials, &numerator, &denominator]),
            partials.into_array_arg(),
            parameters.denominator.tensor.into_array_arg(),
            numerator.clone().into_array_arg(),
            denominator.clone().into_array_arg(),
            work.grid(),
            work.numerator_rows,
            work.denominator_rows,
            work.form,
        );
    }
    CoefficientGradients { numerator, denominator }
}

fn zero_gradients<R: CubeRuntime>(parameters: &Parameters<R>) -> CoefficientGradients<R> {
    let zeros = |like: &CubeTensor<R>| {
        zeros_client(
            like.client.clone(),
            like.device.clone(),
            like.meta.shape().clone(),
            like.dtype,
        )
    };
    CoefficientGradients {
        numerator: zeros(&parameters.numerator.tensor),
        denominator: zeros(&parameters.denominator.tensor),
    }
}

/// An uninitialised contiguous tensor of the same shape and type.
fn like<R: CubeRuntime>(tensor: &CubeTensor<R>) -> CubeTensor<R> {
    let shape = tensor.meta.shape().clone();
    empty_device_contiguous_dtype(tensor.client.clone(), tensor.device.clone(), shape, tensor.dtype)
}

fn partial_sums<R: CubeRuntime>(beside: &CubeTensor<R>, work: &Work) -> CubeTensor<R> {
    let shape = Shape::from([work.partials()]);
    empty_device_contiguous_dtype(beside.client.clone(), beside.device.clone(), shape, DType::F32)
}

fn cubes_of<R: CubeRuntime>(client: &ComputeClient<R>, threads: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(THREADS as u32);
    (calculate_cube_count_elemwise(client, threads, dim), dim)
}

/// 32-bit indices unless a tensor needs more.
fn address_type<R: CubeRuntime>(tensors: &[&CubeTensor<R>]) -> AddressType {
    tensors
        .iter()
        .map(|tensor| tensor.required_address_type())
        .max()
        .unwrap_or_default()
}
