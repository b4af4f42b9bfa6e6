//! A model as tensors under Hugging Face names, and back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};

use super::{
    LoadOptions,
    archive::{Archive, Shapes},
    element::transpose,
    report::LoadReport,
};
use crate::{
    DecoderBackend, ModelError, ParameterKind, ParameterPath, SmolLm2, SmolLm2Config,
    config::DrawNow,
    schema::{EMBEDDING, OUTPUT_PROJECTION},
};

/// Which float type loaded weights have. Rational coefficients are f32 in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadDtype {
    /// The device's default float type (f32 unless the application chose another).
    #[default]
    Device,
    /// The type in the file; f32 for quantised blocks.
    Stored,
    /// The given type.
    Given(crate::StoredDtype),
}

/// Every parameter of `model` under its Hugging Face name, matrices as `[out, in]`, in the model's own float types.
///
/// ```
/// use burn::backend::Flex;
/// use smollm2_model::{SmolLm2Config, weights::named_tensors};
///
/// let mut config = SmolLm2Config::smollm2_135m();
/// (config.vocab_size, config.num_hidden_layers) = (64, 1);
/// config.feed_forward.truncate(1);
/// let model = config.init::<Flex>(&Default::default())?;
/// let tensors = named_tensors(&model);
/// assert_eq!(tensors["model.layers.0.mlp.up_proj.weight"].shape.as_slice(), [1536, 576]);
/// # Ok::<(), smollm2_model::ModelError>(())
/// ```
pub fn named_tensors<B: DecoderBackend>(model: &SmolLm2<B>) -> BTreeMap<String, TensorData> {
    parameters(model)
        .into_iter()
        .map(|parameter| (parameter.name.clone(), parameter.data()))
        .collect()
}

/// Hugging Face name of every parameter, by Burn's id: for optimiser groups and logs.
pub fn parameter_names<B: DecoderBackend>(model: &SmolLm2<B>) -> HashMap<ParamId, String> {
    parameters(model)
        .into_iter()
        .map(|parameter| (parameter.id, parameter.name))
        .collect()
}

/// The inverse of [`named_tensors`]: a model of `config` with these tensors, converted to the device's float type.
///
/// # Errors
/// [`ModelError::Tensors`] when a tensor is missing, unused or mis-shaped; [`ModelError::Vocabulary`],
/// [`ModelError::TiedWeights`], [`ModelError::Config`].
pub fn from_named_tensors<B: DecoderBackend>(
    config: &SmolLm2Config,
    tensors: BTreeMap<String, TensorData>,
    device: &B::Device,
) -> Result<SmolLm2<B>, ModelError> {
    let (model, _) = fill(config, &mut Tensors(tensors), &LoadOptions::default(), device)?;
    Ok(model)
}

/// Tensors in memory as an archive.
struct Tensors(BTreeMap<String, TensorData>);

impl Archive for Tensors {
    fn shapes(&self) -> Shapes {
        self.0
            .iter()
            .map(|(name, data)| (name.clone(), data.shape.to_vec()))
            .collect()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, ModelError> {
        let found = self.0.remove(name);
        found.ok_or_else(|| ModelError::config(name, "a tensor of this name", "nothing"))
    }
}

/// A model of `config` with the tensors of `archive` where name and shape fit. The report says where they do not; a
/// strict load refuses then.
pub(super) fn fill<B: DecoderBackend>(
    config: &SmolLm2Config,
    archive: &mut dyn Archive,
    options: &LoadOptions,
    device: &B::Device,
) -> Result<(SmolLm2<B>, LoadReport), ModelError> {
    config.validate()?;
    let stored = archive.shapes();
    let report = LoadReport::compare(config, &stored)?;
    if options.strict && !report.is_clean() {
        let report = Box::new(report);
        return Err(ModelError::Tensors { report });
    }
    let missing = report.missing.iter().map(|entry| &entry.name);
    let misshaped = report.misshaped.iter().map(|entry| &entry.name);
    let mut filler = Filler {
        archive,
        dtype: options.dtype,
        skipped: missing.chain(misshaped).collect(),
        has_twin: config.tie_word_embeddings && stored.contains_key(OUTPUT_PROJECTION),
        path: ParameterPath::new(config),
        error: None,
    };
    // Parameters of a fresh model are drawn when first looked at: those replaced here never are.
    let model = SmolLm2::new(config, device).map(&mut filler);
    if let Some(error) = filler.error {
        return Err(error);
    }
    model.visit(&mut DrawNow);
    Ok((model.settled(), report))
}

/// Puts the archive's tensors in the parameters' places.
struct Filler<'a> {
    archive: &'a mut dyn Archive,
    dtype: LoadDtype,
    skipped: BTreeSet<&'a String>,
    /// Whether the archive holds an output projection next to a tied embedding.
    has_twin: bool,
    path: ParameterPath,
    /// The first failure: a mapper cannot return one.
    error: Option<ModelError>,
}

