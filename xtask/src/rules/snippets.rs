//! Rust in Markdown is compiled.

use super::sources;
use crate::shell::{listed_files, root};
use crate::workspace::Workspace;
use anyhow::Result;
use std::path::Path;

/// Adds each library whose README lacks a block of Rust, each Markdown file with one that no crate takes up with
/// `#[doc = include_str!(..)]`, and each block that is not run.
pub(super) fn check(workspace: &Workspace, broken: &mut Vec<String>) -> Result<()> {
    let mut included = Vec::new();
    for package in workspace.members() {
        for source in sources(package.folder())? {
            let file = root().join(&source.name);
            let inclusions = source.text.lines().filter_map(inclusion);
            included.extend(inclusions.filter_map(|path| file.parent()?.join(path).canonicalize().ok()));
        }
    }
    for library in workspace.libraries() {
        let text = std::fs::read_to_string(library.folder().join("README.md")).unwrap_or_default();
        if !text.contains("```rust") {
            broken.push(format!("{}: a README with a block of Rust is missing", library.name));
        }
    }
    for name in listed_files(&["*.md"])? {
        let path = root().join(&name);
        let text = std::fs::read_to_string(&path)?;
        for (index, line) in text.lines().enumerate() {
            if ["```rust,", "```ignore", "```no_run"]
                .iter()
                .any(|fence| line.trim_start().starts_with(fence))
            {
                broken.push(format!(
                    "{name}:{}: a block of Rust that does not run looks green",
                    index + 1
                ));
            }
        }
        let has_rust = text.lines().any(|line| line.trim_start().starts_with("```rust"));
        if has_rust && !included.contains(&Path::new(&path).canonicalize()?) {
            broken.push(format!(
                "{name}: its Rust is compiled by nobody; see examples/src/snippets.rs"
            ));
        }
    }
    Ok(())
}

/// The path in `#[doc = include_str!("..")]`, as an attribute of a module or an item.
fn inclusion(line: &str) -> Option<&str> {
    let rest = line.split_once("doc = include_str!(\"")?.1;
    rest.split_once('"').map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inclusion_is_found() {
        assert_eq!(
            inclusion("#![doc = include_str!(\"../README.md\")]"),
            Some("../README.md")
        );
        assert_eq!(
            inclusion("#[cfg_attr(doctest, doc = include_str!(\"a.md\"))]"),
            Some("a.md")
        );
        assert_eq!(inclusion("let text = include_str!(\"a.md\");"), None);
    }
}
