//! The absences of docs/architecture.md that a program can check.

use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Which of our own crates a library may import. Anything else is a broken arrow.
const MAY_IMPORT: [(&str, &[&str]); 8] = [
    ("hub-cache", &[]),
    ("record-files", &[]),
    ("kan-rational", &[]),
    ("smollm2-model", &["hub-cache", "kan-rational"]),
    ("smoltalk-data", &["hub-cache", "record-files"]),
    ("smollm2-train", &["kan-rational", "smollm2-model", "smoltalk-data"]),
    (
        "llm-bench",
        &[
            "hub-cache",
            "kan-rational",
            "record-files",
            "smollm2-model",
            "smoltalk-data",
        ],
    ),
    (
        "kallm",
        &[
            "hub-cache",
            "kan-rational",
            "llm-bench",
            "record-files",
            "smollm2-model",
            "smollm2-train",
            "smoltalk-data",
        ],
    ),
];

/// Third-party crates a library must not know.
const MUST_NOT_KNOW: [(&str, &[&str]); 4] = [
    (
        "kan-rational",
        &["tokenizers", "safetensors", "ureq", "memmap2", "minijinja"],
    ),
    ("smollm2-model", &["tokenizers", "minijinja", "parquet"]),
    ("smoltalk-data", &["burn", "burn-autodiff", "parquet"]),
    ("llm-bench", &["parquet"]),
];

/// A pattern that must not stand in library sources, and why.
struct Absence {
    pattern: &'static str,
    reason: &'static str,
}

/// `print!(` stands in `eprint!(` too, and `println!(` in `eprintln!(`.
const ABSENCES: [Absence; 12] = [
    Absence {
        pattern: "print!(",
        reason: "no library prints",
    },
    Absence {
        pattern: "println!(",
        reason: "no library prints",
    },
    Absence {
        pattern: "dbg!(",
        reason: "no library prints",
    },
    Absence {
        pattern: "io::stdout",
        reason: "no library prints",
    },
    Absence {
        pattern: "io::stderr",
        reason: "no library prints",
    },
    Absence {
        pattern: "env::var",
        reason: "no hidden environment variables",
    },
    Absence {
        pattern: "thread_local!",
        reason: "no global state",
    },
    Absence {
        pattern: "todo!(",
        reason: "a stub is not done",
    },
    Absence {
        pattern: "unimplemented!(",
        reason: "a stub is not done",
    },
    Absence {
        pattern: "#[ignore",
        reason: "an ignored test looks green",
    },
    Absence {
        pattern: "```ignore",
        reason: "an ignored doctest looks green",
    },
    Absence {
        pattern: "```no_run",
        reason: "a doctest that does not run looks green",
    },
];

/// Types through which a `static` that is not `mut` changes all the same.
const CHANGING: [&str; 8] = [
    "Mutex", "RwLock", "OnceLock", "OnceCell", "LazyLock", "LazyCell", "Atomic", "Cell<",
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
        for (index, line) in text.lines().enumerate() {
            let mut breaks = absences(line);
            if library == "smollm2-model" && !name.contains("/weights") && !is_comment(line) && opens_a_file(line) {
                breaks.push("files are opened only in weights/".to_string());
            }
            let place = format!("{name}:{}", index + 1);
            broken.extend(breaks.into_iter().map(|reason| format!("{place}: {reason}")));
        }
    }
    Ok(())
}

/// What a line holds that no library may.
fn absences(line: &str) -> Vec<String> {
    // An attribute of a doctest stands in a comment.
    if is_comment(line) && !line.contains("```") {
        return Vec::new();
    }
    let found = ABSENCES.iter().filter(|absence| line.contains(absence.pattern));
    let mut broken: Vec<String> = found
        .map(|absence| format!("`{}`: {}", absence.pattern, absence.reason))
        .collect();
    if is_global_state(line) {
        broken.push("a `static` that changes: no global state".to_string());
    }
    broken
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// A table is no state; what is `mut`, locked, atomic or filled later is.
fn is_global_state(line: &str) -> bool {
    let item = line.trim_start();
    // `pub(super) static`: what stands between the brackets is one word.
    let item = item
        .strip_prefix("pub")
        .map_or(item, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
    let Some(declared) = item.strip_prefix("static ") else {
        return false;
    };
    declared.starts_with("mut ") || CHANGING.iter().any(|kind| declared.contains(kind))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_global_state_are_found() {
        for line in [
            "    print!(\"x\");",
            "eprint!(\"x\")",
            "eprintln!(\"x\")",
            "static mut COUNT: u32 = 0;",
            "pub(crate) static CACHE: Mutex<Vec<u8>> = Mutex::new(Vec::new());",
            "    static ONCE: OnceLock<u8> = OnceLock::new();",
            "pub static SEEN: AtomicUsize = AtomicUsize::new(0);",
            "thread_local! {",
            "/// ```no_run",
        ] {
            assert_eq!(absences(line).len(), 1, "{line}");
        }
        for line in [
            "pub(super) static TABLE: &[Entry] = &[",
            "fn name() -> &'static str {",
            "// println!(\"x\") would be seen by nobody",
            "let cache: Mutex<u8> = Mutex::new(0);",
        ] {
            assert!(absences(line).is_empty(), "{line}");
        }
    }
}
