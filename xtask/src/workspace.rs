//! What `cargo metadata` says about the workspace. Chores find crates, features and targets here and keep no lists of them.

use crate::shell::{cargo_command, root};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The members of the workspace, everything they depend on, and who depends on whom. Own types, since the crate for it would
/// turn on features of serde_json in every build of the complete workspace.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

/// A crate and its manifest.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) rust_version: Option<String>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

/// A library, program, example, test or benchmark of a crate.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    #[serde(flatten)]
    kind: Kind,
}

/// `null` for what a library or program is built with, else `dev` or `build`.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

impl Workspace {
    /// Asks cargo about the workspace of a manifest, whose path is relative to the checkout.
    pub(crate) fn read(manifest: &str) -> Result<Self> {
        let output = cargo_command()
            .args(["metadata", "--format-version", "1", "--manifest-path", manifest])
            .current_dir(root())
            .output()
            .context("cargo could not be started")?;
        if !output.status.success() {
            bail!(
                "cargo metadata of {manifest}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        serde_json::from_slice(&output.stdout).context("the answer of cargo metadata")
    }

    /// The members in the order of their names.
    pub(crate) fn members(&self) -> Vec<&Package> {
        let members = self
            .packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id));
        let mut members: Vec<&Package> = members.collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// The members below `crates/`: what other people build on.
    pub(crate) fn libraries(&self) -> Vec<&Package> {
        let mut members = self.members();
        members.retain(|package| package.is_library());
        members
    }

    /// Names of everything that a member is built with, however far away. Features that another member turns on count too.
    pub(crate) fn reached_from(&self, member: &Package) -> Vec<&str> {
        let mut reached = vec![member.id.as_str()];
        let mut next = 0;
        while let Some(id) = reached.get(next).copied() {
            let dependencies = self
                .resolve
                .nodes
                .iter()
                .filter(|node| node.id == id)
                .flat_map(|node| &node.deps);
            for dependency in dependencies.filter(|dependency| dependency.dep_kinds.iter().any(Kind::is_normal)) {
                if !reached.contains(&dependency.pkg.as_str()) {
                    reached.push(&dependency.pkg);
                }
            }
            next += 1;
        }
        let packages = self
            .packages
            .iter()
            .filter(|package| reached.contains(&package.id.as_str()));
        packages.map(|package| package.name.as_str()).collect()
    }
}

impl Package {
    /// The folder of its manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// Whether it lies below `crates/`.
    pub(crate) fn is_library(&self) -> bool {
        self.folder().parent().is_some_and(|folder| folder.ends_with("crates"))
    }

    /// Dependencies in its manifest, optional ones included; development dependencies are free.
    pub(crate) fn dependencies(&self) -> Vec<&str> {
        let normal = self
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_normal());
        normal.map(|dependency| dependency.name.as_str()).collect()
    }

    /// Its examples, in the order of their names.
    pub(crate) fn examples(&self) -> Vec<&Target> {
        let mut examples: Vec<&Target> = self.targets.iter().filter(|target| target.is("example")).collect();
        examples.sort_by(|a, b| a.name.cmp(&b.name));
        examples
    }
}

impl Target {
    /// Whether it is an `example`, a `test`, a `bench`, ..
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|of_target| of_target == kind)
    }
}

impl Kind {
    fn is_normal(&self) -> bool {
        self.kind.is_none()
    }
}
