//! The generated source of the kernels, so that compiled code can be inspected without a device.

use burn::tensor::DType;
use burn_custom_op::cube::{Grid, GridCompilationArg, THREADS};
use cubecl::{
    define_scalar, define_size,
    ir::{AddressType, StorageType, VectorSize},
    prelude::*,
};

use super::{
    arithmetic::{Form, Steps, StepsCompilationArg},
    backward, fold, forward,
};
use crate::{Degrees, Denominator};

define_scalar!(Element);
define_size!(Lanes);

/// A kernel of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `F(x)`
    Forward,
    /// `F(gate) * up`
    ForwardGated,
    /// First stage of the gradients of `F(x)`.
    Backward,
    /// First stage of the gradients of `F(gate) * up`.
    BackwardGated,
    /// Second stage of both: the coefficient gradients from the partial sums of the cubes.
    Combine,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Kernel; 5] = [
        Kernel::Forward,
        Kernel::ForwardGated,
        Kernel::Backward,
        Kernel::BackwardGated,
        Kernel::Combine,
    ];

    /// The kernel as CubeCL hands it to a compiler, for tensors of `dtype` in vectors of `vector` elements and 32-bit
    /// indices.
    pub fn definition(
        self,
        degrees: Degrees,
        denominator: Denominator,
        dtype: DType,
        vector: usize,
    ) -> KernelDefinition {
        self.expand(Form { degrees, denominator }, dtype, vector)
    }

    fn expand(self, form: Form, dtype: DType, vector: VectorSize) -> KernelDefinition {
        let settings = KernelSettings::default()
            .cube_dim(CubeDim::new_1d(THREADS as u32))
            .address_type(AddressType::U32)
            .kernel_name(format!("{self:?}").to_lowercase());
        let mut arguments = Arguments::new(dtype, vector);
        match self {
            Kernel::Forward => arguments.forward(form),
            Kernel::ForwardGated => arguments.forward_gated(form),
            Kernel::Backward => arguments.backward(form),
            Kernel::BackwardGated => arguments.backward_gated(form),
            Kernel::Combine => arguments.combine(form),
        }
        arguments.builder.build(settings)
    }
}

type Vectors = Array<Vector<Element, Lanes>>;

/// Declares a kernel's arguments in their order, then expands its body.
struct Arguments {
    builder: KernelBuilder,
    storage: StorageType,
    vector: VectorSize,
}

impl Arguments {
    fn new(dtype: DType, vector: VectorSize) -> Self {
        let storage = StorageType::from(dtype);
        let mut builder = KernelBuilder::default();
        builder.scope.register_type::<Element>(storage);
        builder.scope.register_size::<Lanes>(vector);
        AddressType::U32.register(&mut builder.scope);
        Self {
            builder,
            storage,
            vector,
        }
    }

    fn input<T: LaunchArg<CompilationArg = ArrayCompilationArg>>(&mut self) -> T::ExpandType {
        T::expand(&ArrayCompilationArg { inplace: None }, &mut self.builder)
    }

    fn output<T: LaunchArg<CompilationArg = ArrayCompilationArg>>(&mut self) -> T::ExpandType {
        T::expand_output(&ArrayCompilationArg { inplace: None }, &mut self.builder)
    }

    fn grid(&mut self) -> <Grid as CubeType>::ExpandType {
        let argument = GridCompilationArg {
            rows: (),
            columns: (),
            row_step: (),
            group_columns: (),
            groups: (),
            slots: (),
            cubes: (),
        };
        Grid::expand(&argument, &mut self.builder)
    }

    fn steps(&mut self) -> <Steps as CubeType>::ExpandType {
        let argument = StepsCompilationArg {
            numerator: (),
            denominator: (),
        };
        Steps::expand(&argument, &mut self.builder)
    }

    fn number(&mut self) -> <usize as CubeType>::ExpandType {
        usize::expand(&(), &mut self.builder)
    }

    fn forward(&mut self, form: Form) {
        let (x, a, b) = (
            self.input::<Vectors>(),
            self.input::<Array<f32>>(),
            self.input::<Array<f32>>(),
        );
        let output = self.output::<Vectors>();
        let (grid, steps, pitch) = (self.grid(), self.steps(), self.number());
        let scope = &mut self.builder.scope;
        forward::forward::expand::<Element, Lanes>(
            scope,
            self.vector,
            x,
            a,
            b,
            output,
            grid,
            steps,
            pitch,
            form,
            self.storage,
        );
    }

    fn forward_gated(&mut self, form: Form) {
        let (gate, up) = (self.input::<Vectors>(), self.input::<Vectors>());
        let (a, b) = (self.input::<Array<f32>>(), self.input::<Array<f32>>());
        let output = self.output::<Vectors>();
        let (grid, steps) = (self.grid(), self.steps());
        let (gate_pitch, up_pitch) = (self.number(), self.number());
        forward::forward_gated::expand::<Element, Lanes>(
            &mut self.builder.scope,
            self.vector,
            gate,
            up,
            a,
            b,
            output,
            grid,
            steps,
            gate_pitch,
            up_pitch,
            form,
            self.storage,
        );
    }

    fn backward(&mut self, form: Form) {
        let (x, gradient) = (self.input::<Vectors>(), self.input::<Vectors>());
        let (a, b) = (self.input::<Array<f32>>(), self.input::<Array<f32>>());
        let (to_x, partials) = (self.output::<Vectors>(), self.output::<Array<f32>>());
        let (grid, steps) = (self.grid(), self.steps());
        let (x_pitch, gradient_pitch) = (self.number(), self.number());
        backward::backward::expand::<Element, Lanes>(
            &mut self.builder.scope,
            self.vector,
            x,
            gradient,
            a,
            b,
            to_x,
            partials,
            grid,
            steps,
            x_pitch,
            gradient_pitch,
            form,
            self.storage,
        );
    }

    fn backward_gated(&mut self, form: Form) {
        let (gate, up, gradient) = (
            self.input::<Vectors>(),
            self.input::<Vectors>(),
            self.input::<Vectors>(),
        );
        let (a, b) = (self.input::<Array<f32>>(), self.input::<Array<f32>>());
        let (to_gate, to_up) = (self.output::<Vectors>(), self.output::<Vectors>());
        let partials = self.output::<Array<f32>>();
        let (grid, steps) = (self.grid(), self.steps());
        let (gate_pitch, up_pitch, gradient_pitch) = (self.number(), self.number(), self.number());
        backward::backward_gated::expand::<Element, Lanes>(
            &mut self.builder.scope,
            self.vector,
            gate,
            up,
            gradient,
            a,
            b,
            to_gate,
            to_up,
            partials,
            grid,
            steps,
            gate_pitch,
            up_pitch,
            gradient_pitch,
            form,
            self.storage,
        );
    }

    fn combine(&mut self, form: Form) {
        let (partials, denominator) = (self.input::<Array<f32>>(), self.input::<Array<f32>>());
        let (to_a, to_b) = (self.output::<Array<f32>>(), self.output::<Array<f32>>());
        let (grid, steps) = (self.grid(), self.steps());
        let (a_rows, b_rows) = (self.number(), self.number());
        fold::combine::expand(
            &mut self.builder.scope,
            partials,
            denominator,
            to_a,
            to_b,
            grid,
            steps,
            a_rows,
            b_rows,
            form,
        );
    }
}
