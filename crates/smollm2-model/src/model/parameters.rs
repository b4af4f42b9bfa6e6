//! Maps a parameter's place in the module to its name in a checkpoint.

use std::collections::BTreeMap;

use crate::{ParameterKind, SmolLm2Config};

/// Name and kind of the parameter a [`ModuleVisitor`](burn::module::ModuleVisitor) or
/// [`ModuleMapper`](burn::module::ModuleMapper) is at.
///
/// Forward `enter_module` and `exit_module` to it; inside `visit_float` or `map_float`,
/// [`name`](ParameterPath::name) is the tensor's name in Hugging Face's spelling
/// (`model.layers.0.self_attn.q_proj.weight`), and [`kind`](ParameterPath::kind) says what it is for.
#[derive(Clone, Debug)]
pub struct ParameterPath {
    /// Entered modules; `None` for the variant of an enum, which is not part of a name.
    segments: Vec<Option<String>>,
    kinds: BTreeMap<String, ParameterKind>,
}

impl ParameterPath {
    /// Begins at the root of a model with this configuration.
    pub fn new(config: &SmolLm2Config) -> Self {
        Self {
            segments: Vec::new(),
            kinds: config
                .parameters()
                .map(|parameter| (parameter.name, parameter.kind))
                .collect(),
        }
    }

    /// Call from `enter_module`, with the same arguments.
    pub fn enter(&mut self, name: &str, container_type: &str) {
        let is_variant = container_type.starts_with("Enum:");
        self.segments.push((!is_variant).then(|| name.to_owned()));
    }

    /// Call from `exit_module`.
    pub fn exit(&mut self) {
        self.segments.pop();
    }

    /// The name in a checkpoint.
    pub fn name(&self) -> String {
        let segments: Vec<&str> = self.segments.iter().flatten().map(String::as_str).collect();
        segments.join(".")
    }

    /// What the parameter is for.
    ///
    /// # Panics
    /// Anywhere but at a parameter of a model with the configuration given.
    pub fn kind(&self) -> ParameterKind {
        let name = self.name();
        match self.kinds.get(&name) {
            Some(kind) => *kind,
            None => panic!("`{name}` is no parameter of a model with this configuration"),
        }
    }
}
