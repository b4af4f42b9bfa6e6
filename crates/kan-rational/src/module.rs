use crate::{
    Activation, Coefficients, Degrees, Denominator, RationalBackend, RationalError, RationalSpec, gated_rational,
    group_rational,
};
use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use serde::{Deserialize, Serialize};

/// The initial function of a [`GroupRational`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The best coefficients known here for this function, degrees and form
    /// ([`Activation::coefficients`]).
    Activation(Activation),
    /// The coefficients published with the Kolmogorov-Arnold Transformer ([`Activation::published`]), whatever form
    /// they were fitted for.
    Published(Activation),
    /// The stored minimax fit on `[-range, range]` ([`Activation::minimax`]).
    Minimax {
        /// The function that the coefficients are fitted to.
        activation: Activation,
        /// Half-width of the range fitted, one of those stored: 3, 4, 5, 6, 8, 10, 12 or 16.
        range: u32,
    },
    /// These coefficients in every group.
    Coefficients(Coefficients),
    /// One set of coefficients per group. A shared part is taken from the first group.
    PerGroup(Vec<Coefficients>),
}

impl Default for Init {
    fn default() -> Self {
        Self::Activation(Activation::Swish)
    }
}

impl From<Activation> for Init {
    fn from(activation: Activation) -> Self {
        Self::Activation(activation)
    }
}

/// Configuration of [`GroupRational`]: which function, and where it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupRationalConfig {
    /// Number of groups; must divide the channels. Default 8.
    pub groups: usize,
    /// Degrees of numerator and denominator. Default (5, 4).
    pub degrees: Degrees,
    /// Form of the denominator. Default form A, [`Denominator::SumOfAbs`].
    pub denominator: Denominator,
    /// One numerator for all groups, as the published code has it. Default false.
    pub share_numerator: bool,
    /// One denominator for all groups. Default false.
    pub share_denominator: bool,
    /// Where the coefficients start. Default: fitted to swish.
    pub init: Init,
}

impl Default for GroupRationalConfig {
    fn default() -> Self {
        Self {
            groups: 8,
            degrees: Degrees::default(),
            denominator: Denominator::default(),
            share_numerator: false,
            share_denominator: false,
            init: Init::default(),
        }
    }
}

impl GroupRationalConfig {
    /// The defaults: 8 groups, degrees (5, 4), form A, nothing shared, starting as swish.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of groups.
    pub fn with_groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Sets the degrees of numerator and denominator.
    pub fn with_degrees(mut self, degrees: Degrees) -> Self {
        self.degrees = degrees;
        self
    }

    /// Sets the form of the denominator, which coefficients are made for.
    pub fn with_denominator(mut self, denominator: Denominator) -> Self {
        self.denominator = denominator;
        self
    }

    /// Sets whether one numerator serves every group.
    pub fn with_share_numerator(mut self, share: bool) -> Self {
        self.share_numerator = share;
        self
    }

    /// Sets whether one denominator serves every group.
    pub fn with_share_denominator(mut self, share: bool) -> Self {
        self.share_denominator = share;
        self
    }

    /// Sets where the coefficients start.
    pub fn with_init(mut self, init: impl Into<Init>) -> Self {
        self.init = init.into();
        self
    }

    /// Checks that this configuration can serve `channels` channels.
    ///
    /// # Errors
    /// [`RationalError::Groups`], [`RationalError::Degrees`], and what the initial coefficients lack.
    pub fn validate(&self, channels: usize) -> Result<(), RationalError> {
        if self.groups == 0 || channels == 0 || !channels.is_multiple_of(self.groups) {
            return Err(RationalError::Groups {
                channels,
                groups: self.groups,
            });
        }
        self.degrees.validate()?;
        self.coefficients().map(drop)
    }

    /// The initial coefficients, one entry per group.
    ///
    /// # Errors
    /// [`RationalError::NoTable`] when nothing is stored for the function and degrees,
    /// [`RationalError::Length`] when coefficients or groups do not match in number, [`RationalError::NotFinite`] for
    /// a coefficient that f32 cannot hold.
    pub fn coefficients(&self) -> Result<Vec<Coefficients>, RationalError> {
        let one = match &self.init {
            Init::Activation(activation) => activation.coefficients(self.degrees, self.denominator)?,
            Init::Published(activation) => activation.published_for(self.degrees)?,
            Init::Minimax { activation, range } => activation.minimax_for(self.degrees, *range)?,
            Init::Coefficients(coefficients) => coefficients.clone(),
            Init::PerGroup(list) if list.len() == self.groups => {
                return list.iter().map(|entry| self.checked(entry)).collect();
            }
            Init::PerGroup(list) => {
                return Err(RationalError::Length {
                    what: "init",
                    expected: self.groups,
                    found: list.len(),
                });
            }
        };
        Ok(vec![self.checked(&one)?; self.groups])
    }

