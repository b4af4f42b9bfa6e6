//! The optimiser's state in a checkpoint.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData, TensorMetadata, backend::Backend, ops::FloatTensor},
};
use safetensors::{Dtype, View, serialize_to_file};
use smollm2_model::{ParameterPath, SmolLm2};
use smoltalk_data::Mismatch;

use super::{AdamW, AdamWConfig, Moments, unwrap, wrap};
use crate::{TrainBackend, TrainError, ops::StepBackend};

const FIRST: &str = ".first_moment";
const SECOND: &str = ".second_moment";
const MASTER: &str = ".master";
const EXPECTED: &str = "both moments of every parameter in its shape, and a master copy of each that is not f32";

impl<B: StepBackend> AdamW<B> {
    /// Every tensor of the state with its name in a checkpoint.
    fn tensors(&self) -> impl Iterator<Item = (String, &FloatTensor<B>)> {
        self.moments.iter().flat_map(|(name, moments)| {
            let parts = [
                (FIRST, Some(&moments.first)),
                (SECOND, Some(&moments.second)),
                (MASTER, moments.master.as_ref()),
            ];
            parts
                .into_iter()
                .filter_map(move |(suffix, tensor)| Some((format!("{name}{suffix}"), tensor?)))
        })
    }

    /// The state as named tensors: every parameter's name with `.first_moment`, `.second_moment` and, where the model
    /// does not compute in f32, `.master`, each in the parameter's shape.
    pub fn to_tensors(&self) -> BTreeMap<String, TensorData> {
        self.tensors()
            .map(|(name, tensor)| (name, read::<B>(tensor.clone())))
            .collect()
    }

    /// Writes [`to_tensors`](Self::to_tensors) as a safetensors file, one tensor at a time in host memory.
    pub(crate) fn write(&self, path: &Path) -> Result<(), TrainError> {
        let views = self.tensors().map(|(name, tensor)| {
            let shape = tensor.shape().to_vec();
            (name, StateView::<B> { tensor, shape })
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        // safetensors replaces the file by a temporary one that only its owner may read: a file made here before says
        // which permissions a new file gets.
        let permissions = File::create(path).and_then(|file| Ok(file.metadata()?.permissions()));
        let permissions = permissions.map_err(TrainError::io("create", path))?;
        serialize_to_file(views, Some(metadata), path)
            .map_err(|error| TrainError::io("write", path)(std::io::Error::other(error)))?;
        fs::set_permissions(path, permissions).map_err(TrainError::io("set the permissions of", path))
    }

    /// The inverse of [`to_tensors`](Self::to_tensors) for the parameters of `model`, after `updates` updates.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] unless there are both moments of every parameter, and a master copy of each that is
    /// not f32. Only before the first update there may be none.
    pub fn from_tensors<AB: TrainBackend<InnerBackend = B>>(
        config: AdamWConfig,
        updates: usize,
        mut tensors: BTreeMap<String, TensorData>,
        model: &SmolLm2<AB>,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let mut parameters = Parameters {
            path: ParameterPath::new(model.config()),
            of: BTreeMap::new(),
        };
        model.visit(&mut parameters);
        let mut moments = BTreeMap::new();
        for (name, (shape, dtype)) in parameters.of {
            let [first, second, master] = [FIRST, SECOND, MASTER]
                .map(|suffix| take::<B>(&mut tensors, format!("{name}{suffix}"), &shape, device));
            match (first?, second?, master?) {
                (None, None, None) if updates == 0 => {}
                (Some(first), Some(second), master) if master.is_none() == (dtype == DType::F32) => {
                    moments.insert(name, Moments { first, second, master });
                }
                (first, second, master) => {
                    let parts = [(FIRST, first), (SECOND, second), (MASTER, master)];
                    let found: Vec<&str> = parts
                        .iter()
                        .filter(|part| part.1.is_some())
                        .map(|part| part.0)
                        .collect();
                    return Err(refused(format!("only {found:?} of {name}, which is {dtype:?}")));
                }
            }
        }
        match tensors.into_keys().next() {
            Some(stray) => Err(refused(format!("{stray}, which belongs to no parameter"))),
            None => Ok(Self {
                config,
                updates,
                moments,
            }),
        }
    }
}

/// Takes a tensor out and puts it on the device; an error when its shape is not the parameter's.
fn take<B: Backend>(
    tensors: &mut BTreeMap<String, TensorData>,
    key: String,
    shape: &[usize],
    device: &B::Device,
) -> Result<Option<FloatTensor<B>>, TrainError> {
    let Some(data) = tensors.remove(&key) else {
        return Ok(None);
    };
    match data.shape.to_vec() {
        found if found == shape => Ok(Some(write::<B>(data, device))),
        found => Err(refused(format!(
            "{key} of shape {found:?} for a parameter of shape {shape:?}"
        ))),
    }
}

fn refused(found: String) -> TrainError {
    TrainError::OptimizerState(Mismatch::new(EXPECTED, found))
}

/// Shape and type of every parameter by its name in a checkpoint.
struct Parameters {
    path: ParameterPath,
    of: BTreeMap<String, (Vec<usize>, DType)>,
}

impl<B: Backend> ModuleVisitor<B> for Parameters {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let facts = (param.shape().to_vec(), param.val().dtype());
        self.of.insert(self.path.name(), facts);
    }
}

/// A tensor of the state, fetched from its device when it is written.
struct StateView<'a, B: Backend> {
    tensor: &'a FloatTensor<B>,
    shape: Vec<usize>,
}

impl<B: Backend> View for StateView<'_, B> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(read::<B>(self.tensor.clone()).as_bytes().to_vec())
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * DType::F32.size()
    }
}

fn read<B: Backend>(tensor: FloatTensor<B>) -> TensorData {
    match tensor.rank() {
        1 => wrap::<B, 1>(tensor).into_data(),
        2 => wrap::<B, 2>(tensor).into_data(),
        _ => wrap::<B, 3>(tensor).into_data(),
    }
}

fn write<B: Backend>(data: TensorData, device: &B::Device) -> FloatTensor<B> {
    let options = (device, DType::F32);
    match data.shape.len() {
        1 => unwrap(Tensor::<B, 1>::from_data(data, options)),
        2 => unwrap(Tensor::<B, 2>::from_data(data, options)),
        _ => unwrap(Tensor::<B, 3>::from_data(data, options)),
    }
}
