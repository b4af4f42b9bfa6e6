//! The Burn module.

use crate::{
    Coefficients, Degrees, Denominator, RationalBackend, RationalError, RationalSpec, gated_rational, group_rational,
};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor, TensorData};

/// Configuration of a [`GroupRational`].
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRationalConfig {
    /// Contiguous channel groups; divides the channels. Default 8.
    pub groups: usize,
    /// Degrees of numerator and denominator. Default (5, 4).
    pub degrees: Degrees,
    /// Form of the denominator. Default [`Denominator::SumOfAbs`].
    pub denominator: Denominator,
    /// One numerator for all groups, as KAT's published code has it. Default false.
    pub share_numerator: bool,
    /// One denominator for all groups, as KAT's paper has it. Default false.
    pub share_denominator: bool,
    /// Starting coefficients of every group; shorter ones are padded with zeros. Default: identity.
    pub init: Coefficients,
}

impl Default for GroupRationalConfig {
    fn default() -> Self {
        Self {
            groups: 8,
            degrees: Degrees::default(),
            denominator: Denominator::default(),
            share_numerator: false,
            share_denominator: false,
            init: Coefficients::identity(),
        }
    }
}

impl GroupRationalConfig {
    /// A function over `channels` channels, every group starting at [`GroupRationalConfig::init`].
    ///
    /// # Errors
    /// When the degrees have no kernel, the groups do not divide the channels, or the start has a higher degree.
    pub fn init<B: Backend>(&self, channels: usize, device: &Device<B>) -> Result<GroupRational<B>, RationalError> {
        self.degrees.validate()?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            return Err(RationalError::Groups {
                channels,
                groups: self.groups,
            });
        }
        let start = self.init.padded(self.degrees)?;
        let rows = |shared: bool| if shared { 1 } else { self.groups };
        let table = |row: &[f64], rows: usize| {
            let data: Vec<f32> = (0..rows).flat_map(|_| row.iter().map(|c| *c as f32)).collect();
            let tensor = Tensor::<B, 2>::from_data(TensorData::new(data, [rows, row.len()]), device); // [G or 1, n]
            Param::from_tensor(tensor)
        };
        Ok(GroupRational {
            numerator: table(&start.numerator, rows(self.share_numerator)),
            denominator: table(&start.denominator, rows(self.share_denominator)),
            groups: self.groups,
            form: self.denominator,
        })
    }
}

/// `F(x) = P(x) / Q(x)` with learned coefficients per contiguous channel group.
#[derive(Module, Debug)]
pub struct GroupRational<B: Backend> {
    /// `[G or 1, n + 1]`, `a_0` first, f32.
    pub numerator: Param<Tensor<B, 2>>,
    /// `[G or 1, m]`, `b_1` first, f32.
    pub denominator: Param<Tensor<B, 2>>,
    /// Contiguous channel groups.
    pub groups: usize,
    #[module(skip)]
    form: Denominator,
}

impl<B: Backend> GroupRational<B> {
    /// Groups and denominator form.
    pub fn spec(&self) -> RationalSpec {
        RationalSpec {
            groups: self.groups,
            denominator: self.form,
        }
    }
}

impl<B: RationalBackend> GroupRational<B> {
    /// `F(x)`.
    ///
    /// # Shapes
    /// - `x`: `[.., D]`
    /// - output: `[.., D]`, the dtype of `x`
    pub fn forward<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        group_rational(x, self.numerator.val(), self.denominator.val(), self.spec())
    }

    /// `F(gate) * up`.
    ///
    /// # Shapes
    /// - `gate`, `up`: `[.., D]`
    /// - output: `[.., D]`, the dtype of `gate`
    pub fn forward_gated<const D: usize>(&self, gate: Tensor<B, D>, up: Tensor<B, D>) -> Tensor<B, D> {
        gated_rational(gate, up, self.numerator.val(), self.denominator.val(), self.spec())
    }
}
