//! Crate edges: what each manifest asks for, against the table of layers.

use super::table::{LAYERS, Layer, TESTS_LOOK_RIGHT, USERS_OF_TEST_SUPPORT};
use crate::finding::Finding;
use crate::tree::Tree;
use crate::workspace::{Dependency, DependencyKind, Member, Workspace};

/// Every dependency that its package may not have, or not like that.
pub(super) fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &workspace.members {
        let path = workspace.manifest_of(member);
        let manifest = tree.text(&path).unwrap_or_default();
        let layer = LAYERS.iter().find(|layer| layer.package == member.name);
        if layer.is_none() && member.is_published() {
            findings.push(Finding::new(
                &path,
                1,
                format!("{} has no layer: give it one in xtask", member.name),
            ));
            continue;
        }
        if !is_test_support(member) && !manifest.is_empty() && !inherits_lints(manifest) {
            let what = "must have `[lints] workspace = true`: only test support may be `unsafe`";
            findings.push(Finding::new(&path, 1, format!("{} {what}", member.name)));
        }
        for dependency in &member.dependencies {
            let line = line_of(manifest, dependency);
            for what in refusals(workspace, member, layer, dependency) {
                findings.push(Finding::new(&path, line, what));
            }
        }
    }
    findings
}

/// Everything wrong with one dependency of `member`; `layer` is `None` for test support.
fn refusals(
    workspace: &Workspace,
    member: &Member,
    layer: Option<&Layer>,
    asked: &Dependency,
) -> Vec<String> {
    let mut refusals = Vec::new();
    if let Some(other) = workspace.members.iter().find(|other| other.name == asked.name) {
        let package = &member.name;
        refusals.extend(if is_test_support(other) {
            refused_support(package, other, asked.kind)
        } else if asked.kind == DependencyKind::Dev
            && TESTS_LOOK_RIGHT.contains(&(package.as_str(), other.name.as_str()))
        {
            None
        } else {
            refused_edge(package, layer, &other.name)
        });
    }
    if let Some(layer) = layer
        && asked.kind != DependencyKind::Dev
    {
        refusals.extend(refused_manner(layer, asked));
    }
    refusals
}

/// A package that is in no layer and is never published.
fn is_test_support(member: &Member) -> bool {
    !member.is_published() && LAYERS.iter().all(|layer| layer.package != member.name)
}

/// Whether the lints of a manifest, and with them the ban on `unsafe`, are those of the workspace.
fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]");
    lines.nth(1) == Some("workspace = true")
}

/// Why a package may not use test support.
fn refused_support(package: &str, support: &Member, kind: DependencyKind) -> Option<String> {
    let is_allowed = USERS_OF_TEST_SUPPORT.contains(&package) && kind == DependencyKind::Dev;
    (!is_allowed).then(|| {
        let (name, users) = (&support.name, USERS_OF_TEST_SUPPORT.join(" and "));
        format!("{package} may not use {name}: test support is for the tests of {users} alone")
    })
}

/// Why one package of the workspace may not use another, in its tests neither.
fn refused_edge(package: &str, layer: Option<&Layer>, other: &str) -> Option<String> {
    let uses = layer.map_or(&[][..], |layer| layer.uses);
    if uses.contains(&other) {
        return None;
    }
    let allowed = if uses.is_empty() { "no package of the workspace".to_owned() } else { uses.join(", ") };
    Some(format!("{package} may not use {other}: a layer uses only those to its left, here {allowed}"))
}

/// What is wrong with the dependency itself, and with the features asked for.
fn refused_manner(layer: &Layer, asked: &Dependency) -> Vec<String> {
    let mut refusals = Vec::new();
    let Layer { package, .. } = layer;
    let name = asked.name.as_str();
    if layer.never.contains(&name) {
        refusals.push(format!("{package} may not use {name}: its layer never knows it"));
    }
    if layer.bare.contains(&name) && asked.uses_default_features {
        refusals.push(format!("{package} must ask for {name} with `default-features = false`"));
    }
    if let Some((_, allowed)) = layer.only.iter().find(|(only, _)| *only == name) {
        let more = asked.features.iter().filter(|feature| !allowed.contains(&feature.as_str()));
        refusals.extend(more.map(|feature| {
            let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            format!("{package} may not ask for the feature `{feature}` of {name}, only for: {allowed}")
        }));
    }
    refusals
}

