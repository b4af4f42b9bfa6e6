//! The table of parameters against the modules that hold them.

use burn::backend::Flex;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use smollm2_model::{FeedForwardKind, ParameterKind, ParameterPath, SmolLm2Config, weights::named_tensors};

/// Name and kind of every parameter, in the order of a visit.
struct Visited {
    path: ParameterPath,
    found: Vec<(String, ParameterKind)>,
}

impl ModuleVisitor<Flex> for Visited {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<Flex, D>>) {
        self.found.push((self.path.name(), self.path.kind()));
    }
}

fn every_configuration() -> Vec<(String, SmolLm2Config)> {
    let tied = crate::golden::every_configuration();
    let untied = tied.iter().map(|(name, config)| {
        let config = SmolLm2Config {
            tie_word_embeddings: false,
            ..config.clone()
        };
        (format!("{name}, untied"), config)
    });
    let untied: Vec<_> = untied.collect();
    [tied, untied].concat()
}

#[test]
fn the_table_is_that_of_the_modules() {
    for (name, config) in every_configuration() {
        let model = config.init::<Flex>(&Default::default()).unwrap();
        let mut visited = Visited {
            path: ParameterPath::new(&config),
            found: Vec::new(),
        };
        model.visit(&mut visited);
        let table: Vec<_> = config.parameters().map(|row| (row.name, row.kind)).collect();
        assert_eq!(table, visited.found, "{name}");
        let tensors = named_tensors(&model);
        assert_eq!(tensors.len(), table.len(), "{name}");
        for row in config.parameters() {
            assert_eq!(tensors[&row.name].shape.to_vec(), row.shape, "{name}, {}", row.name);
        }
        let values: usize = tensors.values().map(|data| data.num_elements()).sum();
        assert_eq!(model.num_parameters(), values, "{name}");
    }
}

#[test]
fn kinds_are_those_of_the_names() {
    let expected = |name: &str| match name {
        name if name.ends_with(".numerator") => ParameterKind::Numerator,
        name if name.ends_with(".denominator") => ParameterKind::Denominator,
        name if name.contains("norm") => ParameterKind::Norm,
        "model.embed_tokens.weight" => ParameterKind::Embedding,
        _ => ParameterKind::Projection,
    };
    for (name, config) in every_configuration() {
        for row in config.parameters() {
            assert_eq!(row.kind, expected(&row.name), "{name}, {}", row.name);
        }
    }
}

#[test]
fn rational_functions_are_found_by_layer_module_and_group() {
    let functions = |kind| {
        let config = crate::weights::tiny_config(kind);
        config.init::<Flex>(&Default::default()).unwrap().rational_functions()
    };
    assert!(functions(FeedForwardKind::SwiGlu).is_empty());
    assert!(functions(FeedForwardKind::SiluMlp).is_empty());
    let kan = functions(FeedForwardKind::GroupKan);
    let places: Vec<_> = kan.iter().map(|found| (found.module, found.group)).collect();
    let groups = |module| (0..8).map(move |group| (module, group));
    assert_eq!(places, groups("act1").chain(groups("act2")).collect::<Vec<_>>());
    // The first starts as the identity, the second as swish.
    assert!((kan[0].eval(2.0) - 2.0).abs() < 1e-6, "{}", kan[0].eval(2.0));
    assert!((kan[8].eval(2.0) - 2.0 / (1.0 + (-2.0f64).exp())).abs() < 0.1);
    assert_eq!(kan[9].to_string(), "layer 0, act2, group 1");
}
