//! One case in plain numbers, and the ways to compute it.

use std::ops::Range;

use burn::{
    backend::Autodiff,
    tensor::{DType, Tensor, TensorData, TensorPrimitive, backend::Backend, ops::FloatTensor},
};
use kan_rational::{
    Denominator, RationalBackend, RationalSpec, gated_rational, group_rational,
    reference::{
        self,
        scalar::{ElementGradients, polynomial},
    },
};

/// What [`Case::well_conditioned`] allows: f32 arithmetic of a few roundings (`2^-24` each) then stays within the tolerances.
const CONDITION: f64 = 16.0;

/// Inputs of one call. `up` makes it gated.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) shape: Vec<usize>,
    pub(crate) groups: usize,
    pub(crate) form: Denominator,
    pub numerator_rows: usize,
    pub denominator_rows: usize,
    pub(crate) x: Vec<f64>,
    pub(crate) up: Option<Vec<f64>>,
    pub(crate) grad: Vec<f64>,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
}

/// Value and gradients of one call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gradients {
    pub(crate) y: Vec<f64>,
    pub(crate) x: Vec<f64>,
    pub(crate) up: Option<Vec<f64>>,
    pub(crate) numerator: Vec<f64>,
    pub(crate) denominator: Vec<f64>,
}

impl Gradients {
    /// Every output with its name.
    fn outputs(&self) -> [(&'static str, &[f64]); 5] {
        [
            ("y", &self.y),
            ("x", &self.x),
            ("up", self.up.as_deref().unwrap_or_default()),
            ("numerator", &self.numerator),
            ("denominator", &self.denominator),
        ]
    }
}

/// `max|a - b| / max(1, max|b|)`; NaN where either is NaN alone.
pub(crate) fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0f64, |max, value| max.max(value.abs()));
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs() / largest)
        .fold(0.0, |max: f64, e| if max.is_nan() || e <= max { max } else { e })
}

#[test]
fn a_nan_is_an_error_wherever_it_stands() {
    for found in [[f64::NAN, 0.0], [0.0, f64::NAN]] {
        assert!(relative(&found, &[0.0, 0.0]).is_nan());
        assert!(norm_relative(&found, &[1.0, 1.0]).is_nan());
    }
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// `||found - exact|| / ||exact||`; NaN where one is.
pub(crate) fn norm_relative(found: &[f64], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let difference = norm(found.iter().zip(exact).map(|(f, e)| f - e));
    if difference == 0.0 {
        0.0
    } else {
        difference / norm(exact.iter().copied())
    }
}

/// Fails unless every output is within its tolerance of the exact one, relative to its norm.
pub(crate) fn assert_close(name: &str, found: &Gradients, exact: &Gradients) {
    use fixtures::tolerance::{RATIONAL_COEFFICIENT_GRADIENT, RATIONAL_KERNEL};
    for ((what, found), (_, exact)) in found.outputs().into_iter().zip(exact.outputs()) {
        let limit = match what {
            "numerator" | "denominator" => RATIONAL_COEFFICIENT_GRADIENT,
            _ => RATIONAL_KERNEL,
        };
        let error = norm_relative(found, exact);
        assert!(error <= limit, "{name}, {what}: {error:.2e} above {limit:.0e}");
    }
}

/// Numbers in `[-1, 1)` from a seed: splitmix64.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| f64::from(next() as f32)).collect()
}

impl Case {
    /// A random case; `sharing` is (numerator, denominator). `|x|` goes so far that no power exceeds 27, or to 1.2 in
    /// high degrees: farther out the test would be of the polynomial's condition, not of the code.
    pub(crate) fn random(
        seed: u64,
        shape: &[usize],
        groups: usize,
        form: Denominator,
        (n, m): (usize, usize),
        sharing: (bool, bool),
        gated: bool,
    ) -> Self {
        let count = shape.iter().product();
        let rows = |shared: bool| if shared { 1 } else { groups };
        let scaled = |seed, count, scale: f64| {
            noise(seed, count)
                .iter()
                .map(|v| f64::from((v * scale) as f32))
                .collect()
        };
        let reach = if n + m <= 9 {
            27f64.powf(1.0 / n.max(m) as f64).min(3.0)
        } else {
            1.2
        };
        let mut case = Self {
            shape: shape.to_vec(),
            groups,
            form,
            numerator_rows: rows(sharing.0),
            denominator_rows: rows(sharing.1),
            x: scaled(seed, count, reach),
            up: gated.then(|| scaled(seed + 1, count, 2.0)),
            grad: scaled(seed + 2, count, 1.0),
            a: scaled(seed + 3, rows(sharing.0) * (n + 1), 1.0),
            b: scaled(seed + 4, rows(sharing.1) * m, 1.0),
        };
        if form == Denominator::AbsOfSum {
            // No term exceeds 4 / m: where their sum cancels, f32 keeps of 1 / Q what Q is of its terms.
            for (b, k) in case.b.iter_mut().zip((1..=m as i32).cycle()) {
                *b = f64::from((*b * 4.0 / (m as f64 * reach.powi(k))) as f32);
            }
        }
        case.leave_kinks();
        case
    }