/// The line of a manifest that asks for the dependency; 1 if it is not found.
fn line_of(manifest: &str, dependency: &Dependency) -> usize {
    let wanted = match dependency.kind {
        DependencyKind::Normal => "dependencies",
        DependencyKind::Dev => "dev-dependencies",
        DependencyKind::Build => "build-dependencies",
    };
    let mut in_table = false;
    for (at, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let table = header.split(']').next().unwrap_or_default();
            in_table = table == wanted || table.ends_with(&format!(".{wanted}"));
            if table.ends_with(&format!("{wanted}.{}", dependency.name)) {
                return at + 1;
            }
        }
        let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let is_renamed = line.contains(&format!("package = \"{}\"", dependency.name));
        if in_table && (key.trim_matches('"') == dependency.name || is_renamed) {
            return at + 1;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::finding::lines;

    fn member(name: &str, publish: Value, dependencies: Value) -> Value {
        let path = if name == "azoth-scheduler" { String::new() } else { format!("/{name}") };
        json!({
            "name": name, "manifest_path": format!("/w{path}/Cargo.toml"), "publish": publish,
            "dependencies": dependencies, "targets": [],
        })
    }

    fn dependency(name: &str, kind: Value, bare: bool, features: &[&str]) -> Value {
        json!({
            "name": name, "kind": kind, "optional": true, "uses_default_features": !bare, "features": features,
        })
    }

    fn found(members: Vec<Value>) -> Vec<String> {
        lines(check(&Tree::fixture(&[]), &Workspace::fixture(Value::Array(members))))
    }

    /// What is found when `package` asks for `dependency` in a workspace of all packages and a test support.
    fn found_for(package: &str, dependency: &Value) -> Vec<String> {
        let mut members = vec![member("fault-vfs", json!([]), json!([]))];
        for layer in LAYERS {
            let asked = if layer.package == package { json!([dependency]) } else { json!([]) };
            let publish = if layer.package == "xtask" { json!([]) } else { Value::Null };
            members.push(member(layer.package, publish, asked));
        }
        found(members)
    }

    fn normal(name: &str) -> Value {
        dependency(name, Value::Null, true, &[])
    }

    #[test]
    fn each_package_may_use_those_to_its_left_and_no_other() {
        for (right, layer) in LAYERS.iter().enumerate() {
            for (left, other) in LAYERS.iter().enumerate() {
                let findings = found_for(layer.package, &normal(other.package));
                let is_allowed = layer.uses.contains(&other.package);
                assert_eq!(findings.is_empty(), is_allowed, "{} -> {}", layer.package, other.package);
                assert!(left < right || !is_allowed, "{} -> {}", layer.package, other.package);
            }
        }
    }

    #[test]
    fn an_edge_to_the_right_is_refused_with_what_is_allowed() {
        assert_eq!(
            found_for("azoth-scheduler-store", &normal("azoth-scheduler-runtime")),
            [
                "azoth-scheduler-store/Cargo.toml:1: azoth-scheduler-store may not use azoth-scheduler-runtime: \
              a layer uses only those to its left, here azoth-scheduler-core"
            ]
        );
        let in_tests = dependency("azoth-scheduler-store", json!("dev"), true, &[]);
        assert_eq!(
            found_for("azoth-scheduler-core", &in_tests),
            ["azoth-scheduler-core/Cargo.toml:1: azoth-scheduler-core may not use azoth-scheduler-store: \
              a layer uses only those to its left, here no package of the workspace"]
        );
    }

    #[test]
    fn examples_of_the_macro_may_use_the_facade_and_the_macro_itself_may_not() {
        let in_docs = dependency("azoth-scheduler", json!("dev"), false, &["macros"]);
        assert_eq!(found_for("azoth-scheduler-macros", &in_docs), [""; 0]);
        assert_eq!(found_for("azoth-scheduler-macros", &normal("azoth-scheduler")).len(), 1);
    }

    #[test]
    fn what_a_layer_never_knows_is_refused_for_building_and_not_for_tests() {
        let refusal = "azoth-scheduler-core may not use tokio: its layer never knows it";
        let expected = [format!("azoth-scheduler-core/Cargo.toml:1: {refusal}")];

        assert_eq!(found_for("azoth-scheduler-core", &normal("tokio")), expected);
        let build = dependency("tokio", json!("build"), true, &[]);
        assert_eq!(found_for("azoth-scheduler-core", &build), expected);
        let dev = dependency("tokio", json!("dev"), true, &[]);
        assert_eq!(found_for("azoth-scheduler-core", &dev), [""; 0]);
    }

    #[test]
    fn default_features_of_core_are_refused_to_the_macros() {
        let full = dependency("azoth-scheduler-core", Value::Null, false, &["parse", "engine"]);

        assert_eq!(
            found_for("azoth-scheduler-macros", &full),
            [
                "azoth-scheduler-macros/Cargo.toml:1: azoth-scheduler-macros may not ask for the feature `engine` \
                 of azoth-scheduler-core, only for: parse",
                "azoth-scheduler-macros/Cargo.toml:1: azoth-scheduler-macros must ask for azoth-scheduler-core \
                 with `default-features = false`",
            ]
        );
    }

    #[test]
    fn the_store_may_ask_for_no_runtime_of_tokio() {
        let sync = dependency("tokio", Value::Null, true, &["sync"]);
        assert_eq!(found_for("azoth-scheduler-store", &sync), [""; 0]);

        let runtime = dependency("tokio", Value::Null, true, &["rt", "sync"]);
        assert_eq!(
            found_for("azoth-scheduler-store", &runtime),
            [
                "azoth-scheduler-store/Cargo.toml:1: azoth-scheduler-store may not ask for the feature `rt` of tokio, \
              only for: sync"
            ]
        );
    }

    #[test]
    fn core_may_not_turn_on_the_clock_of_the_engines_calendar() {
        assert_eq!(found_for("azoth-scheduler-core", &normal("chrono")), [""; 0]);

        let clock = dependency("chrono", Value::Null, true, &["clock"]);
        assert_eq!(
            found_for("azoth-scheduler-core", &clock),
            [
                "azoth-scheduler-core/Cargo.toml:1: azoth-scheduler-core may not ask for the feature `clock` of chrono, \
              only for: none"
            ]
        );
    }

    #[test]
    fn test_support_is_for_the_tests_of_store_and_whole_alone() {
        let in_tests = dependency("fault-vfs", json!("dev"), false, &[]);
        assert_eq!(found_for("azoth-scheduler-store", &in_tests), [""; 0]);
        assert_eq!(found_for("azoth-scheduler", &in_tests), [""; 0]);

        let refusal = "may not use fault-vfs: test support is for the tests of azoth-scheduler-store and \
                       azoth-scheduler alone";
        assert_eq!(
            found_for("azoth-scheduler-store", &normal("fault-vfs")),
            [format!("azoth-scheduler-store/Cargo.toml:1: azoth-scheduler-store {refusal}")]
        );
        assert_eq!(
            found_for("azoth-scheduler-runtime", &in_tests),
            [format!("azoth-scheduler-runtime/Cargo.toml:1: azoth-scheduler-runtime {refusal}")]
        );
    }

    #[test]
    fn lints_are_inherited_by_all_but_test_support() {
        assert!(inherits_lints("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[lints.rust]\nunsafe_code = \"allow\"\n[package]\nworkspace = true\n"));
        let own_table = "[lints.rust]\nunsafe_code = \"allow\"\n";
        let tree = Tree::fixture(&[("xtask/Cargo.toml", own_table), ("fault-vfs/Cargo.toml", own_table)]);
        let members = ["xtask", "fault-vfs"].map(|name| member(name, json!([]), json!([])));
        assert_eq!(
            lines(check(&tree, &Workspace::fixture(json!(members)))),
            [
                "xtask/Cargo.toml:1: xtask must have `[lints] workspace = true`: only test support may be `unsafe`"
            ]
        );
    }

    #[test]
    fn a_published_package_without_a_layer_is_named() {
        assert_eq!(
            found(vec![member("azoth-scheduler-web", Value::Null, json!([]))]),
            ["azoth-scheduler-web/Cargo.toml:1: azoth-scheduler-web has no layer: give it one in xtask"]
        );
    }

    #[test]
    fn a_dependency_is_found_in_its_own_table() {
        let manifest = concat!(
            "[package]\nname = \"x\"\n[dependencies]\ntokio-util.workspace = true\ntokio.workspace = true\n",
            "clock = { package = \"chrono\", version = \"1\" }\n[dev-dependencies]\ntokio = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[build-dependencies.cc]\nversion = \"1\"\n",
        );
        let line = |name, kind| {
            line_of(manifest, &serde_json::from_value(dependency(name, kind, true, &[])).unwrap())
        };

        assert_eq!(line("tokio", Value::Null), 5);
        assert_eq!(line("chrono", Value::Null), 6);
        assert_eq!(line("tokio", json!("dev")), 8);
        assert_eq!(line("libc", Value::Null), 10);
        assert_eq!(line("cc", json!("build")), 11);
        assert_eq!(line("absent", Value::Null), 1);
    }
}
