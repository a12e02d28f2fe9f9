//! The workspace as cargo sees it: members, their dependencies, their examples.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command;

/// What `cargo metadata --no-deps` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// Every package of the workspace.
    #[serde(rename = "packages")]
    pub(crate) members: Vec<Member>,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    manifest_path: PathBuf,
    /// Registries that it may go to; `None` for all, empty for none.
    publish: Option<Vec<String>>,
    /// What its manifest asks for, of every kind.
    pub(crate) dependencies: Vec<Dependency>,
    /// What cargo builds of it.
    pub(crate) targets: Vec<Target>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's own name, however it is renamed.
    pub(crate) name: String,
    /// Which table it stands in.
    #[serde(default, deserialize_with = "kind_or_normal")]
    pub(crate) kind: DependencyKind,
    /// Features asked for.
    pub(crate) features: Vec<String>,
    /// Whether the default features come with it.
    pub(crate) uses_default_features: bool,
}

/// The table of a manifest that a dependency stands in.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DependencyKind {
    /// `[dependencies]`, optional ones too.
    #[default]
    Normal,
    /// `[dev-dependencies]`.
    Dev,
    /// `[build-dependencies]`.
    Build,
}

/// A library, binary, example or test.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// `lib`, `bin`, `example` and so on.
    kind: Vec<String>,
    /// Its main source file.
    pub(crate) src_path: PathBuf,
}

impl Workspace {
    /// Asks cargo about the workspace around the current folder.
    pub(crate) fn load() -> Result<Self> {
        let mut metadata = command::cargo(Path::new("."));
        metadata.args(["metadata", "--format-version", "1", "--no-deps"]);
        Self::parse(&command::output(&mut metadata)?)
    }

    fn parse(metadata: &[u8]) -> Result<Self> {
        serde_json::from_slice(metadata).context("failed to read what `cargo metadata` says")
    }

    /// A member's manifest, relative to the root, with `/`.
    pub(crate) fn manifest_of(&self, member: &Member) -> String {
        let path = member.manifest_path.strip_prefix(&self.root).unwrap_or(&member.manifest_path);
        path.to_string_lossy().replace('\\', "/")
    }

    /// The examples of the root package.
    pub(crate) fn examples(&self) -> Vec<&Target> {
        let root = self.members.iter().find(|member| self.manifest_of(member) == "Cargo.toml");
        let targets = root.into_iter().flat_map(|member| &member.targets);
        targets.filter(|target| target.is("example")).collect()
    }

    /// The benchmarks of all members, each behind the name of its package.
    pub(crate) fn benches(&self) -> Vec<(&str, &str)> {
        let targets = self
            .members
            .iter()
            .flat_map(|member| member.targets.iter().map(move |target| (member.name.as_str(), target)));
        let benches = targets.filter(|(_, target)| target.is("bench"));
        benches.map(|(package, target)| (package, target.name.as_str())).collect()
    }

    /// A workspace at `/w` made of members given as JSON, for tests.
    #[cfg(test)]
    pub(crate) fn fixture(members: serde_json::Value) -> Self {
        let metadata = serde_json::json!({
            "workspace_root": "/w", "target_directory": "/w/target", "packages": members,
        });
        Self::parse(metadata.to_string().as_bytes()).unwrap()
    }
}

impl Member {
    /// Whether it may go to a registry.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|of| of == kind)
    }
}

/// Cargo writes `null` for a normal dependency.
fn kind_or_normal<'de, D: serde::Deserializer<'de>>(from: D) -> Result<DependencyKind, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_understood() {
        let workspace = Workspace::load().unwrap();

        let xtask = workspace.members.iter().find(|member| member.name == "xtask").unwrap();
        assert_eq!(workspace.manifest_of(xtask), "xtask/Cargo.toml");
        assert!(!xtask.is_published());
        let root = workspace.members.iter().find(|member| member.name == "azoth-scheduler").unwrap();
        assert_eq!(workspace.manifest_of(root), "Cargo.toml");
        assert!(root.is_published());
        assert!(root.dependencies.iter().any(|dependency| dependency.kind == DependencyKind::Dev));
    }
}
