//! Writing a model as a folder in the Hugging Face layout.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use burn::tensor::{DType, TensorData, backend::Backend};
use safetensors::{Dtype, View, serialize_to_file};
use serde_json::json;

use super::{
    folder::{CONFIG, GENERATION_CONFIG, INDEX, WEIGHTS},
    named::{Parameter, parameters},
};
use crate::{DecoderBackend, ModelError, SmolLm2, SmolLm2Config, StoredDtype};

/// Writes `model` into the folder `dir`: `model.safetensors`, `config.json`, `generation_config.json`.
///
/// Where every layer is SwiGLU, `transformers` opens the folder as a `LlamaForCausalLM`. Otherwise the layout is the
/// same, with the coefficients of rational functions as further tensors (always f32) and a `feed_forward` key in
/// `config.json`. Weights are written in the type they have; a tied embedding is written once.
///
/// A folder that does not exist appears complete or not at all; in one that exists every file is replaced by
/// renaming, configuration last, so that a reader never sees half a file.
///
/// # Errors
/// [`ModelError::Io`].
pub fn save<B: DecoderBackend>(model: &SmolLm2<B>, dir: &Path) -> Result<(), ModelError> {
    save_as(model, model.dtype(), dir)
}

/// As [`save`], with weights rounded to `dtype`: [`StoredDtype::Bfloat16`] makes a file of half the size.
///
/// # Errors
/// As [`save`].
pub fn save_as<B: DecoderBackend>(model: &SmolLm2<B>, dtype: StoredDtype, dir: &Path) -> Result<(), ModelError> {
    let config = SmolLm2Config {
        dtype,
        ..model.config().clone()
    };
    let parameters = parameters(model);
    let dtype = dtype.dtype();
    let views = parameters.iter().map(|parameter| {
        let dtype = if parameter.kind.is_rational() {
            DType::F32
        } else {
            dtype
        };
        (
            parameter.name.as_str(),
            ParameterView {
                parameter,
                shape: parameter.shape(),
                dtype,
            },
        )
    });
    // A folder that exists may be a mount point or a link: only inside it is renaming sure to work.
    let place = if dir.is_dir() { dir } else { folder_of(dir) };
    fs::create_dir_all(place).map_err(|error| ModelError::io("create", place, error))?;
    let staging = tempfile::Builder::new().prefix(".saving-").tempdir_in(place);
    let staging = staging.map_err(|error| ModelError::io("create a folder in", place, error))?;
    write_tensors(views, &staging.path().join(WEIGHTS))?;
    write_text(&staging.path().join(GENERATION_CONFIG), &generation_config(&config))?;
    write_text(&staging.path().join(CONFIG), &config.to_json())?;
    publish(staging, dir)
}

/// Writes named tensors as one safetensors file, by way of a temporary file that is renamed: the inverse of
/// [`read_safetensors`](super::read_safetensors).
///
/// # Errors
/// [`ModelError::Io`]; [`ModelError::Safetensors`] for an element type the format lacks.
pub fn write_safetensors(tensors: &BTreeMap<String, TensorData>, path: &Path) -> Result<(), ModelError> {
    for (name, data) in tensors {
        if format_type(data.dtype).is_none() {
            return Err(ModelError::Safetensors {
                path: path.to_owned(),
                field: format!("{name}.dtype"),
                expected: "a float or integer type".to_owned(),
                found: format!("{:?}", data.dtype),
            });
        }
    }
    write_tensors(tensors.iter().map(|(name, data)| (name.as_str(), DataView(data))), path)
}

/// What `transformers` writes next to a model without sampling defaults of its own.
fn generation_config(config: &SmolLm2Config) -> String {
    let mut generation = json!({ "_from_model_config": true });
    if let Some(id) = config.bos_token_id {
        generation["bos_token_id"] = json!(id);
    }
    if !config.eos_token_ids.is_empty() {
        generation["eos_token_id"] = config.eos_json();
    }
    if let Some(id) = config.pad_token_id {
        generation["pad_token_id"] = json!(id);
    }
    format!("{generation:#}\n")
}

fn write_text(path: &Path, text: &str) -> Result<(), ModelError> {
    fs::write(path, text).map_err(|error| ModelError::io("write", path, error))
}

fn write_tensors<'a, V: View>(tensors: impl Iterator<Item = (&'a str, V)>, path: &Path) -> Result<(), ModelError> {
    // transformers refuses files whose metadata does not name the framework.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    serialize_to_file(tensors, Some(metadata), path)
        .and_then(|()| Ok(permit(path)?))
        .map_err(|error| ModelError::io("write", path, std::io::Error::other(error)))
}

/// Gives a file the permissions a new file gets: safetensors writes a private temporary file and renames it.
#[cfg_attr(not(unix), expect(unused_variables))]
fn permit(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let all = fs::Permissions::from_mode(0o666); // less the umask, which can only be seen on a file
        let new = tempfile::Builder::new().permissions(all).tempfile_in(folder_of(path))?;
        fs::set_permissions(path, new.as_file().metadata()?.permissions())?;
    }
    Ok(())
}

/// The folder a path lies in.
fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Moves the files of `staging` to `dir`.
fn publish(staging: tempfile::TempDir, dir: &Path) -> Result<(), ModelError> {
    if !dir.exists() {
        let staged = staging.keep();
        return fs::rename(&staged, dir).map_err(|error| {
            // Nothing was published: leave nothing behind either. The rename's failure is the one worth reporting.
            let _ = fs::remove_dir_all(&staged);
            ModelError::io("create", dir, error)
        });
    }
    replace(staging.path(), dir, WEIGHTS)?;
    // The index of an earlier, sharded model would describe files that are no longer the model.
    let index = dir.join(INDEX);
    if index.exists() {
        fs::remove_file(&index).map_err(|error| ModelError::io("remove", &index, error))?;
    }
    replace(staging.path(), dir, GENERATION_CONFIG)?;
    replace(staging.path(), dir, CONFIG)
}

fn replace(staging: &Path, dir: &Path, file: &str) -> Result<(), ModelError> {
    let target = dir.join(file);
    fs::rename(staging.join(file), &target).map_err(|error| ModelError::io("replace", &target, error))
}

/// A parameter fetched from its device when it is written, so that one tensor at a time is in host memory.
struct ParameterView<'a, B: Backend> {
    parameter: &'a Parameter<B>,
    shape: Vec<usize>,
    dtype: DType,
}

impl<B: Backend> View for ParameterView<'_, B> {
    fn dtype(&self) -> Dtype {
        format_type(self.dtype).expect("weights are written as F32, F16 or BF16")
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.parameter.data().convert_dtype(self.dtype).as_bytes().to_vec())
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

struct DataView<'a>(&'a TensorData);

impl View for DataView<'_> {
    fn dtype(&self) -> Dtype {
        format_type(self.0.dtype).expect("`write_safetensors` has refused other types")
    }

    fn shape(&self) -> &[usize] {
        self.0.shape.as_slice()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.0.as_bytes().len()
    }
}

fn format_type(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        _ => return None,
    })
}
