//! Every stored float64 case: values and gradients, three implementations, both forms.

use crate::support::{Case, Gradients, assert_close, autodiff, explicit, reference, relative};
use burn::backend::Flex;
use fixtures::tolerance::RATIONAL_ORACLE;
use kan_rational::Denominator;

/// The stored cases as inputs and expected results.
fn cases() -> Vec<(String, Case, Gradients)> {
    let Some(path) = fixtures::shared("oracle/group_rational_cases.json") else {
        return Vec::new();
    };
    let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let list = stored.as_array().or_else(|| stored["cases"].as_array()).unwrap();
    assert!(list.len() >= 12, "only {} cases", list.len());
    list.iter().map(case).collect()
}

fn case(entry: &serde_json::Value) -> (String, Case, Gradients) {
    let numbers = |key: &str| -> Vec<f64> {
        let rows = entry[key].as_array().unwrap();
        rows.iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|value| value.as_f64().unwrap())
            .collect()
    };
    let rows = |key: &str| entry[key].as_array().unwrap().len();
    let size = |key: &str| entry[key].as_u64().unwrap() as usize;
    let a = numbers("a");
    let b = numbers("b");
    let case = Case {
        shape: vec![size("T"), size("D")],
        groups: size("groups"),
        form: if entry["version"] == "A" {
            Denominator::SumOfAbs
        } else {
            Denominator::AbsOfSum
        },
        numerator_rows: rows("a"),
        denominator_rows: rows("b"),
        x: numbers("x"),
        up: None,
        grad: numbers("g"),
        a,
        b,
    };
    let expected = Gradients {
        y: numbers("y"),
        x: numbers("dx"),
        up: None,
        numerator: numbers("da"),
        denominator: numbers("db"),
    };
    (format!("{} {}", entry["name"], entry["version"]), case, expected)
}

/// Against the stored answers, to which the rounding of the stored inputs to f32 counts, and against f64 arithmetic on the
/// rounded inputs.
fn check(name: &str, case: &Case, expected: &Gradients, compute: impl Fn(&Case) -> Gradients) {
    let case = case.in_f32();
    let found = &compute(&case);
    assert_close(name, found, &case.scalar());
    for (what, found, expected) in [
        ("y", &found.y, &expected.y),
        ("dx", &found.x, &expected.x),
        ("da", &found.numerator, &expected.numerator),
        ("db", &found.denominator, &expected.denominator),
    ] {
        let error = relative(found, expected);
        assert!(error <= RATIONAL_ORACLE, "{name} {what}: {error:e}");
    }
}

#[test]
fn scalar_f64_agrees_with_the_oracle() {
    for (name, case, expected) in cases() {
        let found = case.scalar();
        for (found, expected) in [
            (&found.y, &expected.y),
            (&found.x, &expected.x),
            (&found.numerator, &expected.numerator),
            (&found.denominator, &expected.denominator),
        ] {
            assert!(relative(found, expected) < 1e-12, "{name}: {found:?} {expected:?}");
        }
    }
}

#[test]
fn plain_reference_agrees_with_the_oracle() {
    for (name, case, expected) in cases() {
        check(&name, &case, &expected, reference::<Flex>);
    }
}

#[test]
fn backend_methods_agree_with_the_oracle() {
    for (name, case, expected) in cases() {
        check(&name, &case, &expected, explicit::<crate::Device>);
    }
}

#[test]
fn autodiff_agrees_with_the_oracle() {
    for (name, case, expected) in cases() {
        check(&name, &case, &expected, autodiff::<crate::Device>);
    }
}
