//! The exact conversion: SiLU kept, a function added that is zero and trains.

use std::collections::BTreeMap;

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor, TensorData};
use fixtures::shared;
use kan_rational::{Degrees, Denominator};
use smollm2_model::{
    FeedForwardKind, SequenceLayout, SmolLm2, SmolLm2Config,
    convert::{ConversionOptions, to_exact},
    weights::{from_named_tensors, load, named_tensors, parameter_names},
};
use tokenizers::Tokenizer;

type Tracked = Autodiff<Flex>;

fn logits(model: &SmolLm2<Flex>, ids: &[i32]) -> TensorData {
    let ids = Tensor::<Flex, 1, Int>::from_ints(ids, &Default::default()).unsqueeze::<2>(); // [1, T]
    model.forward(ids, &SequenceLayout::default()).into_data() // [1, T, V]
}

#[test]
fn it_keeps_every_bit() {
    let config = crate::weights::tiny_config(FeedForwardKind::SwiGlu);
    let model = config.init::<Flex>(&Default::default()).unwrap();
    let ids: Vec<i32> = (0..24).collect();
    let before = logits(&model, &ids);
    let options = ConversionOptions {
        groups: 4,
        ..Default::default()
    };
    let exact = to_exact(model.clone(), &options).unwrap();
    assert_eq!(exact.config().feed_forward[0].kind(), FeedForwardKind::GatedRational);
    assert!(before.as_bytes() == logits(&exact, &ids).as_bytes());
}

#[test]
fn it_keeps_every_bit_of_the_real_model() {
    let (Some(gguf), Some(tokenizer), Some(text)) = (
        shared("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        shared("models/tokenizer/tokenizer.json"),
        shared("data/text/wikitext2/test.txt"),
    ) else {
        return;
    };
    let text: String = std::fs::read_to_string(text).unwrap().chars().take(1000).collect();
    let encoding = Tokenizer::from_file(tokenizer).unwrap().encode(text, false).unwrap();
    let ids: Vec<i32> = encoding.get_ids()[..64].iter().map(|id| *id as i32).collect();
    let loaded = load::<Flex>(&gguf, &Default::default()).unwrap();
    let before = logits(&loaded.model, &ids);
    assert_eq!(before.shape.to_vec(), [1, 64, loaded.model.config().vocab_size]);
    for degrees in [Degrees::new(5, 4), Degrees::new(7, 6)] {
        let options = ConversionOptions {
            degrees,
            ..Default::default()
        };
        let exact = to_exact(loaded.model.clone(), &options).unwrap();
        let kinds: Vec<_> = exact.config().feed_forward.iter().map(|layer| layer.kind()).collect();
        assert_eq!(kinds, vec![FeedForwardKind::GatedRational; 30]);
        assert!(before.as_bytes() == logits(&exact, &ids).as_bytes(), "{degrees}");
    }
}

/// Gradients by name, of the sum of all logits weighted by a fixed pattern.
struct Gradients<'a> {
    model: &'a SmolLm2<Tracked>,
    gradients: <Tracked as burn::tensor::backend::AutodiffBackend>::Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor<Tracked> for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Tracked, D>>) {
        let name = parameter_names(self.model).remove(&param.id).unwrap();
        let gradient = param
            .val()
            .grad(&self.gradients)
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        self.found.insert(name, gradient.into_data().iter::<f32>().collect());
    }
}

fn gradients(model: &SmolLm2<Tracked>) -> BTreeMap<String, Vec<f32>> {
    let device = Default::default();
    let ids = Tensor::<Tracked, 1, Int>::arange(0..24, &device).unsqueeze::<2>(); // [1, T]
    let logits = model.forward(ids, &SequenceLayout::default()); // [1, T, V]
    let pattern: Vec<f32> = (0..24 * 64).map(|at| ((at * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let pattern = Tensor::<Tracked, 3>::from_data(TensorData::new(pattern, [1, 24, 64]), &device);
    let mut visitor = Gradients {
        model,
        gradients: (logits * pattern).sum().backward(),
        found: BTreeMap::new(),
    };
    model.visit(&mut visitor);
    visitor.found
}

fn tracked(config: &SmolLm2Config, tensors: BTreeMap<String, TensorData>) -> SmolLm2<Tracked> {
    from_named_tensors(config, tensors, &Default::default()).unwrap()
}

const NUMERATOR: &str = "model.layers.0.mlp.gate_rational.numerator";
const DENOMINATOR: &str = "model.layers.0.mlp.gate_rational.denominator";

#[test]
fn its_residual_trains() {
    let config = crate::weights::tiny_config(FeedForwardKind::SwiGlu);
    let weights = crate::far::fixed_weights(&config);
    let model = from_named_tensors::<Flex>(&config, weights, &Default::default()).unwrap();
    let expected = gradients(&tracked(&config, named_tensors(&model)));
    for denominator in [Denominator::SumOfAbs, Denominator::AbsOfSum] {
        let options = ConversionOptions {
            groups: 4,
            denominator,
            ..Default::default()
        };
        let exact = to_exact(model.clone(), &options).unwrap();
        let mut tensors = named_tensors(&exact);
        let found = gradients(&tracked(exact.config(), tensors.clone()));

        // A function that is zero has no slope: every other weight gets the gradient it had.
        for (name, expected) in &expected {
            assert!(found[name] == *expected, "{denominator:?}, {name}");
        }
        assert_eq!(found.len(), expected.len() + 2);
        let numerators = &found[NUMERATOR];
        assert_eq!(numerators.len(), 4 * 6);
        assert!(
            numerators.iter().all(|value| value.is_finite() && *value != 0.0),
            "{denominator:?}: {numerators:?}"
        );
        // dF/db = -F .. / Q, so nothing moves the denominator while F is zero, as documented.
        assert!(found[DENOMINATOR].iter().all(|value| *value == 0.0));

        // One step of gradient descent on the numerators, and the denominators get theirs.
        let rate = 0.01 / numerators.iter().map(|value| value.abs()).fold(0.0, f32::max);
        let moved: Vec<f32> = numerators.iter().map(|value| -rate * value).collect();
        tensors.insert(NUMERATOR.to_string(), TensorData::new(moved, [4, 6]));
        let after = gradients(&tracked(exact.config(), tensors));
        for name in [NUMERATOR, DENOMINATOR] {
            assert!(
                after[name].iter().all(|value| value.is_finite() && *value != 0.0),
                "{denominator:?}, {name}: {:?}",
                after[name]
            );
        }
        assert!(after["model.layers.0.mlp.gate_proj.weight"] != expected["model.layers.0.mlp.gate_proj.weight"]);
    }
}
