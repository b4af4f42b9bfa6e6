//! Sizes of the code: what makes a crate quick or slow to read.

mod measure;

use crate::workspace::{Package, Workspace};
use anyhow::{Result, bail};
use measure::{Sizes, measure};
use std::path::{Path, PathBuf};

/// Most lines of nine files in ten.
const FILE_LINES: usize = 299;
/// Most lines of nine functions in ten.
const FUNCTION_LINES: usize = 27;
/// Most named closures per 1,000 lines.
const CLOSURES: f64 = 2.0;

/// Prints the sizes of each crate and of the workspace, without tests and with them. With `check`, the limits hold for the
/// workspace without its tests.
pub(crate) fn report(check: bool) -> Result<()> {
    let workspace = Workspace::read("Cargo.toml")?;
    let sum = table("without tests", &sizes(&workspace, false)?);
    table("with tests", &sizes(&workspace, true)?);
    let broken = broken(&sum);
    if check && !broken.is_empty() {
        bail!("too large, without tests: {}", broken.join("; "));
    }
    Ok(())
}

/// The limits that the workspace passes without its tests.
pub(crate) fn passed_limits(workspace: &Workspace) -> Result<Vec<String>> {
    let mut sum = Sizes::default();
    for (_, sizes) in sizes(workspace, false)? {
        sum.add(&sizes);
    }
    Ok(broken(&sum))
}

/// The sizes of each crate.
fn sizes(workspace: &Workspace, with_tests: bool) -> Result<Vec<(&Package, Sizes)>> {
    let mut all = Vec::new();
    for package in workspace.members() {
        let mut sizes = Sizes::default();
        for file in rust_files(package.folder())? {
            if with_tests || !is_test(file.strip_prefix(package.folder())?) {
                measure(&std::fs::read_to_string(&file)?, with_tests, &mut sizes)?;
            }
        }
        all.push((package, sizes));
    }
    Ok(all)
}

fn broken(sizes: &Sizes) -> Vec<String> {
    let mut broken = Vec::new();
    for (what, lines, limit) in [
        ("files", percentile(&sizes.files, 90), FILE_LINES),
        ("functions", percentile(&sizes.functions, 90), FUNCTION_LINES),
    ] {
        if lines > limit {
            broken.push(format!(
                "one in ten {what} has more than {lines} lines; the limit is {limit}"
            ));
        }
    }
    let closures = per_thousand(sizes.closures, sizes);
    if closures > CLOSURES {
        broken.push(format!(
            "{closures:.1} named closures per 1,000 lines; the limit is {CLOSURES}"
        ));
    }
    broken
}

/// Prints a line per crate and one for those below `crates/`, and returns the sum of all.
fn table(title: &str, crates: &[(&Package, Sizes)]) -> Sizes {
    println!(
        "{title:16} files  lines  per file: p50  p90  max  functions  lines: p50  p90  max  named closures per 1,000  \
         public items  fields  docs  of 4 words or less"
    );
    let (mut libraries, mut all) = (Sizes::default(), Sizes::default());
    for (package, sizes) in crates {
        row(&package.name, sizes);
        all.add(sizes);
        if package.is_library() {
            libraries.add(sizes);
        }
    }
    row("libraries", &libraries);
    row("workspace", &all);
    println!();
    all
}

fn row(name: &str, sizes: &Sizes) {
    let [file, function] =
        [&sizes.files, &sizes.functions].map(|lines| [50, 90, 100].map(|share| percentile(lines, share)));
    println!(
        "{name:16} {:5}  {:5}  {:13}  {:3}  {:3}  {:9}  {:10}  {:3}  {:3}  {:14}  {:9.1}  {:12}  {:6}  {:4}  {:18}",
        sizes.files.len(),
        sizes.lines(),
        file[0],
        file[1],
        file[2],
        sizes.functions.len(),
        function[0],
        function[1],
        function[2],
        sizes.closures,
        per_thousand(sizes.closures, sizes),
        sizes.public_items,
        sizes.public_fields,
        sizes.docs,
        sizes.thin_docs,
    );
}

/// The smallest value that is not below `share` percent of all.
fn percentile(values: &[usize], share: usize) -> usize {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * share).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn per_thousand(count: usize, sizes: &Sizes) -> f64 {
    1000.0 * count as f64 / sizes.lines().max(1) as f64
}

fn is_test(path: &Path) -> bool {
    path.starts_with("tests") || path.starts_with("benches")
}

/// The Rust files of a package.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_list() {
        let values: Vec<usize> = (1..=10).rev().collect();
        assert_eq!([50, 90, 100].map(|share| percentile(&values, share)), [5, 9, 10]);
        assert_eq!(percentile(&[], 90), 0);
    }

    #[test]
    fn limits_are_named_with_what_passes_them() {
        let sizes = Sizes {
            files: vec![300],
            functions: vec![27],
            closures: 1,
            ..Sizes::default()
        };
        let broken = broken(&sizes);
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(
            broken[0].contains("files") && broken[1].contains("3.3 named closures"),
            "{broken:?}"
        );
    }
}
