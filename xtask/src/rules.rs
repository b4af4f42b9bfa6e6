//! The absences of docs/architecture.md that a program can check.

use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Which of our own crates a library may import. Anything else is a broken arrow.
const MAY_IMPORT: [(&str, &[&str]); 6] = [
    ("hub-cache", &[]),
    ("kan-rational", &[]),
    ("smollm2-model", &["hub-cache", "kan-rational"]),
    ("smoltalk-data", &["hub-cache"]),
    ("smollm2-train", &["kan-rational", "smollm2-model", "smoltalk-data"]),
    (
        "llm-bench",
        &["hub-cache", "kan-rational", "smollm2-model", "smoltalk-data"],
    ),
];

/// Third-party crates a library must not know.
const MUST_NOT_KNOW: [(&str, &[&str]); 3] = [
    (
        "kan-rational",
        &["tokenizers", "safetensors", "ureq", "memmap2", "minijinja"],
    ),
    ("smollm2-model", &["tokenizers", "minijinja", "parquet"]),
    ("smoltalk-data", &["burn-autodiff"]),
];

/// A pattern that must not stand in library sources, where it may stand all the same, and why.
struct Absence {
    pattern: &'static str,
    allowed_below: &'static [&'static str],
    reason: &'static str,
}

const ABSENCES: [Absence; 9] = [
    Absence {
        pattern: "println!(",
        allowed_below: &[],
        reason: "no library prints",
    },
    Absence {
        pattern: "eprintln!(",
        allowed_below: &[],
        reason: "no library prints",
    },
    Absence {
        pattern: "env::var",
        allowed_below: &[],
        reason: "no hidden environment variables",
    },
    Absence {
        pattern: "static mut ",
        allowed_below: &[],
        reason: "no global state",
    },
    Absence {
        pattern: "todo!(",
        allowed_below: &[],
        reason: "a stub is not done",
    },
    Absence {
        pattern: "unimplemented!(",
        allowed_below: &[],
        reason: "a stub is not done",
    },
    Absence {
        pattern: "#[ignore",
        allowed_below: &[],
        reason: "an ignored test looks green",
    },
    Absence {
        pattern: "```ignore",
        allowed_below: &[],
        reason: "an ignored doctest looks green",
    },
    Absence {
        pattern: "```no_run",
        allowed_below: &[],
        reason: "a doctest that does not run looks green",
    },
];

const LONGEST_FILE: usize = 500;

pub(crate) fn enforce() -> Result<()> {
    let mut broken = Vec::new();
    imports(&mut broken)?;
    for (library, _) in MAY_IMPORT {
        sources(library, &mut broken)?;
    }
    if broken.is_empty() {
        eprintln!("house rules hold");
        return Ok(());
    }
    bail!("house rules broken:\n  {}", broken.join("\n  "));
}

fn imports(broken: &mut Vec<String>) -> Result<()> {
    for (library, allowed) in MAY_IMPORT {
        let path = root().join("crates").join(library).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let names = dependencies(&manifest);
        for (other, _) in MAY_IMPORT {
            if names.contains(&other) && !allowed.contains(&other) {
                broken.push(format!("{library} must not import {other}"));
            }
        }
        for (_, foreign) in MUST_NOT_KNOW.iter().filter(|(name, _)| *name == library) {
            broken.extend(
                foreign
                    .iter()
                    .filter(|name| names.contains(*name))
                    .map(|name| format!("{library} must not know {name}")),
            );
        }
    }
    Ok(())
}

/// Names in the `[dependencies]` table of a manifest; development dependencies are free.
fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

fn sources(library: &str, broken: &mut Vec<String>) -> Result<()> {
    let folder = root().join("crates").join(library).join("src");
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            broken.push(format!("{name} has {lines} lines; the limit is {LONGEST_FILE}"));
        }
        for (number, line) in text.lines().enumerate() {
            let doc = line.trim_start().starts_with("//") && !line.contains("```");
            for absence in &ABSENCES {
                let allowed = absence.allowed_below.iter().any(|below| name.contains(below));
                if !doc && !allowed && line.contains(absence.pattern) {
                    broken.push(format!(
                        "{name}:{}: `{}`: {}",
                        number + 1,
                        absence.pattern,
                        absence.reason
                    ));
                }
            }
            if library == "smollm2-model" && !doc && !name.contains("/weights") && opens_a_file(line) {
                broken.push(format!("{name}:{}: files are opened only in weights/", number + 1));
            }
        }
    }
    Ok(())
}

fn opens_a_file(line: &str) -> bool {
    ["File::open", "File::create", "fs::read", "fs::write"]
        .iter()
        .any(|pattern| line.contains(pattern))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
