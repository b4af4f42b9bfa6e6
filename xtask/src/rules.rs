//! The rules of docs/architecture.md that a program can check.

mod homes;
mod lines;
mod snippets;

use crate::shell::root;
use crate::sizes;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Which of our own crates a library may import. Anything else is a broken arrow.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("burn-custom-op", &[]),
    ("gguf-file", &[]),
    ("hub-cache", &[]),
    ("record-files", &[]),
    ("kan-rational", &["burn-custom-op"]),
    ("smollm2-model", &["burn-custom-op", "gguf-file", "kan-rational"]),
    ("smoltalk-data", &["gguf-file", "record-files"]),
    ("smollm2-infer", &["smollm2-model", "smoltalk-data"]),
    (
        "smollm2-train",
        &["burn-custom-op", "kan-rational", "smollm2-model", "smoltalk-data"],
    ),
    ("llm-bench", &["record-files"]),
    (
        "kallm",
        &[
            "hub-cache",
            "kan-rational",
            "llm-bench",
            "record-files",
            "smollm2-infer",
            "smollm2-model",
            "smollm2-train",
            "smoltalk-data",
        ],
    ),
];

/// Third-party crates a library must not know.
const MUST_NOT_KNOW: [(&str, &[&str]); 5] = [
    ("gguf-file", &["burn", "candle-core", "tokenizers"]),
    (
        "kan-rational",
        &["tokenizers", "safetensors", "ureq", "memmap2", "minijinja"],
    ),
    ("smollm2-model", &["candle-core", "tokenizers", "minijinja", "parquet"]),
    ("smoltalk-data", &["burn", "burn-autodiff", "candle-core", "parquet"]),
    ("llm-bench", &["burn", "parquet", "tokenizers"]),
];

/// Crates that no path of dependencies may lead to, by the start of their names.
const MUST_NOT_REACH: [(&str, &str); 5] = [
    ("gguf-file", "burn"),
    ("smoltalk-data", "burn"),
    ("llm-bench", "burn"),
    ("hub-cache", "burn"),
    ("record-files", "burn"),
];

/// Third-party crates that one of our libraries has to itself: nobody else reads the format.
const KEPT_BY: [(&str, &str); 2] = [("parquet", "record-files"), ("ureq", "hub-cache")];

/// A Rust file and what it holds.
struct Source {
    /// Its path from the root of the checkout.
    name: String,
    text: String,
}

pub(crate) fn enforce() -> Result<()> {
    let workspace = Workspace::read("Cargo.toml")?;
    let mut broken = Vec::new();
    imports(&workspace, &mut broken);
    for library in workspace.libraries() {
        let sources = sources(library.folder().join("src"))?;
        for source in &sources {
            lines::check(&library.name, source, &mut broken);
        }
        homes::check(&sources, &mut broken);
    }
    homes::check(&sources(root().join("examples"))?, &mut broken);
    snippets::check(&workspace, &mut broken)?;
    broken.extend(sizes::passed_limits(&workspace)?);
    if broken.is_empty() {
        eprintln!("house rules hold");
        return Ok(());
    }
    bail!("house rules broken:\n  {}", broken.join("\n  "));
}

/// Adds every import and dependency that the tables above forbid.
fn imports(workspace: &Workspace, broken: &mut Vec<String>) {
    let libraries = workspace.libraries();
    for library in &libraries {
        let names = library.dependencies();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| library.name == *name) else {
            broken.push(format!("{}: no row in MAY_IMPORT of xtask/src/rules.rs", library.name));
            continue;
        };
        for other in libraries.iter().map(|other| other.name.as_str()) {
            if names.contains(&other) && !allowed.contains(&other) {
                broken.push(format!("{} must not import {other}", library.name));
            }
        }
        let foreign = MUST_NOT_KNOW.iter().filter(|(name, _)| library.name == *name);
        for foreign in foreign
            .flat_map(|(_, foreign)| *foreign)
            .filter(|foreign| names.contains(foreign))
        {
            broken.push(format!("{} must not know {foreign}", library.name));
        }
        for (foreign, keeper) in KEPT_BY {
            if names.contains(&foreign) && library.name != keeper {
                broken.push(format!("{} must not know {foreign}: {keeper} does", library.name));
            }
        }
    }
    reached(workspace, broken);
}

fn reached(workspace: &Workspace, broken: &mut Vec<String>) {
    for (from, forbidden) in MUST_NOT_REACH {
        let Some(member) = workspace.members().into_iter().find(|package| package.name == from) else {
            broken.push(format!("no crate {from}: correct MUST_NOT_REACH"));
            continue;
        };
        let mut names = workspace.reached_from(member);
        names.retain(|name| name.starts_with(forbidden));
        names.sort_unstable();
        if !names.is_empty() {
            broken.push(format!(
                "{from} must not depend on {forbidden}, found {}",
                names.join(", ")
            ));
        }
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The Rust files below a folder, integration tests left out.
fn sources(folder: impl AsRef<Path>) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    collect(folder.as_ref(), &mut paths)?;
    let root = root().canonicalize()?;
    let mut sources = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let path = path.canonicalize()?;
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        sources.push(Source { name, text });
    }
    Ok(sources)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "tests") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