impl<B: Backend> ModuleMapper<B> for Filler<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let name = self.path.name();
        if self.error.is_some() || self.skipped.contains(&name) {
            return param;
        }
        let data = match self.read(&name) {
            Ok(data) => data,
            Err(error) => {
                self.error = Some(error);
                return param;
            }
        };
        let device = param.lazy_device();
        let kind = self.path.kind();
        let data = if kind == ParameterKind::Projection {
            transpose(data)
        } else {
            data
        };
        let tensor = match self.target(kind, data.dtype) {
            Some(dtype) => Tensor::from_data(data.convert_dtype(dtype), (&device, dtype)),
            None => Tensor::from_data(data, &device),
        };
        Param::initialized(param.id, tensor.require_grad())
    }
}

impl Filler<'_> {
    /// The tensor of a parameter. A file that holds both sides of a tie must hold the same numbers twice, in whichever
    /// types.
    fn read(&mut self, name: &str) -> Result<TensorData, ModelError> {
        let data = self.archive.read(name)?;
        if name == EMBEDDING && self.has_twin {
            let projection = self.archive.read(OUTPUT_PROJECTION)?;
            if !holds_the_same(&data, &projection) {
                return Err(ModelError::TiedWeights {
                    embedding: EMBEDDING,
                    projection: OUTPUT_PROJECTION,
                });
            }
        }
        Ok(data)
    }

    /// The type to load as; `None` is the device's default.
    fn target(&self, kind: ParameterKind, stored: DType) -> Option<DType> {
        if kind.is_rational() {
            return Some(DType::F32);
        }
        match self.dtype {
            LoadDtype::Device => None,
            LoadDtype::Stored => Some(stored),
            LoadDtype::Given(dtype) => Some(dtype.dtype()),
        }
    }
}

/// Whether two tensors have one shape and the same numbers; f64 holds those of every weight type.
fn holds_the_same(left: &TensorData, right: &TensorData) -> bool {
    let same_bytes = left.dtype == right.dtype && left.as_bytes() == right.as_bytes();
    left.shape == right.shape && (same_bytes || left.iter::<f64>().eq(right.iter::<f64>()))
}

/// A parameter found in a model.
pub(super) struct Parameter<B: Backend> {
    pub(super) name: String,
    pub(super) kind: ParameterKind,
    id: ParamId,
    value: Value<B>,
}

/// The two ranks parameters have.
enum Value<B: Backend> {
    Vector(Tensor<B, 1>),
    Matrix(Tensor<B, 2>),
}

impl<B: Backend> Parameter<B> {
    pub(super) fn data(&self) -> TensorData {
        match &self.value {
            Value::Vector(vector) => vector.to_data(),
            Value::Matrix(matrix) if self.kind == ParameterKind::Projection => transpose(matrix.to_data()),
            Value::Matrix(matrix) => matrix.to_data(),
        }
    }

    /// Sizes as in [`Parameter::data`].
    pub(super) fn shape(&self) -> Vec<usize> {
        match &self.value {
            Value::Vector(vector) => vector.dims().to_vec(),
            Value::Matrix(matrix) => {
                let [rows, columns] = matrix.dims();
                if self.kind == ParameterKind::Projection {
                    vec![columns, rows]
                } else {
                    vec![rows, columns]
                }
            }
        }
    }
}

/// Every parameter of a model; the tensors are handles, not copies.
pub(super) fn parameters<B: DecoderBackend>(model: &SmolLm2<B>) -> Vec<Parameter<B>> {
    let mut collector = Collector {
        path: ParameterPath::new(model.config()),
        parameters: Vec::new(),
    };
    model.visit(&mut collector);
    collector.parameters
}

struct Collector<B: Backend> {
    path: ParameterPath,
    parameters: Vec<Parameter<B>>,
}

impl<B: Backend> ModuleVisitor<B> for Collector<B> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let tensor = param.val();
        let value = match D {
            1 => Value::Vector(tensor.reshape([-1])),
            _ => {
                let rows = tensor.dims()[0] as i32;
                Value::Matrix(tensor.reshape([rows, -1]))
            }
        };
        self.parameters.push(Parameter {
            name: self.path.name(),
            kind: self.path.kind(),
            id: param.id,
            value,
        });
    }
}
