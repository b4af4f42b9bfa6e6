//! From a parameter's place in the module to its name in a checkpoint.

/// Name of the parameter a [`ModuleVisitor`](burn::module::ModuleVisitor) or
/// [`ModuleMapper`](burn::module::ModuleMapper) stands at, in Hugging Face's spelling.
///
/// Forward `enter_module` and `exit_module` to it; inside `visit_float` or `map_float`,
/// [`name`](ParameterPath::name) is the tensor's name (`model.layers.0.self_attn.q_proj.weight`), and
/// [`is_transposed`](ParameterPath::is_transposed) says whether the checkpoint holds it the other way round.
#[derive(Clone, Debug, Default)]
pub struct ParameterPath {
    /// Entered modules; `None` for the variant of an enum, which is no part of a name.
    segments: Vec<Option<String>>,
    /// Types of the entered modules.
    containers: Vec<String>,
}

impl ParameterPath {
    /// Call from `enter_module`, with the same arguments.
    pub fn enter(&mut self, name: &str, container_type: &str) {
        let is_variant = container_type.starts_with("Enum:");
        self.segments.push((!is_variant).then(|| name.to_owned()));
        self.containers.push(container_type.to_owned());
    }

    /// Call from `exit_module`.
    pub fn exit(&mut self) {
        self.segments.pop();
        self.containers.pop();
    }

    /// The name in a checkpoint.
    pub fn name(&self) -> String {
        let segments: Vec<&str> = self.segments.iter().flatten().map(String::as_str).collect();
        segments.join(".")
    }

    /// Whether the parameter is the weight of a projection: `[input, output]` here, `[output, input]` in a checkpoint.
    pub fn is_transposed(&self) -> bool {
        self.containers
            .last()
            .is_some_and(|container| container == "Struct:Linear")
    }
}
