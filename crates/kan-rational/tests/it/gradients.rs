//! The formulas themselves: central differences in f64, and the start where automatic derivatives fail.

use crate::support::{Case, autodiff, noise};
use fixtures::tolerance::RATIONAL_CENTRAL_DIFFERENCE;
use kan_rational::{Activation, Degrees, Denominator, reference::scalar};

const H: f64 = 1e-5;

fn close(found: f64, difference: f64, what: &str) {
    let error = (found - difference).abs() / difference.abs().max(1.0);
    assert!(
        error < RATIONAL_CENTRAL_DIFFERENCE,
        "{what}: {found} {difference} ({error:e})"
    );
}

#[test]
fn explicit_gradients_agree_with_central_differences() {
    for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        let mut checked = 0;
        // Every degree up to (9, 8), three times.
        for seed in 0..216 {
            let values = noise(seed, 19);
            let (n, m) = (1 + seed as usize % 9, 1 + seed as usize / 9 % 8);
            let reach = 27f64.powf(1.0 / n.max(m) as f64).min(3.0);
            let (x, a, b) = (
                reach * values[0],
                values[1..2 + n].to_vec(),
                values[11..11 + m].to_vec(),
            );
            let away = b.iter().all(|b| b.abs() > 1e-3) && x.abs() > 1e-3;
            let inner: f64 = b.iter().zip(1..).map(|(b, k)| b * x.powi(k)).sum();
            if !away || inner.abs() < 1e-2 {
                continue; // a kink lies within reach of the difference
            }
            checked += 1;
            let found = scalar::gradients(x, &a, &b, 1.0, form);
            let value = |x, a: &[f64], b: &[f64]| scalar::value(x, a, b, form);
            close(
                found.input,
                (value(x + H, &a, &b) - value(x - H, &a, &b)) / (2.0 * H),
                "x",
            );
            for k in 0..a.len() {
                let moved = |h: f64| {
                    let mut a = a.clone();
                    a[k] += h;
                    value(x, &a, &b)
                };
                close(found.numerator[k], (moved(H) - moved(-H)) / (2.0 * H), "a");
            }
            for k in 0..b.len() {
                let moved = |h: f64| {
                    let mut b = b.clone();
                    b[k] += h;
                    value(x, &a, &b)
                };
                close(found.denominator[k], (moved(H) - moved(-H)) / (2.0 * H), "b");
            }
        }
        assert!(checked >= 180, "{form:?}: only {checked} of 216 checked");
    }
}

#[test]
fn an_identity_start_trains_its_denominator() {
    for form in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        let mut case = Case::random(5, &[7, 16], 4, form, (5, 4), (false, false), false);
        let start = Activation::Identity.coefficients(Degrees::new(5, 4), form).unwrap();
        case.a = start.numerator.repeat(4);
        case.b = start.denominator.repeat(4);
        let found = autodiff::<crate::Device>(&case);
        assert!(
            found.denominator.iter().all(|gradient| gradient.abs() > 1e-3),
            "{form:?}: {:?}",
            found.denominator
        );
        let moved = found
            .y
            .iter()
            .zip(&case.x)
            .map(|(y, x)| (y - x).abs())
            .fold(0.0, f64::max);
        assert!(
            moved <= if form == Denominator::SumOfAbs { 0.0 } else { 1e-4 },
            "{moved}"
        );
    }
}

#[test]
fn signs_at_zero_are_those_of_the_published_kernels() {
    let form = Denominator::SumOfAbs;
    for zero in [0.0, -0.0] {
        let found = scalar::gradients(zero, &[1.0, 2.0], &[0.5], 1.0, form);
        assert_eq!(found.input, 2.0 - 0.5, "sgn(x) = 1 at zero");
        let found = scalar::gradients(1.0, &[1.0, 2.0], &[zero], 1.0, form);
        assert_eq!(found.denominator, [-3.0], "sgn(b) = 1 at zero");
    }
}