    /// The first of the random cases whose [condition](Self::condition) is at most [`CONDITION`]. Most are, save in tensors
    /// of a few elements.
    pub(crate) fn well_conditioned(
        seed: u64,
        shape: &[usize],
        groups: usize,
        form: Denominator,
        degrees: (usize, usize),
        sharing: (bool, bool),
        gated: bool,
    ) -> Self {
        (0..1000)
            .map(|attempt| {
                let seed = seed + (attempt << 48);
                Self::random(seed, shape, groups, form, degrees, sharing, gated)
            })
            .find(|case| case.condition() <= CONDITION)
            .expect("a well-conditioned case among a thousand")
    }

    /// Form B has a kink where the sum inside its absolute value is zero. Near it f32 and f64 may stand on different
    /// sides, which is no error of either, so every `x` there moves.
    fn leave_kinks(&mut self) {
        if self.form == Denominator::SumOfAbs {
            return;
        }
        for i in 0..self.x.len() {
            let terms = |x: f64| {
                let terms = self.coefficients(i).1.iter().zip(1..).map(move |(b, k)| b * x.powi(k));
                (terms.clone().sum::<f64>().abs(), terms.map(f64::abs).sum::<f64>())
            };
            let mut x = self.x[i];
            while terms(x).0 < 1e-4 * terms(x).1 {
                x = f64::from((0.99 * x) as f32);
            }
            self.x[i] = x;
        }
    }

    pub(crate) fn spec(&self) -> RationalSpec {
        RationalSpec {
            groups: self.groups,
            denominator: self.form,
        }
    }

    /// Rows of numerator and denominator that element `i` uses.
    fn rows(&self, i: usize) -> [usize; 2] {
        let channels = self.shape[self.shape.len() - 1];
        let group = i % channels / (channels / self.groups);
        [group % self.numerator_rows, group % self.denominator_rows]
    }

    /// Coefficients of element `i`.
    fn coefficients(&self, i: usize) -> (&[f64], &[f64]) {
        let [row_a, row_b] = self.rows(i);
        let (n, m) = (self.a.len() / self.numerator_rows, self.b.len() / self.denominator_rows);
        (&self.a[row_a * n..][..n], &self.b[row_b * m..][..m])
    }

    /// The same in numbers that f32 has.
    pub(crate) fn in_f32(&self) -> Self {
        let round = |values: &[f64]| values.iter().map(|v| f64::from(*v as f32)).collect::<Vec<f64>>();
        Self {
            x: round(&self.x),
            up: self.up.as_deref().map(round),
            grad: round(&self.grad),
            a: round(&self.a),
            b: round(&self.b),
            ..self.clone()
        }
    }

    /// Everything in f64, one element at a time.
    pub(crate) fn scalar(&self) -> Gradients {
        let element = |x, a: &[f64], b: &[f64]| {
            let value = reference::scalar::value(x, a, b, self.form);
            (value, reference::scalar::gradients(x, a, b, 1.0, self.form))
        };
        self.pairwise(0..self.x.len(), &element)
    }

    /// The outputs of some elements, the sums of the gradients by halves: ten million terms lose no digit.
    fn pairwise(
        &self,
        elements: Range<usize>,
        element: &impl Fn(f64, &[f64], &[f64]) -> (f64, ElementGradients),
    ) -> Gradients {
        if elements.len() <= 1024 {
            return self.totals(elements, element, |sum, term| sum + term);
        }
        let middle = elements.start + elements.len() / 2;
        let mut left = self.pairwise(elements.start..middle, element);
        let right = self.pairwise(middle..elements.end, element);
        let add = |left: &mut [f64], right: &[f64]| left.iter_mut().zip(right).for_each(|(l, r)| *l += r);
        add(&mut left.numerator, &right.numerator);
        add(&mut left.denominator, &right.denominator);
        left.y.extend(right.y);
        left.x.extend(right.x);
        left.up
            .iter_mut()
            .zip(right.up)
            .for_each(|(left, right)| left.extend(right));
        left
    }

