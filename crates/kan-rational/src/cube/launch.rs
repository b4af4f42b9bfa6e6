//! The host code of the four operations. It allocates outputs, launches kernels and returns the results. `checked` has
//! already checked the tensors.

use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use burn_custom_op::cube::{Rows, Sharing, THREADS, Work, address_type, cubes, like, partial_sums, zeros};

use super::{
    arithmetic::{Form, StepsLaunch},
    backward, fold, forward,
};
use crate::{Degrees, RationalSpec};

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
    groups: usize,
    form: Form,
}

impl<R: CubeRuntime> Parameters<R> {
    /// Coefficients `[G or 1, n + 1]` and `[G or 1, m]`, f32.
    pub(super) fn new(numerator: CubeTensor<R>, denominator: CubeTensor<R>, spec: RationalSpec) -> Self {
        let degrees = Degrees::new(numerator.meta.shape()[1] - 1, denominator.meta.shape()[1]);
        Self {
            numerator: Rows::new(numerator),
            denominator: Rows::new(denominator),
            groups: spec.groups,
            form: Form {
                degrees,
                denominator: spec.denominator,
            },
        }
    }

    /// Rows of numerators and denominators: one for all groups, or one each.
    fn rows(&self) -> [usize; 2] {
        [&self.numerator, &self.denominator].map(|rows| rows.tensor.meta.shape()[0])
    }

    fn steps(&self) -> StepsLaunch<R> {
        let [numerator, denominator] = self.rows();
        StepsLaunch::new(
            if numerator == 1 { 0 } else { self.numerator.pitch },
            if denominator == 1 { 0 } else { self.denominator.pitch },
        )
    }

    fn work(&self, tensors: &[&Rows<R>], sharing: Sharing) -> Work {
        // Coefficients shared by all groups: there is one group.
        let groups = if self.rows() == [1, 1] { 1 } else { self.groups };
        Work::new(tensors, groups, self.form.terms(), sharing)
    }

    fn zero_gradients(&self) -> CoefficientGradients<R> {
        CoefficientGradients {
            numerator: zeros(&self.numerator.tensor),
            denominator: zeros(&self.denominator.tensor),
        }
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
    let (count, dim) = cubes(&client, work.threads());
    let (steps, form) = (parameters.steps(), parameters.form);
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
            steps,
            pitch,
            form,
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
    let (count, dim) = cubes(&client, work.threads());
    let (steps, form) = (parameters.steps(), parameters.form);
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
            steps,
            pitches.0,
            pitches.1,
            form,
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
        return (x_gradient, parameters.zero_gradients());
    }
    let client = x_gradient.client.clone();
    let partials = partial_sums(&x_gradient, &work);
    let pitches = (x.vector_pitch(work.vector), output_gradient.vector_pitch(work.vector));
    let (count, dim) = cubes(&client, work.threads());
    let (steps, form) = (parameters.steps(), parameters.form);
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
            steps,
            pitches.0,
            pitches.1,
            form,
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
        return (gate_gradient, up_gradient, parameters.zero_gradients());
    }
    let client = gate_gradient.client.clone();
    let partials = partial_sums(&gate_gradient, &work);
    let pitches = [&gate, &up, &output_gradient].map(|rows| rows.vector_pitch(work.vector));
    let (count, dim) = cubes(&client, work.threads());
    let (steps, form) = (parameters.steps(), parameters.form);
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
            steps,
            pitches[0],
            pitches[1],
            pitches[2],
            form,
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
    let (count, dim) = cubes(&client, jobs * THREADS);
    let (steps, form, [numerator_rows, denominator_rows]) = (parameters.steps(), parameters.form, parameters.rows());
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
            steps,
            numerator_rows,
            denominator_rows,
            form,
        );
    }
    CoefficientGradients { numerator, denominator }
}
