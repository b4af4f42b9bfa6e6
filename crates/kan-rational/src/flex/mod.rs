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
use burn::tensor::{DType, FloatDType, TensorData, TensorMetadata, ops::FloatTensorOps};
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
    let tensor = match tensor.dtype() {
        DType::F32 => tensor.clone(),
        _ => Flex::float_cast(tensor.clone(), FloatDType::F32),
    };
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The values of a tensor that came from [`floats`].
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("`floats` makes contiguous f32 tensors")
}

/// One call: sizes, coefficients per group, and what its results must look like.
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
        let groups = (0..geometry.groups).map(|g| {
            let mut group = Group {
                a: Default::default(),
                b: Default::default(),
            };
            let row = if geometry.shared_numerator { 0 } else { g };
            group.a[..columns_a].copy_from_slice(&a[row * columns_a..][..columns_a]);
            let row = if geometry.shared_denominator { 0 } else { g };
            group.b[..columns_b].copy_from_slice(&b[row * columns_b..][..columns_b]);
            if spec.denominator == Denominator::SumOfAbs {
                group.b = group.b.map(f32::abs);
            }
            group
        });
        Self {
            groups: groups.collect(),
            signed: b.to_vec(),
            form: spec.denominator,
            shape: x.shape().to_vec(),
            dtype: x.dtype(),
            geometry,
        }
    }

    /// Elements of one block: whole rows, at least one.
    fn block(&self) -> usize {
        self.geometry.channels() * (BLOCK / self.geometry.channels()).max(1)
    }

    fn forward(&self, x: &FlexTensor, up: Option<&FlexTensor>) -> Vec<f32> {
        let (x, size) = (values(x), self.block());
        let (up, gated) = (up.map_or(x, values), up.is_some());
        let mut out = vec![0.0; x.len()];
        let run = |((x, up), out): ((&[f32], &[f32]), &mut [f32])| {
            let block = Block {
                x,
                up,
                groups: &self.groups,
                width: self.geometry.width,
            };
            dispatch!(self.geometry.degrees, self.form, gated, forward(&block, out));
        };
        if x.len() <= size {
            run(((x, up), &mut out));
        } else {
            x.par_chunks(size)
                .zip(up.par_chunks(size))
                .zip(out.par_chunks_mut(size))
                .for_each(run);
        }
        out
    }

    fn backward(&self, x: &FlexTensor, up: Option<&FlexTensor>, output: &FlexTensor) -> Found {
        let (x, output, size) = (values(x), values(output), self.block());
        let gated = up.is_some();
        let up = up.map_or(x, values);
        let mut found = Found {
            x: vec![0.0; x.len()],
            up: if gated { vec![0.0; x.len()] } else { Vec::new() },
            sums: vec![[0.0; TERMS]; self.geometry.groups],
        };
        // Ungated, the second output does not exist: its chunks are empty slices, one per block.
        let count = x.len().div_ceil(size);
        let mut empty: Vec<&mut [f32]> = (0..count).map(|_| Default::default()).collect();
        let up_chunks: Vec<&mut [f32]> = if gated {
            found.up.chunks_mut(size).collect()
        } else {
            std::mem::take(&mut empty)
        };
        let inputs = x.par_chunks(size).zip(up.par_chunks(size)).zip(output.par_chunks(size));
        let outputs = found.x.par_chunks_mut(size).zip(up_chunks.into_par_iter());
        let partials: Vec<Vec<Sums>> = inputs
            .zip(outputs)
            .map(|(((x, up), output), (x_gradient, up_gradient))| {
                let block = Block {
                    x,
                    up,
                    groups: &self.groups,
                    width: self.geometry.width,
                };
                let mut gradients = Gradients {
                    output,
                    x: x_gradient,
                    up: up_gradient,
                };
                dispatch!(
                    self.geometry.degrees,
                    self.form,
                    gated,
                    backward(&block, &mut gradients)
                )
            })
            .collect();
        for partial in partials {
            for (total, sums) in found.sums.iter_mut().zip(partial) {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
        }
        found
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
        let tensor = FlexTensor::from_data(TensorData::new(values, self.shape.clone())); // [.., D]
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
    FlexTensor::from_data(TensorData::new(values, [rows, columns])) // [G or 1, columns]
}
