//! Running the examples in the forms that their first lines and README.md promise.

use crate::shell::{cargo, cargo_in, root};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Leaves the models that the others open in their short form.
const FIRST: &str = "compare";

/// Runs every example in its short form, the line `//! Short: ...` at its head.
pub(crate) fn run() -> Result<()> {
    // In a separate folder, away from the output of earlier commands.
    let folder = root().join("target/short-examples");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let mut files = files()?;
    files.sort_by_key(|path| path.file_stem().is_none_or(|name| name != FIRST));
    for path in files {
        let short = short_form(&path)?;
        let words = shlex::split(&short).with_context(|| format!("{}: `{short}` has an open quote", path.display()))?;
        let Some(("cargo", rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
            bail!(
                "{}: the short form must start with `cargo`, found `{short}`",
                path.display()
            );
        };
        cargo_in(&folder, &rest.iter().map(String::as_str).collect::<Vec<_>>(), &[])?;
    }
    Ok(())
}

/// The sources of all examples of the workspace, sorted.
fn files() -> Result<Vec<PathBuf>> {
    let workspace = Workspace::read("Cargo.toml")?;
    let mut files = Vec::new();
    for package in workspace.members() {
        let examples = package.examples();
        files.extend(examples.into_iter().map(|example| example.src_path.clone()));
        let registered = files.len();
        for entry in std::fs::read_dir(package.folder())? {
            let path = entry?.path();
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            if package.name == "examples" && is_source && !files[..registered].contains(&path) {
                bail!("{} is not in examples/Cargo.toml", path.display());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn short_form(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("//! Short: `"));
    let short = line.and_then(|line| line.strip_suffix('`'));
    let short = short.with_context(|| {
        format!(
            "{}: no line `//! Short: \\`cargo run ...\\`` at its head",
            path.display()
        )
    })?;
    Ok(short.to_owned())
}

/// The comparison that README.md starts with, at its full length.
pub(crate) fn compare_in_full() -> Result<()> {
    let output = root().join("target/full-comparison");
    let output = output.to_string_lossy();
    cargo(&[
        "run",
        "--release",
        "--example",
        FIRST,
        "--",
        "--replace",
        "--output-path",
        &output,
    ])
}
