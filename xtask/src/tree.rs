//! The files of the repository, in memory: what the checks read, and what their tests make up.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::finding::Finding;
use crate::source::RustFile;

/// Text files by path relative to the root, with `/`; Rust files parsed too.
pub(crate) struct Tree {
    texts: BTreeMap<String, String>,
    rust: BTreeMap<String, RustFile>,
    unreadable: Vec<Finding>,
}

impl Tree {
    /// Reads every text file that git knows or would not ignore.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for path in files(root)? {
            let bytes = std::fs::read(root.join(&path)).with_context(|| format!("failed to read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                texts.insert(path, text);
            }
        }
        Ok(Self::new(texts))
    }

    fn new(texts: BTreeMap<String, String>) -> Self {
        let mut rust = BTreeMap::new();
        let mut unreadable = Vec::new();
        for (path, text) in &texts {
            if !path.ends_with(".rs") || is_expected_to_fail(path) {
                continue;
            }
            match RustFile::parse(text) {
                Ok(file) => drop(rust.insert(path.clone(), file)),
                Err(error) => unreadable.push(Finding::new(path, error.line, error.to_string())),
            }
        }
        mark_tests(&mut rust);
        Self { texts, rust, unreadable }
    }

    /// A tree made of path and text, for tests.
    #[cfg(test)]
    pub(crate) fn fixture(files: &[(&str, &str)]) -> Self {
        Self::new(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// Every text file, in order of path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The file at `path`, if it is there and holds text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Every Rust file but those of `tests/ui`, which are wrong on purpose, in order of path.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &RustFile)> {
        self.rust.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The Rust file at `path`.
    pub(crate) fn rust_file(&self, path: &str) -> Option<&RustFile> {
        self.rust.get(path)
    }

    /// Rust files that are none.
    pub(crate) fn unreadable(&self) -> &[Finding] {
        &self.unreadable
    }
}

/// The paths of all files that git tracks or would not ignore, relative to `root`, with `/`.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listing = String::from_utf8(command::output(&mut git)?).context("a file name is not UTF-8")?;
    let mut paths: Vec<String> =
        listing.split('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Sources of compile-fail tests: their expected output counts their lines, so they are left as they are.
fn is_expected_to_fail(path: &str) -> bool {
    path.starts_with("tests/ui/") || path.contains("/tests/ui/")
}

/// Marks what is test code by where it stands, or by the `#[cfg(test)] mod name;` that brings it in.
fn mark_tests(rust: &mut BTreeMap<String, RustFile>) {
    let mut modules = Vec::new();
    for (path, file) in &*rust {
        modules.extend(file.test_modules().map(|name| format!("{}{name}", module_folder(path))));
    }
    for (path, file) in rust {
        let named =
            |module: &String| path == &format!("{module}.rs") || path.starts_with(&format!("{module}/"));
        if is_test_folder(path) || modules.iter().any(named) {
            file.mark_as_test();
        }
    }
}

fn is_test_folder(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "benches")
}

/// Where the modules stand that the file at `path` declares, with a `/` at the end.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    match name.trim_end_matches(".rs") {
        "lib" | "main" | "mod" => folder,
        stem => format!("{folder}{stem}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_test(tree: &Tree, path: &str) -> bool {
        tree.rust_file(path).unwrap().is_test_line(1)
    }

    #[test]
    fn a_module_declared_for_tests_is_test_code_with_all_below_it() {
        let tree = Tree::fixture(&[
            ("core/src/lib.rs", "mod retry;\n#[cfg(test)]\nmod support;"),
            ("core/src/retry.rs", "fn e() {}\n#[cfg(test)]\nmod tests;"),
            ("core/src/retry/tests.rs", "fn a() {}"),
            ("core/src/support/mod.rs", "mod deep;"),
            ("core/src/support/deep.rs", "fn b() {}"),
            ("core/src/tests_of_time.rs", "fn c() {}"),
            ("tests/whole.rs", "fn d() {}"),
        ]);

        assert!(is_test(&tree, "core/src/retry/tests.rs"));
        assert!(is_test(&tree, "core/src/support/mod.rs"));
        assert!(is_test(&tree, "core/src/support/deep.rs"));
        assert!(is_test(&tree, "tests/whole.rs"));
        assert!(!is_test(&tree, "core/src/tests_of_time.rs"));
        assert!(!is_test(&tree, "core/src/retry.rs"));
    }

    #[test]
    fn a_file_that_is_no_rust_is_named_and_a_compile_fail_test_is_not() {
        let tree = Tree::fixture(&[("src/lib.rs", "fn a() {\n"), ("tests/ui/fail/brace.rs", "fn a() {\n")]);

        let named: Vec<String> = tree.unreadable().iter().map(Finding::to_string).collect();
        assert_eq!(named.len(), 1, "{named:?}");
        assert!(named[0].starts_with("src/lib.rs:"), "{named:?}");
    }

    #[test]
    fn this_repository_is_read_without_what_git_ignores() {
        let root = crate::workspace::Workspace::load().unwrap().root;
        let tree = Tree::read(&root).unwrap();

        assert!(tree.rust_file("xtask/src/tree.rs").is_some());
        assert!(tree.text("Cargo.toml").is_some());
        assert!(tree.texts().all(|(path, _)| !path.starts_with("target/")));
    }
}
