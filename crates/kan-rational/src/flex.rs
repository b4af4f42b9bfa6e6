//! One-pass implementation on the CPU backend Flex. It reads every input once, writes every output once, and uses all
//! cores.
//!
//! The rows are divided into blocks whose size depends only on the shape. Each block returns its coefficient sums in
//! f64. These are added in block order, so gradients are bit-identical for any number of threads.

mod kernel;
mod lanes;

use crate::{
    Denominator, GatedGradients, Geometry, RationalBackend, RationalGradients, RationalSpec, checked, reference,
};
use burn::tensor::{DType, FloatDType, TensorMetadata, ops::FloatTensorOps};
use burn_custom_op::flex::{contiguous, from_values, values, whole_rows};
use burn_flex::{Flex, FlexTensor};
use kernel::{Block, Compiled, Gradients, Group, Sums, TERMS, backward, compiled, dispatch, forward, rung};
use rayon::prelude::*;

/// Elements of one block: its slices stay in the first-level cache, and a block costs far more than scheduling it.
const BLOCK: usize = 8192;

impl RationalBackend for Flex {
    fn group_rational(x: FlexTensor, numerator: FlexTensor, denominator: FlexTensor, spec: RationalSpec) -> FlexTensor {
        let geometry = checked::group_rational::<Self>(&x, &numerator, &denominator, spec);
        if x.dtype() == DType::F64 {
            return reference::group_rational::<Self>(x, numerator, denominator, spec);
        }
        let call = Call::new(geometry, &x, &numerator, &denominator, spec);
        call.finish(call.forward(&floats(&x), None))
    }

    fn group_rational_backward(
        x: FlexTensor,
        numerator: FlexTensor,
        denominator: FlexTensor,
        grad_output: FlexTensor,
        spec: RationalSpec,
    ) -> RationalGradients<Self> {
        let geometry = checked::group_rational_backward::<Self>(&x, &numerator, &denominator, &grad_output, spec);
        if x.dtype() == DType::F64 {
            return reference::group_rational_backward::<Self>(x, numerator, denominator, grad_output, spec);
        }
        let call = Call::new(geometry, &x, &numerator, &denominator, spec);
        let found = call.backward(&floats(&x), None, &floats(&grad_output));
        let (numerator, denominator) = call.coefficient_gradients(&found.sums);
        RationalGradients {
            input: call.finish(found.x),
            numerator,
            denominator,
        }
    }

    fn gated_rational(
        gate: FlexTensor,
        up: FlexTensor,
        numerator: FlexTensor,
        denominator: FlexTensor,
        spec: RationalSpec,
    ) -> FlexTensor {
        let geometry = checked::gated_rational::<Self>(&gate, &up, &numerator, &denominator, spec);
        if gate.dtype() == DType::F64 {
            return reference::gated_rational::<Self>(gate, up, numerator, denominator, spec);
        }
        let call = Call::new(geometry, &gate, &numerator, &denominator, spec);
        call.finish(call.forward(&floats(&gate), Some(&floats(&up))))
    }

    fn gated_rational_backward(
        gate: FlexTensor,
        up: FlexTensor,
        numerator: FlexTensor,
        denominator: FlexTensor,
        grad_output: FlexTensor,
        spec: RationalSpec,
    ) -> GatedGradients<Self> {
        let geometry =
            checked::gated_rational_backward::<Self>(&gate, &up, &numerator, &denominator, &grad_output, spec);
        if gate.dtype() == DType::F64 {
            return reference::gated_rational_backward::<Self>(gate, up, numerator, denominator, grad_output, spec);
        }
        let call = Call::new(geometry, &gate, &numerator, &denominator, spec);
        let found = call.backward(&floats(&gate), Some(&floats(&up)), &floats(&grad_output));
        let (numerator, denominator) = call.coefficient_gradients(&found.sums);
        GatedGradients {
            gate: call.finish(found.x),
            up: call.finish(found.up),
            numerator,
            denominator,
        }
    }
}

/// A contiguous f32 tensor of the same values; free when `tensor` already is one.
fn floats(tensor: &FlexTensor) -> FlexTensor {
    contiguous(Flex::float_cast(tensor.clone(), FloatDType::F32))
}

/// One call: sizes, coefficients per group, and the shape and type of its results.
struct Call {
    geometry: Geometry,
    form: Denominator,
    groups: Vec<Group>,
    /// Coefficients of the denominator as given, for the signs of their gradients.
    signed: Vec<f32>,
    shape: Vec<usize>,
    dtype: DType,
}

/// Gradients of the inputs and the sums of every group.
struct Found {
    x: Vec<f32>,
    up: Vec<f32>,
    sums: Vec<Sums>,
}