    /// How much smaller the norm of an exact output is than that of the numbers it is the sum of: by this factor the
    /// result magnifies independent roundings of those numbers. The largest of all outputs.
    pub(crate) fn condition(&self) -> f64 {
        let terms = self.totals(0..self.x.len(), |x, a, b| magnitude(x, a, b, self.form), f64::hypot);
        let exact = self.scalar();
        let pairs = terms.outputs().into_iter().zip(exact.outputs());
        pairs
            .filter(|((_, terms), _)| !terms.is_empty())
            .map(|((_, terms), (_, exact))| norm(terms.iter().copied()) / norm(exact.iter().copied()))
            .fold(0.0, f64::max)
    }

    /// `F` and its gradients of some `elements`, by `element` for each `(x, a, b)`; `add` joins the terms of a coefficient's gradient.
    fn totals(
        &self,
        elements: Range<usize>,
        element: impl Fn(f64, &[f64], &[f64]) -> (f64, ElementGradients),
        add: impl Fn(f64, f64) -> f64,
    ) -> Gradients {
        let mut found = Gradients {
            y: Vec::new(),
            x: Vec::new(),
            up: self.up.as_ref().map(|_| Vec::new()),
            numerator: vec![0.0; self.a.len()],
            denominator: vec![0.0; self.b.len()],
        };
        for i in elements {
            let ([row_a, row_b], (a, b)) = (self.rows(i), self.coefficients(i));
            let (value, gradients) = element(self.x[i], a, b);
            let up = self.up.as_ref().map_or(1.0, |up| up[i]);
            let scale = self.grad[i] * up;
            found.y.push(value * up);
            found.x.push(scale * gradients.input);
            if let Some(list) = &mut found.up {
                list.push(self.grad[i] * value);
            }
            let join = |totals: &mut [f64], terms: &[f64]| {
                totals.iter_mut().zip(terms).for_each(|(t, v)| *t = add(*t, scale * v));
            };
            join(&mut found.numerator[row_a * a.len()..], &gradients.numerator);
            join(&mut found.denominator[row_b * b.len()..], &gradients.denominator);
        }
        found
    }

    fn tensor<B: Backend>(&self, values: &[f64], dtype: DType) -> FloatTensor<B> {
        primitive::<B>(values, &self.shape, dtype)
    }

    fn numerator<B: Backend>(&self) -> FloatTensor<B> {
        primitive::<B>(
            &self.a,
            &[self.numerator_rows, self.a.len() / self.numerator_rows],
            DType::F32,
        )
    }

    fn denominator<B: Backend>(&self) -> FloatTensor<B> {
        primitive::<B>(
            &self.b,
            &[self.denominator_rows, self.b.len() / self.denominator_rows],
            DType::F32,
        )
    }
}

/// `F` and its gradients with the absolute value of every term, widened by what a cancelling denominator costs: rounding
/// the terms of `Q` changes `1/Q` by up to `sum |b x^k| / Q` units, its square by twice as many.
fn magnitude(x: f64, a: &[f64], b: &[f64], form: Denominator) -> (f64, ElementGradients) {
    let x_abs = x.abs();
    let (p, p_slope) = polynomial(x_abs, a.iter().map(|a| a.abs()));
    let (s, s_slope) = polynomial(x_abs, std::iter::once(0.0).chain(b.iter().map(|b| b.abs())));
    let q = reference::scalar::denominator(x, b, form).0;
    let (once, squared) = ((1.0 + s / q) / q, (1.0 + 2.0 * s / q) / (q * q));
    let powers = |k| x_abs.powi(k);
    let gradients = ElementGradients {
        input: p_slope * once + p * s_slope * squared,
        numerator: (0..a.len() as i32).map(|k| powers(k) * once).collect(),
        denominator: (1..=b.len() as i32).map(|k| p * powers(k) * squared).collect(),
    };
    (p * once, gradients)
}

