//! The Burn module and its configuration.

use crate::support::numbers;
use burn::tensor::{Tensor, activation::silu};
use kan_rational::{
    Activation, Coefficients, Degrees, Denominator, GroupRationalConfig, Init, RationalError, RationalSpec,
};

type B = crate::Device;

#[test]
fn a_default_module_is_nearly_silu() {
    let device = Default::default();
    let module = GroupRationalConfig::new().init::<B>(24, &device);
    assert_eq!((module.numerator.dims(), module.denominator.dims()), ([8, 6], [8, 4]));
    assert_eq!(
        (module.spec(), module.degrees()),
        (RationalSpec::new(8), Degrees::new(5, 4))
    );
    let x = Tensor::<B, 1>::linspace_for_test(&device);
    let error = (module.forward(x.clone()) - silu(x.clone())).abs().max();
    assert!(numbers(error)[0] < 5.3e-4);
    let up = x.clone() * 0.5 + 1.0;
    let error = (module.forward_gated(x.clone(), up.clone()) - module.forward(x) * up)
        .abs()
        .max();
    assert!(numbers(error)[0] < 1e-6);
}

trait Linspace {
    fn linspace_for_test(device: &<B as burn::tensor::backend::BackendTypes>::Device) -> Self;
}

impl Linspace for Tensor<B, 1> {
    fn linspace_for_test(device: &<B as burn::tensor::backend::BackendTypes>::Device) -> Self {
        let values: Vec<f32> = (0..240).map(|i| -8.0 + 16.0 * i as f32 / 239.0).collect();
        Self::from_floats(values.as_slice(), device) // [D]
    }
}

#[test]
fn sharing_gives_one_row() {
    let config = GroupRationalConfig::new()
        .with_share_numerator(true)
        .with_share_denominator(true);
    let module = config.init::<B>(16, &Default::default());
    assert_eq!((module.numerator.dims(), module.denominator.dims()), ([1, 6], [1, 4]));
}

#[test]
fn each_group_keeps_its_own_start() {
    let set = |scale: f64| Coefficients::new(&[0.0, scale], &[0.0]);
    let config = GroupRationalConfig::new()
        .with_groups(2)
        .with_denominator(Denominator::AbsOfSum)
        .with_init(Init::PerGroup(vec![set(2.0), set(3.0)]));
    let module = config.init::<B>(4, &Default::default());
    let x = Tensor::<B, 2>::from_floats([[1.0, 2.0, 3.0, 4.0]], &Default::default());
    assert_eq!(numbers(module.forward(x)), [2.0, 4.0, 9.0, 12.0]);
}

#[test]
fn impossible_configurations_are_refused_by_name() {
    let config = GroupRationalConfig::new();
    assert_eq!(
        config.validate(20),
        Err(RationalError::Groups {
            channels: 20,
            groups: 8
        })
    );
    let degrees = Degrees::new(10, 4);
    assert_eq!(
        config.clone().with_degrees(degrees).validate(16),
        Err(RationalError::Degrees { found: degrees })
    );
    assert_eq!("7, 6".parse(), Ok(Degrees::new(7, 6)));
    assert_eq!(
        "10,4".parse::<Degrees>(),
        Err(RationalError::Degrees { found: degrees })
    );
    for found in ["", "5", "5,4,3", "5;4", "-1,4"] {
        let found = found.to_owned();
        assert_eq!(found.parse::<Degrees>(), Err(RationalError::DegreesText { found }));
    }
    let short = config.clone().with_init(Init::PerGroup(Vec::new()));
    assert_eq!(
        short.validate(16),
        Err(RationalError::Length {
            what: "init",
            expected: 8,
            found: 0
        })
    );
    let large = Coefficients::new(&[0.0, 1e39], &[0.0]);
    assert_eq!(
        config.clone().with_init(Init::Coefficients(large)).validate(16),
        Err(RationalError::NotFinite {
            what: "numerator",
            index: 1,
            value: f64::INFINITY
        })
    );
    let stored = config.with_init(Init::Minimax {
        activation: Activation::Relu,
        range: 8,
    });
    assert!(matches!(
        stored.validate(16),
        Err(RationalError::NoTable { table: "minimax", .. })
    ));
}

#[test]
fn configurations_round_trip_and_refuse_unknown_keys() {
    let config = GroupRationalConfig::new()
        .with_init(Activation::Identity)
        .with_share_numerator(true);
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<GroupRationalConfig>(&written).unwrap(), config);
    assert_eq!(
        serde_json::from_str::<GroupRationalConfig>("{}").unwrap(),
        GroupRationalConfig::new()
    );
    assert!(serde_json::from_str::<GroupRationalConfig>("{\"group\": 4}").is_err());
}

/// Casting a whole model to half precision must not make the function compute in it. WGPU has no bf16 to cast to.
#[cfg(not(feature = "wgpu"))]
mod half_precision {
    use super::*;
    use burn::{
        module::{Module, ModuleMapper, Param},
        tensor::{DType, backend::Backend},
    };

    struct ToHalf;

    impl<B: Backend> ModuleMapper<B> for ToHalf {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            parameter.map(|tensor| tensor.cast(DType::BF16))
        }
    }

    #[test]
    fn coefficients_are_widened() {
        let device = Default::default();
        let module = GroupRationalConfig::new()
            .with_init(Activation::Identity)
            .init::<B>(240, &device)
            .map(&mut ToHalf);
        assert_eq!(module.numerator.dtype(), DType::BF16);
        let x = Tensor::<B, 1>::linspace_for_test(&device);
        let y = module.forward(x.clone());
        assert_eq!(y.dtype(), DType::F32);
        assert_eq!(numbers(y), numbers(x));
    }
}
