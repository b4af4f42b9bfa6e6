//! Checks the commands that the documentation shows against the programs they call.
//!
//! `cargo xtask ..` is parsed in full. What follows `--example NAME --` is given to the built example with `--help` behind it:
//! clap then refuses a flag that does not exist and a value that does not parse, and prints the help otherwise. It does not see
//! that a required flag is missing. Packages, features and targets that a command names must exist.

use crate::shell::{cargo, listed_files, root};
use crate::workspace::{Package, Workspace};
use anyhow::{Context, Result, bail};
use clap::Parser;
use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd, TextMergeStream};
use std::process::Command;

/// What tells of the past may name flags of the past.
const PAST: [&str; 2] = ["docs/log.md", "CHANGELOG.md"];

/// Where the images and hand-built programs of docs/deploy have the examples.
const BUILT: &str = "target/release/examples/";

/// Builds the examples and checks every command.
pub(crate) fn check() -> Result<()> {
    cargo(&["build", "--release", "--workspace", "--examples"])?;
    let workspace = Workspace::read("Cargo.toml")?;
    let (mut count, mut wrong) = (0, Vec::new());
    for (place, text) in pages()? {
        for command in commands(&text) {
            count += 1;
            if let Err(error) = check_one(&workspace, &command) {
                wrong.push(format!("{place}: `{command}`: {error:#}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!(
            "commands of the documentation that do not work:\n  {}",
            wrong.join("\n  ")
        );
    }
    eprintln!("{count} commands of the documentation hold");
    Ok(())
}

/// Markdown of the checkout, and the comments of Rust files as Markdown.
fn pages() -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for name in listed_files(&["*.md", "*.rs"])?
        .into_iter()
        .filter(|name| !PAST.contains(&name.as_str()))
    {
        let text = std::fs::read_to_string(root().join(&name))?;
        let text = if name.ends_with(".md") { text } else { comments(&text) };
        pages.push((name, text));
    }
    Ok(pages)
}

fn comments(source: &str) -> String {
    let lines = source.lines().map(|line| {
        let line = line.trim_start();
        let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"));
        text.map_or("", |text| text.strip_prefix(' ').unwrap_or(text))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What starts with `cargo` or [`BUILT`]: a line of a shell block, a code span, or a paragraph.
fn commands(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_shell = false;
    let mut starts = false;
    for event in TextMergeStream::new(pulldown_cmark::Parser::new(markdown)) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => in_shell = &*language == "sh",
            Event::End(TagEnd::CodeBlock) => in_shell = false,
            Event::Start(Tag::Paragraph) => starts = true,
            Event::Text(text) if in_shell => found.extend(shell_lines(&text)),
            Event::Text(text) if starts => found.push(text.into_string()),
            Event::Code(text) => found.push(text.into_string()),
            _ => starts = false,
        }
    }
    found.retain(|text| text.starts_with("cargo ") || text.starts_with(BUILT));
    // A pattern, not a command.
    found.retain(|text| !text.contains(" ..") && !text.contains('<'));
    found
}

/// The lines of a shell block, continued ones joined, without comments.
fn shell_lines(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split(" #").next().unwrap_or(line));
    lines.map(|line| line.trim().to_owned()).collect()
}

fn check_one(workspace: &Workspace, command: &str) -> Result<()> {
    // Words after these belong to the shell.
    let ends = [" $", " >", " 2>", " |", ";"]
        .iter()
        .filter_map(|end| command.find(end));
    let own = &command[..ends.min().unwrap_or(command.len())];
    let words = shlex::split(own).context("an open quote")?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(example) = words[0].strip_prefix(BUILT) {
        return check_flags(example, &words[1..]);
    }
    let arguments = words.iter().position(|word| *word == "--");
    let (of_cargo, of_program) = words.split_at(arguments.unwrap_or(words.len()));
    match of_cargo.get(1).copied() {
        Some("xtask") => {
            let parsed = crate::Arguments::try_parse_from(&words[1..]);
            // Help is an error for clap that goes to standard output.
            match parsed.err().filter(clap::Error::use_stderr) {
                Some(error) => bail!("{}", error.to_string().lines().next().unwrap_or_default()),
                None => Ok(()),
            }
        }
        Some("run" | "test" | "bench" | "build") if !of_cargo.contains(&"--manifest-path") => {
            check_cargo(workspace, of_cargo)?;
            match value_of(of_cargo, &["--example"]) {
                Some(example) if of_cargo[1] == "run" => check_flags(example, of_program.get(1..).unwrap_or(&[])),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// That a package, its features and its targets exist.
fn check_cargo(workspace: &Workspace, words: &[&str]) -> Result<()> {
    let members = workspace.members();
    let named = value_of(words, &["--package", "-p"]);
    let packages: Vec<&Package> = members
        .into_iter()
        .filter(|package| named.is_none_or(|name| package.name == name))
        .collect();
    if packages.is_empty() {
        bail!("no package {}", named.unwrap_or_default());
    }
    for feature in value_of(words, &["--features"])
        .unwrap_or_default()
        .split(',')
        .filter(|feature| !feature.is_empty())
    {
        let feature = feature.rsplit('/').next().unwrap_or(feature);
        if !packages.iter().any(|package| package.features.contains_key(feature)) {
            bail!("no feature {feature}");
        }
    }
    for (flag, kind) in [("--example", "example"), ("--test", "test"), ("--bench", "bench")] {
        let Some(name) = value_of(words, &[flag]) else { continue };
        let mut targets = packages.iter().flat_map(|package| &package.targets);
        if !targets.any(|target| target.name == name && target.is(kind)) {
            bail!("no target {flag} {name}");
        }
    }
    Ok(())
}

fn value_of<'a>(words: &[&'a str], flags: &[&str]) -> Option<&'a str> {
    let at = words.iter().position(|word| flags.contains(word))?;
    words.get(at + 1).copied()
}

/// See the head of this file. Some flags want a file or folder that exists: every value becomes one, in a folder of its own.
fn check_flags(example: &str, arguments: &[&str]) -> Result<()> {
    let folder = root().join("target/commands");
    std::fs::create_dir_all(&folder)?;
    for value in arguments.iter().filter(|value| !value.starts_with(['-', '/', '.'])) {
        std::fs::create_dir_all(folder.join(value))?;
    }
    let output = Command::new(root().canonicalize()?.join(BUILT).join(example))
        .args(arguments)
        .arg("--help")
        .current_dir(&folder)
        .output()
        .with_context(|| format!("the example {example} could not be started"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{}", error.lines().next().unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_blocks_spans_and_paragraphs() {
        let page = "cargo run --example a\nShort: `cargo run --example\nb`\n\n```sh\ncargo test  # all\n  cargo x \\\n  y\nls\n```\n\
            Text about cargo build.\n\n| `cargo xtask ci` |\n";
        let expected = [
            "cargo run --example a",
            "cargo run --example b",
            "cargo test",
            "cargo x    y",
            "cargo xtask ci",
        ];
        assert_eq!(commands(page), expected);
    }

    #[test]
    fn comments_are_read_as_text() {
        assert_eq!(
            comments("//! cargo run\nfn main() {}\n    /// `cargo test`"),
            "cargo run\n\n`cargo test`"
        );
    }

    #[test]
    fn a_chore_that_does_not_exist_is_refused() -> Result<()> {
        let workspace = Workspace::read("Cargo.toml")?;
        check_one(&workspace, "cargo xtask fuzz gguf --minutes 10")?;
        check_one(&workspace, "cargo xtask help")?;
        for wrong in [
            "cargo xtask tidy",
            "cargo run --example missing",
            "cargo test -p missing",
            "cargo bench --bench missing",
        ] {
            assert!(check_one(&workspace, wrong).is_err(), "{wrong}");
        }
        Ok(())
    }
}