    /// Coefficients padded to the degrees, each one that an f32 parameter can hold.
    fn checked(&self, coefficients: &Coefficients) -> Result<Coefficients, RationalError> {
        let padded = coefficients.padded(self.degrees)?;
        let stored = padded.in_f32();
        for (what, list) in [("numerator", &stored.numerator), ("denominator", &stored.denominator)] {
            if let Some(index) = list.iter().position(|value| !value.is_finite()) {
                let value = list[index];
                return Err(RationalError::NotFinite { what, index, value });
            }
        }
        Ok(padded)
    }

    /// The module on `device`, with f32 coefficients regardless of the backend's default float type.
    ///
    /// # Panics
    /// When [`validate`](Self::validate) would refuse.
    pub fn init<B: Backend>(&self, channels: usize, device: &B::Device) -> GroupRational<B> {
        self.try_init(channels, device)
            .unwrap_or_else(|error| panic!("GroupRationalConfig: {error}"))
    }

    /// [`init`](Self::init) for configurations from outside.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn try_init<B: Backend>(&self, channels: usize, device: &B::Device) -> Result<GroupRational<B>, RationalError> {
        self.validate(channels)?;
        let groups = self.coefficients()?;
        let numerator = groups.iter().map(|entry| entry.numerator.as_slice());
        let denominator = groups.iter().map(|entry| entry.denominator.as_slice());
        Ok(GroupRational {
            numerator: parameter(numerator, self.share_numerator, device),
            denominator: parameter(denominator, self.share_denominator, device),
            groups: self.groups,
            form: self.denominator,
        })
    }
}

/// f64 rows as an f32 parameter `[rows or 1, columns]`.
fn parameter<'a, B: Backend>(
    rows: impl Iterator<Item = &'a [f64]>,
    shared: bool,
    device: &B::Device,
) -> Param<Tensor<B, 2>> {
    let rows: Vec<&[f64]> = rows.take(if shared { 1 } else { usize::MAX }).collect();
    let columns = rows[0].len(); // `validate` refuses a configuration without groups
    let values: Vec<f32> = rows
        .iter()
        .flat_map(|row| row.iter().map(|&value| value as f32))
        .collect();
    let data = TensorData::new(values, [rows.len(), columns]);
    Param::from_tensor(Tensor::from_data(data, (device, DType::F32))) // [G or 1, columns]
}

/// A learnable rational activation per group of channels: `F(x) = P(x) / Q(x)`.
///
/// Made by [`GroupRationalConfig::init`]. The coefficients stay f32 when activations are f16 or bf16.
#[derive(Module, Debug)]
pub struct GroupRational<B: Backend> {
    /// `a_0 ..= a_n` of each group: `[G or 1, n + 1]`, f32.
    pub numerator: Param<Tensor<B, 2>>,
    /// `b_1 ..= b_m` of each group: `[G or 1, m]`, f32.
    pub denominator: Param<Tensor<B, 2>>,
    groups: usize,
    #[module(skip)]
    form: Denominator,
}

impl<B: Backend> GroupRational<B> {
    /// Groups and form, as [`RationalBackend`] takes them.
    pub fn spec(&self) -> RationalSpec {
        RationalSpec {
            groups: self.groups,
            denominator: self.form,
        }
    }

    /// Degrees, read off the parameters.
    pub fn degrees(&self) -> Degrees {
        Degrees {
            numerator: self.numerator.dims()[1] - 1,
            denominator: self.denominator.dims()[1],
        }
    }
}

impl<B: RationalBackend> GroupRational<B> {
    /// `F(x)`.
    ///
    /// # Shapes
    /// - x: `[.., D]`; returns `[.., D]` in the dtype of `x`
    pub fn forward<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        group_rational(x, self.numerator.val(), self.denominator.val(), self.spec())
    }

    /// `F(gate) * up`.
    ///
    /// # Shapes
    /// - gate, up: `[.., D]`; returns `[.., D]` in the dtype of `gate`
    pub fn forward_gated<const D: usize>(&self, gate: Tensor<B, D>, up: Tensor<B, D>) -> Tensor<B, D> {
        gated_rational(gate, up, self.numerator.val(), self.denominator.val(), self.spec())
    }
}
