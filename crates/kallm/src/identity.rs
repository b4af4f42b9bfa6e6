//! Records which files a result was made from, as digests that `sha256sum` can check.

use crate::error::{KallmError, OfPath, Result};
use crate::files::children;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// The files of a model that decide its answers; weights are `.safetensors` next to these.
const MODEL_FILES: [&str; 4] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// The SHA-256 of every file of the model in a folder or a GGUF file, by name.
///
/// # Errors
/// When one cannot be read.
pub fn of_model(model: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = vec![model.to_owned()];
    if model.is_dir() {
        files = children(model)?;
        files.retain(|path| is_model_file(path));
    }
    files.iter().map(|path| Ok((name(path), of_file(path)?))).collect()
}

fn is_model_file(path: &Path) -> bool {
    let name = name(path);
    let weights = name.starts_with("model") && name.ends_with(".safetensors");
    weights || MODEL_FILES.contains(&name.as_str())
}

fn name(path: &Path) -> String {
    let name = path.file_name().expect("a file has a name");
    name.to_string_lossy().into_owned()
}

/// The version of this program and the SHA-256 of its file: another build may compute other numbers.
///
/// # Errors
/// When the file cannot be read.
pub fn of_program() -> Result<BTreeMap<String, String>> {
    let path = std::env::current_exe().of_path("find", Path::new("this program's file"))?;
    Ok([
        ("version".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ("sha256".to_string(), of_file(&path)?),
    ]
    .into())
}

fn of_file(path: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let copied = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut digest));
    copied.of_path("read", path)?;
    Ok(hexadecimal(digest))
}

/// The SHA-256 of a value's JSON.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn of_value(value: &impl Serialize) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(value).map_err(KallmError::json("a value to identify"))?);
    Ok(hexadecimal(digest))
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_its_weights_configuration_and_tokenizer() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "model-00001-of-00001.safetensors", "tokenizer.json"] {
            std::fs::write(folder.path().join(file), "abc").unwrap();
        }
        let before = of_model(folder.path()).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, appendix B.1
        assert_eq!(before.len(), 3);
        assert!(before.values().all(|digest| digest == abc));
        std::fs::write(folder.path().join("optimizer.safetensors"), "moments").unwrap();
        assert_eq!(of_model(folder.path()).unwrap(), before);
        std::fs::write(folder.path().join("tokenizer.json"), "other").unwrap();
        assert_ne!(of_model(folder.path()).unwrap(), before);
    }
}