impl Call {
    fn new(
        geometry: Geometry,
        x: &FlexTensor,
        numerator: &FlexTensor,
        denominator: &FlexTensor,
        spec: RationalSpec,
    ) -> Self {
        let (numerator, denominator) = (floats(numerator), floats(denominator));
        let (a, b) = (values(&numerator), values(&denominator));
        let (columns_a, columns_b) = (geometry.degrees.numerator + 1, geometry.degrees.denominator);
        let mut groups = vec![Group::default(); geometry.groups];
        for (g, group) in groups.iter_mut().enumerate() {
            let row = if geometry.shared_numerator { 0 } else { g };
            group.a[..columns_a].copy_from_slice(&a[row * columns_a..][..columns_a]);
            let row = if geometry.shared_denominator { 0 } else { g };
            group.b[..columns_b].copy_from_slice(&b[row * columns_b..][..columns_b]);
            if spec.denominator == Denominator::SumOfAbs {
                group.b = group.b.map(f32::abs);
            }
        }
        Self {
            groups,
            signed: b.to_vec(),
            form: spec.denominator,
            shape: x.shape().to_vec(),
            dtype: x.dtype(),
            geometry,
        }
    }

    /// Elements of one block.
    fn block_size(&self) -> usize {
        whole_rows(BLOCK, self.geometry.channels())
    }

    fn block<'a>(&'a self, x: &'a [f32], up: &'a [f32]) -> Block<'a> {
        Block {
            x,
            up,
            groups: &self.groups,
            width: self.geometry.width,
        }
    }

    fn forward(&self, x: &FlexTensor, up: Option<&FlexTensor>) -> Vec<f32> {
        let (x, size) = (values(x), self.block_size());
        let (up, gated) = (up.map_or(x, values), up.is_some());
        let mut out = vec![0.0; x.len()];
        if x.len() <= size {
            self.forward_block(&self.block(x, up), gated, &mut out);
        } else {
            x.par_chunks(size)
                .zip(up.par_chunks(size))
                .zip(out.par_chunks_mut(size))
                .for_each(|((x, up), out)| self.forward_block(&self.block(x, up), gated, out));
        }
        out
    }

    fn forward_block(&self, block: &Block<'_>, gated: bool, out: &mut [f32]) {
        dispatch!(self.geometry.degrees, self.form, gated, forward(block, out));
    }

    fn backward(&self, x: &FlexTensor, up: Option<&FlexTensor>, output: &FlexTensor) -> Found {
        let (x, output, size) = (values(x), values(output), self.block_size());
        let (up, gated) = (up.map_or(x, values), up.is_some());
        let mut found = Found {
            x: vec![0.0; x.len()],
            up: vec![0.0; if gated { x.len() } else { 0 }],
            sums: vec![[0.0; TERMS]; self.geometry.groups],
        };
        // Without a gate there is no second output: its chunks are empty slices, one per block.
        let mut up_chunks: Vec<&mut [f32]> = found.up.chunks_mut(size).collect();
        up_chunks.resize_with(x.len().div_ceil(size), Default::default);
        let inputs = x.par_chunks(size).zip(up.par_chunks(size)).zip(output.par_chunks(size));
        let outputs = found.x.par_chunks_mut(size).zip(up_chunks);
        let partials: Vec<Vec<Sums>> = inputs
            .zip(outputs)
            .map(|(((x, up), output), (x_gradient, up_gradient))| {
                let mut gradients = Gradients {
                    output,
                    x: x_gradient,
                    up: up_gradient,
                };
                self.backward_block(&self.block(x, up), gated, &mut gradients)
            })
            .collect();
        for partial in partials {
            for (total, sums) in found.sums.iter_mut().zip(partial) {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
        }
        found
    }

    fn backward_block(&self, block: &Block<'_>, gated: bool, gradients: &mut Gradients<'_>) -> Vec<Sums> {
        dispatch!(self.geometry.degrees, self.form, gated, backward(block, gradients))
    }

    /// `dL/da` and `dL/db` from the sums over all blocks.
    fn coefficient_gradients(&self, sums: &[Sums]) -> (FlexTensor, FlexTensor) {
        let Geometry {
            groups,
            degrees,
            shared_numerator,
            shared_denominator,
            ..
        } = self.geometry;
        let first = compiled(degrees).numerator + 1;
        let mut a = vec![0.0f64; if shared_numerator { 1 } else { groups } * (degrees.numerator + 1)];
        let mut b = vec![0.0f64; if shared_denominator { 1 } else { groups } * degrees.denominator];
        for (g, sums) in sums.iter().enumerate() {
            let row = if shared_numerator { 0 } else { g };
            for k in 0..=degrees.numerator {
                a[row * (degrees.numerator + 1) + k] += sums[k];
            }
            let row = if shared_denominator { 0 } else { g };
            for k in 0..degrees.denominator {
                let at = row * degrees.denominator + k;
                let negative = self.form == Denominator::SumOfAbs && self.signed[at] < 0.0;
                b[at] += if negative { sums[first + k] } else { -sums[first + k] };
            }
        }
        (table(&a, degrees.numerator + 1), table(&b, degrees.denominator))
    }

    /// The result in the shape and dtype of the input.
    fn finish(&self, values: Vec<f32>) -> FlexTensor {
        let tensor = from_values(values, &self.shape); // [.., D]
        match self.dtype {
            DType::F16 => Flex::float_cast(tensor, FloatDType::F16),
            DType::BF16 => Flex::float_cast(tensor, FloatDType::BF16),
            _ => tensor,
        }
    }
}

fn table(values: &[f64], columns: usize) -> FlexTensor {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let rows = values.len() / columns;
    from_values(values, &[rows, columns]) // [G or 1, columns]
}
