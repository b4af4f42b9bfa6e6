//! A crate outside the workspace that depends on `kallm` alone and runs what README.md shows.

use crate::shell::{cargo_command, cargo_in, root};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;

/// Builds and runs README.md's Rust, and prints how many crates the default features of `kallm` bring.
pub(crate) fn run() -> Result<()> {
    let (folder, target) = (root().join("xtask/outside"), root().join("target"));
    let readme = fs::read_to_string(root().join("README.md")).context("README.md")?;
    fs::write(folder.join("src/snippet.rs"), snippet(&readme)?).context("src/snippet.rs")?;
    // The versions of the workspace, so that nothing is resolved or compiled twice.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).context("Cargo.lock")?;
    let model = target.join("outside-model");
    if model.exists() {
        fs::remove_dir_all(&model).context("target/outside-model")?;
    }
    let (target, model) = (target.display().to_string(), model.display().to_string());
    cargo_in(
        &folder,
        &["run", "--release", "--target-dir", &target, "--", &model],
        &[],
    )?;
    eprintln!("kallm's default features bring {} crates", crates(&folder)?.len());
    Ok(())
}

/// The first block of Rust in a Markdown text.
fn snippet(markdown: &str) -> Result<String> {
    let lines = markdown.lines().skip_while(|line| line.trim() != "```rust").skip(1);
    let block: Vec<&str> = lines.take_while(|line| line.trim() != "```").collect();
    if block.is_empty() {
        bail!("README.md: expected a block of Rust, found none");
    }
    Ok(block.join("\n"))
}

/// Names and versions of what the program in `folder` is built with, on this machine, itself left out.
fn crates(folder: &std::path::Path) -> Result<BTreeSet<String>> {
    let output = cargo_command()
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(folder)
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `name version`, without where it lies and whether it was listed before.
    let names = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    Ok(names.filter(|name| !name.starts_with("outside ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rust_of_a_text_is_its_snippet() {
        let text = "a\n```toml\nx = 1\n```\n```rust\nlet a = 1;\n```\n```rust\nlet b = 2;\n```\n";
        assert_eq!(snippet(text).unwrap(), "let a = 1;");
        assert!(snippet("```sh\nls\n```").is_err());
    }
}
