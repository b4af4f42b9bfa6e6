//! Stored coefficients against the errors stated next to them, and the activations against known values.

use kan_rational::{Activation, Degrees, Denominator, RationalError};

const POINTS: usize = 60_001;

#[test]
fn published_errors_are_as_stated() {
    for activation in Activation::ALL {
        let Some(entry) = activation.published() else { continue };
        let stated = [
            (Denominator::SumOfAbs, entry.max_error_sum_of_abs),
            (Denominator::AbsOfSum, entry.max_error_abs_of_sum),
        ];
        for (form, stated) in stated {
            let found = entry
                .coefficients()
                .max_error(form, |x| activation.eval(x), (-3.0, 3.0), POINTS);
            assert!(
                (found - stated).abs() <= 0.01 * stated + 1e-9,
                "{activation:?} {form:?}: {found:e} {stated:e}"
            );
        }
    }
}

#[test]
fn minimax_errors_are_as_stated_under_both_forms() {
    for activation in [Activation::Swish, Activation::Gelu] {
        for range in [3, 4, 5, 6, 8, 10, 12, 16] {
            for degrees in [Degrees::new(5, 4), Degrees::new(7, 6)] {
                let Some(entry) = activation.minimax(degrees, range) else {
                    continue;
                };
                let half = f64::from(range);
                for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
                    let found = entry
                        .coefficients()
                        .max_error(form, |x| activation.eval(x), (-half, half), POINTS);
                    let name = format!("{activation:?} {degrees} {range}");
                    assert!(
                        (found / entry.max_error - 1.0).abs() < 0.01,
                        "{name}: {found:e} {:e}",
                        entry.max_error
                    );
                }
            }
        }
    }
}

#[test]
fn tables_fitted_for_the_other_form_are_refused() {
    let degrees = Degrees::default();
    let refused = Activation::Relu.coefficients(degrees, Denominator::AbsOfSum);
    assert!(matches!(
        refused,
        Err(RationalError::NoTable { activation: "relu", .. })
    ));
    assert!(Activation::Relu.coefficients(degrees, Denominator::SumOfAbs).is_ok());
    assert!(!Activation::Gelu.published().unwrap().valid_under(Denominator::SumOfAbs));
    for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        let swish = Activation::Swish.coefficients(Degrees::new(7, 6), form).unwrap();
        assert!(swish.max_error(form, |x| Activation::Swish.eval(x), (-8.0, 8.0), POINTS) < 1e-6);
        assert_eq!(swish.growth(), 1);
    }
    assert!(matches!(
        Activation::Swish.coefficients(Degrees::new(3, 2), Denominator::SumOfAbs),
        Err(RationalError::NoTable { .. })
    ));
}

#[test]
fn exact_starts_are_exact() {
    for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        let identity = Activation::Identity.coefficients(Degrees::new(1, 1), form).unwrap();
        let zero = Activation::Zero.coefficients(Degrees::new(9, 8), form).unwrap();
        for x in [-1e4, -0.3, 0.0, 2.0] {
            assert_eq!(zero.eval(x, form), 0.0);
            if form == Denominator::SumOfAbs {
                assert_eq!((identity.eval(x, form), identity.growth()), (x, 1));
            } else {
                assert_eq!(identity.eval(x, form), x / (1.0 + 1e-6 * x.abs()));
            }
        }
        assert_eq!(zero.growth(), i32::MIN);
    }
}

#[test]
fn gelu_uses_the_normal_distribution() {
    // Phi(1), Phi(-3) and Phi(-8) from tables of the normal distribution.
    for (x, phi) in [
        (1.0, 0.841_344_746_068_542_9),
        (-3.0, 1.349_898_031_630_094_5e-3),
        (-8.0, 6.220_960_574_271_785e-16),
    ] {
        let found = Activation::Gelu.eval(x);
        assert!((found / (x * phi) - 1.0).abs() < 1e-12, "{x}: {found:e}");
    }
    for z in [3.53, 3.54, -3.53, -3.54] {
        let (left, right) = (Activation::Gelu.eval(z - 1e-9), Activation::Gelu.eval(z + 1e-9));
        assert!((left - right).abs() < 1e-8, "the two expansions meet");
    }
}

#[test]
fn names_round_trip_through_files() {
    for activation in Activation::ALL {
        let written = serde_json::to_string(&activation).unwrap();
        assert_eq!(written, format!("\"{}\"", activation.name()));
        assert_eq!(serde_json::from_str::<Activation>(&written).unwrap(), activation);
    }
    assert_eq!(serde_json::to_string(&Denominator::SumOfAbs).unwrap(), "\"sum_of_abs\"");
    assert_eq!(serde_json::to_string(&Denominator::AbsOfSum).unwrap(), "\"abs_of_sum\"");
}
