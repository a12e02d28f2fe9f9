//! The steps of the gate, as data: what is run, in which order.

use anyhow::Result;

use crate::command::{self, Cargo};
use crate::tree::Tree;
use crate::workspace::Workspace;
use crate::{examples, finding, floor, layers, tidy};

/// One step of the gate.
pub(crate) struct Step {
    /// What `--only` and `--skip` call it.
    pub(crate) name: &'static str,
    /// What it holds, in a line.
    pub(crate) about: &'static str,
    /// What it does.
    pub(crate) action: Action,
}

/// What a step does.
pub(crate) enum Action {
    /// Calls cargo.
    Cargo(Cargo),
    /// Calls cargo with a subcommand that a part of the toolchain brings.
    Component {
        /// The part, as rustup names it.
        component: &'static str,
        /// The call.
        cargo: Cargo,
    },
    /// Calls a function of ours.
    Own(fn(&Workspace) -> Result<()>),
}

/// The gate: cheap steps first.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "sources are formatted",
        action: Action::Component { component: "rustfmt", cargo: Cargo::new(&["fmt", "--all", "--check"]) },
    },
    Step {
        name: "layers",
        about: "no crate edge, SQL or crate name stands where its layer forbids it",
        action: Action::Own(|workspace| {
            finding::report(layers::check(&Tree::read(&workspace.root)?, workspace))
        }),
    },
    Step {
        name: "tidy",
        about: "module docs, file length, nothing unfinished, invariants held, needed files there",
        action: Action::Own(|workspace| finding::report(tidy::check(&Tree::read(&workspace.root)?))),
    },
    Step {
        name: "clippy",
        about: "no warnings in the whole workspace",
        action: clippy(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    },
    Step {
        name: "clippy-core",
        about: "no warnings in core's parsers alone",
        action: clippy(&[
            "clippy",
            "--package",
            "azoth-scheduler-core",
            "--no-default-features",
            "--features",
            "parse",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Step {
        name: "clippy-runtime",
        about: "no warnings in the runtime without SQLite",
        action: clippy(&[
            "clippy",
            "--package",
            "azoth-scheduler-runtime",
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Step {
        name: "core-alone",
        about: "core builds where no other crate adds features to it",
        action: Action::Cargo(Cargo::new(&["build", "--package", "azoth-scheduler-core"])),
    },
    Step { name: "tests", about: "all tests, by nextest where it is", action: Action::Own(tests) },
    Step {
        name: "doc-tests",
        about: "examples in the documentation run",
        action: Action::Cargo(Cargo::new(&["test", "--workspace", "--all-features", "--doc"])),
    },
    Step {
        name: "docs",
        about: "documentation builds without warnings",
        action: Action::Cargo(
            Cargo::new(&["doc", "--workspace", "--no-deps", "--all-features"])
                .with_env(&[("RUSTDOCFLAGS", "-D warnings")]),
        ),
    },
    Step {
        name: "examples",
        about: "every example runs to its end in time",
        action: Action::Own(examples::run_all),
    },
    Step {
        name: "floor",
        about: "the store's tests pass with the oldest SQLite driver of its range",
        action: Action::Own(floor::test_store),
    },
];

const fn clippy(arguments: &'static [&'static str]) -> Action {
    Action::Component { component: "clippy", cargo: Cargo::new(arguments) }
}

impl Step {
    /// Does it, showing what it does.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        match &self.action {
            Action::Cargo(cargo) => cargo.run(&workspace.root),
            Action::Component { component, cargo } => {
                command::ensure_component(&workspace.root, cargo.arguments[0], component)?;
                cargo.run(&workspace.root)
            }
            Action::Own(function) => function(workspace),
        }
    }
}

const NEXTEST: Cargo = Cargo::new(&["nextest", "run", "--workspace", "--all-features"]);
const CARGO_TEST: Cargo =
    Cargo::new(&["test", "--workspace", "--all-features", "--lib", "--bins", "--tests"]);

fn tests(workspace: &Workspace) -> Result<()> {
    if command::has_subcommand(&workspace.root, "nextest") {
        return NEXTEST.run(&workspace.root);
    }
    println!("cargo nextest is not installed: cargo test runs the tests");
    CARGO_TEST.run(&workspace.root)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_step_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = STEPS.iter().map(|step| step.name).collect();

        assert_eq!(names.len(), STEPS.len());
    }
}
