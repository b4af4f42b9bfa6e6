//! One case in plain numbers, and the ways to compute it.

use burn::{
    backend::Autodiff,
    tensor::{DType, Tensor, TensorData, TensorPrimitive, backend::Backend, ops::FloatTensor},
};
use kan_rational::{Denominator, RationalBackend, RationalSpec, gated_rational, group_rational, reference};

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

/// `max|a - b| / max(1, max|b|)`; NaN where either is NaN alone.
pub(crate) fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0f64, |max, value| max.max(value.abs()));
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs() / largest)
        .fold(0.0, |max, e| if e <= max { max } else { e })
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
    /// A random case; `sharing` is (numerator, denominator). Higher degrees get a smaller range: `3^9` in a cancelling
    /// sum would test the condition of the polynomial instead of the code.
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
        // No power above 27: where a polynomial cancels, f32 holds only as many digits of it as its largest power leaves.
        let reach = if n + m <= 9 {
            27f64.powf(1.0 / n.max(m) as f64).min(3.0)
        } else {
            1.2
        };
        Self {
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
        }
    }

    pub(crate) fn spec(&self) -> RationalSpec {
        RationalSpec {
            groups: self.groups,
            denominator: self.form,
        }
    }

    /// Everything in f64, one element at a time.
    pub(crate) fn scalar(&self) -> Gradients {
        let (columns_a, columns_b) = (self.a.len() / self.numerator_rows, self.b.len() / self.denominator_rows);
        let channels = self.shape[self.shape.len() - 1];
        let mut found = Gradients {
            y: Vec::new(),
            x: Vec::new(),
            up: self.up.as_ref().map(|_| Vec::new()),
            numerator: vec![0.0; self.a.len()],
            denominator: vec![0.0; self.b.len()],
        };
        for (i, &x) in self.x.iter().enumerate() {
            let group = i % channels / (channels / self.groups);
            let (row_a, row_b) = (group % self.numerator_rows, group % self.denominator_rows);
            let a = &self.a[row_a * columns_a..][..columns_a];
            let b = &self.b[row_b * columns_b..][..columns_b];
            let up = self.up.as_ref().map_or(1.0, |up| up[i]);
            let value = reference::scalar::value(x, a, b, self.form);
            let gradients = reference::scalar::gradients(x, a, b, self.grad[i] * up, self.form);
            found.y.push(value * up);
            found.x.push(gradients.input);
            if let Some(list) = &mut found.up {
                list.push(self.grad[i] * value);
            }
            let add = |total: &mut [f64], terms: &[f64]| total.iter_mut().zip(terms).for_each(|(t, v)| *t += v);
            add(
                &mut found.numerator[row_a * columns_a..][..columns_a],
                &gradients.numerator,
            );
            add(
                &mut found.denominator[row_b * columns_b..][..columns_b],
                &gradients.denominator,
            );
        }
        found
    }

    /// For numerator and denominator, the largest sum of magnitudes of the terms of one coefficient's gradient: what
    /// the rounding of a sum is relative to when its terms cancel.
    pub(crate) fn magnitudes(&self) -> [f64; 2] {
        let mut sums = [vec![0.0f64; self.a.len()], vec![0.0f64; self.b.len()]];
        let channels = self.shape[self.shape.len() - 1];
        for (i, &x) in self.x.iter().enumerate() {
            let group = i % channels / (channels / self.groups);
            let (row_a, row_b) = (group % self.numerator_rows, group % self.denominator_rows);
            let (n, m) = (self.a.len() / self.numerator_rows, self.b.len() / self.denominator_rows);
            let (a, b) = (&self.a[row_a * n..][..n], &self.b[row_b * m..][..m]);
            let up = self.up.as_ref().map_or(1.0, |up| up[i]);
            let gradients = reference::scalar::gradients(x, a, b, self.grad[i] * up, self.form);
            let add = |sums: &mut [f64], terms: &[f64]| sums.iter_mut().zip(terms).for_each(|(s, t)| *s += t.abs());
            add(&mut sums[0][row_a * n..][..n], &gradients.numerator);
            add(&mut sums[1][row_b * m..][..m], &gradients.denominator);
        }
        sums.map(|sums| sums.into_iter().fold(0.0, f64::max))
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
