//! A model folder in the Hugging Face layout, whole or sharded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Component, Path, PathBuf},
};

use burn::tensor::TensorData;
use serde_json::Value;

use super::{
    archive::{Archive, Shapes},
    element::is_weight_type,
    safetensors_file::SafetensorsFile,
};
use crate::{ModelError, SmolLm2Config};

/// File names of the layout.
pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
pub(super) const WEIGHTS: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Largest JSON file read: the index of a model of a million tensors is smaller.
const MAX_JSON: u64 = 128 << 20;

/// The weight files of a folder, mapped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: Vec<SafetensorsFile>,
    /// Which file holds a tensor.
    places: BTreeMap<String, usize>,
}

impl Folder {
    /// Maps `model.safetensors`, or the shards of the index where there is no such file (the order of
    /// `transformers`).
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let whole = path.join(WEIGHTS);
        let index = path.join(INDEX);
        if whole.is_file() || !index.is_file() {
            let file = SafetensorsFile::open(&whole)?;
            let places = file.tensors().map(|(name, _)| (name.to_owned(), 0)).collect();
            return Ok(Self {
                path: path.to_owned(),
                files: vec![file],
                places,
            });
        }
        Self::open_shards(path, &ShardIndex::read(&index)?)
    }

    fn open_shards(path: &Path, index: &ShardIndex) -> Result<Self, ModelError> {
        let mut folder = Self {
            path: path.to_owned(),
            files: Vec::new(),
            places: BTreeMap::new(),
        };
        let mut disagreements = Vec::new();
        for (place, shard) in index.shards().enumerate() {
            let file = SafetensorsFile::open(&path.join(shard))?;
            for (name, _) in file.tensors() {
                disagreements.extend(index.disagreement(name, shard));
                folder.places.insert(name.to_owned(), place);
            }
            folder.files.push(file);
        }
        let absent = index
            .weight_map
            .iter()
            .filter(|(name, _)| !folder.places.contains_key(*name));
        disagreements.extend(absent.map(|(name, shard)| format!("{name}: listed in {shard}, found in no shard")));
        if !disagreements.is_empty() {
            let found = format!("{} that differ\n  {}", disagreements.len(), disagreements.join("\n  "));
            return Err(index.error("weight_map", "each tensor in the shard it is listed in", found));
        }
        Ok(folder)
    }

    /// The configuration next to the weights.
    pub(super) fn config(&self) -> Result<SmolLm2Config, ModelError> {
        let path = self.path.join(CONFIG);
        SmolLm2Config::from_json(&read_text(&path)?).map_err(|error| error.in_file(&path))
    }
}

impl Archive for Folder {
    fn shapes(&self) -> Shapes {
        let tensors = self.files.iter().flat_map(SafetensorsFile::tensors);
        tensors
            .map(|(name, tensor)| (name.to_owned(), tensor.shape.clone()))
            .collect()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, ModelError> {
        let Some(file) = self.places.get(name).and_then(|place| self.files.get(*place)) else {
            return Err(ModelError::Safetensors {
                path: self.path.clone(),
                field: name.to_owned(),
                expected: "a tensor of this name".to_owned(),
                found: "nothing".to_owned(),
            });
        };
        let data = file.read(name)?;
        if !is_weight_type(data.dtype) {
            return Err(ModelError::Safetensors {
                path: file.path().to_owned(),
                field: format!("{name}.dtype"),
                expected: "F32, F16, BF16 or F64: a weight".to_owned(),
                found: format!("{:?}", data.dtype),
            });
        }
        Ok(data)
    }
}

/// `model.safetensors.index.json`: which shard holds which tensor.
#[derive(Debug)]
struct ShardIndex {
    path: PathBuf,
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Reads an index and refuses a shard that is not a plain file name: the index of a downloaded model must not
    /// reach outside its folder.
    fn read(path: &Path) -> Result<Self, ModelError> {
        let mut index = Self {
            path: path.to_owned(),
            weight_map: BTreeMap::new(),
        };
        let text = read_text(path)?;
        let value: Value = serde_json::from_str(&text).map_err(|error| index.error("file", "a JSON object", error))?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| index.error("weight_map", "an object", "nothing of that kind"))?;
        for (name, shard) in map {
            let shard = shard
                .as_str()
                .filter(|shard| is_plain_file_name(shard))
                .ok_or_else(|| index.error(name, "a .safetensors file name in the same folder", shard))?;
            index.weight_map.insert(name.clone(), shard.to_owned());
        }
        if index.weight_map.is_empty() {
            return Err(index.error("weight_map", "at least one tensor", 0));
        }
        Ok(index)
    }

    /// Shard file names in order, each once.
    fn shards(&self) -> impl Iterator<Item = &str> {
        let shards: BTreeSet<&str> = self.weight_map.values().map(String::as_str).collect();
        shards.into_iter()
    }

    /// What is wrong with a tensor found in a shard that the index does not give it to.
    fn disagreement(&self, name: &str, shard: &str) -> Option<String> {
        match self.weight_map.get(name) {
            Some(listed) if listed == shard => None,
            Some(listed) => Some(format!("{name}: listed in {listed}, found in {shard}")),
            None => Some(format!("{name}: not listed, found in {shard}")),
        }
    }

    fn error(&self, field: &str, expected: impl Into<String>, found: impl ToString) -> ModelError {
        ModelError::ShardIndex {
            path: self.path.clone(),
            field: field.to_owned(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

fn is_plain_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let single = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    );
    single && !name.contains(['/', '\\', '\0']) && name.ends_with(".safetensors")
}

/// A text file of at most [`MAX_JSON`] bytes.
fn read_text(path: &Path) -> Result<String, ModelError> {
    let file = File::open(path).map_err(|error| ModelError::io("open", path, error))?;
    let mut text = String::new();
    file.take(MAX_JSON + 1)
        .read_to_string(&mut text)
        .map_err(|error| ModelError::io("read", path, error))?;
    if text.len() as u64 > MAX_JSON {
        let reason = std::io::Error::other(format!("more than {MAX_JSON} bytes of JSON"));
        return Err(ModelError::io("read", path, reason));
    }
    Ok(text)
}