/// The plain-tensor reference.
pub(crate) fn reference<B: Backend>(case: &Case) -> Gradients {
    let t = |values: &[f64]| case.tensor::<B>(values, DType::F32);
    let (a, b, spec) = (case.numerator::<B>(), case.denominator::<B>(), case.spec());
    match &case.up {
        Some(up) => {
            let y = reference::gated_rational::<B>(t(&case.x), t(up), a.clone(), b.clone(), spec);
            let g = reference::gated_rational_backward::<B>(t(&case.x), t(up), a, b, t(&case.grad), spec);
            collect::<B>(y, g.gate, Some(g.up), g.numerator, g.denominator)
        }
        None => {
            let y = reference::group_rational::<B>(t(&case.x), a.clone(), b.clone(), spec);
            let g = reference::group_rational_backward::<B>(t(&case.x), a, b, t(&case.grad), spec);
            collect::<B>(y, g.input, None, g.numerator, g.denominator)
        }
    }
}

/// The backend's own methods in f32.
pub(crate) fn explicit<B: RationalBackend>(case: &Case) -> Gradients {
    explicit_in::<B>(case, DType::F32)
}

/// The backend's own methods on inputs of `dtype`.
pub(crate) fn explicit_in<B: RationalBackend>(case: &Case, dtype: DType) -> Gradients {
    let t = |values: &[f64]| case.tensor::<B>(values, dtype);
    let (a, b, spec) = (case.numerator::<B>(), case.denominator::<B>(), case.spec());
    match &case.up {
        Some(up) => {
            let y = B::gated_rational(t(&case.x), t(up), a.clone(), b.clone(), spec);
            let g = B::gated_rational_backward(t(&case.x), t(up), a, b, t(&case.grad), spec);
            collect::<B>(y, g.gate, Some(g.up), g.numerator, g.denominator)
        }
        None => {
            let y = B::group_rational(t(&case.x), a.clone(), b.clone(), spec);
            let g = B::group_rational_backward(t(&case.x), a, b, t(&case.grad), spec);
            collect::<B>(y, g.input, None, g.numerator, g.denominator)
        }
    }
}

/// Through the graph: `sum(F * grad)` differentiated. Flattens to two dimensions.
pub(crate) fn autodiff<B: RationalBackend>(case: &Case) -> Gradients {
    type Ad<B> = Autodiff<B>;
    let channels = case.shape[case.shape.len() - 1];
    let shape = [case.x.len() / channels, channels];
    let leaf = |values: &[f64], shape: [usize; 2]| {
        wrap::<Ad<B>, 2>(primitive::<Ad<B>>(values, &shape, DType::F32)).require_grad()
    };
    let x = leaf(&case.x, shape);
    let up = case.up.as_ref().map(|up| leaf(up, shape));
    let a = leaf(&case.a, [case.numerator_rows, case.a.len() / case.numerator_rows]);
    let b = leaf(&case.b, [case.denominator_rows, case.b.len() / case.denominator_rows]);
    let y = match &up {
        Some(up) => gated_rational(x.clone(), up.clone(), a.clone(), b.clone(), case.spec()),
        None => group_rational(x.clone(), a.clone(), b.clone(), case.spec()),
    };
    let grad = wrap::<Ad<B>, 2>(primitive::<Ad<B>>(&case.grad, &shape, DType::F32));
    let gradients = (y.clone() * grad).sum().backward();
    let of = |tensor: &Tensor<Ad<B>, 2>| numbers::<B, 2>(tensor.grad(&gradients).expect("every leaf has a gradient"));
    Gradients {
        y: numbers(y.inner()),
        x: of(&x),
        up: up.as_ref().map(of),
        numerator: of(&a),
        denominator: of(&b),
    }
}

pub(crate) fn primitive<B: Backend>(values: &[f64], shape: &[usize], dtype: DType) -> FloatTensor<B> {
    let data = TensorData::new(values.to_vec(), shape.to_vec()).convert_dtype(dtype);
    B::float_from_data(data, &Default::default())
}

pub(crate) fn wrap<B: Backend, const D: usize>(tensor: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

pub(crate) fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().to_vec().expect("converted to f64")
}

fn collect<B: Backend>(
    y: FloatTensor<B>,
    x: FloatTensor<B>,
    up: Option<FloatTensor<B>>,
    numerator: FloatTensor<B>,
    denominator: FloatTensor<B>,
) -> Gradients {
    let read = |tensor| numbers::<B, 1>(wrap(tensor));
    Gradients {
        y: read(y),
        x: read(x),
        up: up.map(read),
        numerator: read(numerator),
        denominator: read(denominator),
    }
}
