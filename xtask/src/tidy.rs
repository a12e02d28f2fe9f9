//! Tidiness: module docs, file length, no unfinished code, invariants held by tests, the files a repository needs.

mod invariants;

use crate::finding::Finding;
use crate::source::RustFile;
use crate::tree::Tree;

/// The most lines of a source file, its tests not counted.
const LINES_MAX: usize = 600;

/// Code that was left for later, as tokens and as one would write it.
const UNFINISHED: &[(&[&str], &str)] = &[
    (&["todo", "!"], "`todo!`"),
    (&["unimplemented", "!"], "`unimplemented!`"),
    (&["dbg", "!"], "`dbg!`"),
    (&["#", "[", "ignore"], "an ignored test"),
];

/// Files without which the repository is incomplete.
const NEEDED: &[&str] = &["ARCHITECTURE.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// First parts of paths that exist on one machine only.
const MACHINE_FOLDERS: &[&str] = &["home", "root", "work"];

/// What a build server runs, and what it must call.
const CI: &str = ".ci/run";
const GATE: &str = "cargo xtask test-all";

/// Everything untidy.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = tree.unreadable().to_vec();
    for (path, file) in tree.rust() {
        let text = tree.text(path).unwrap_or_default();
        findings.extend(missing_module_doc(path, text));
        findings.extend(too_long(path, text, file));
        unfinished(path, file, &mut findings);
    }
    for (path, text) in tree.texts() {
        machine_paths(path, text, &mut findings);
    }
    findings.extend(missing_files(tree));
    findings.extend(missing_gate(tree));
    findings.extend(invariants::check(tree));
    findings
}

fn missing_module_doc(path: &str, text: &str) -> Option<Finding> {
    let is_there = text.starts_with("//!") || text.starts_with("/*!");
    (!is_there).then(|| Finding::new(path, 1, "a file starts with a `//!` that says what it is"))
}

fn too_long(path: &str, text: &str, file: &RustFile) -> Option<Finding> {
    let lines = (1..=text.lines().count()).filter(|line| !file.is_test_line(*line)).count();
    let what = || format!("{lines} lines without tests, at most {LINES_MAX} are allowed: split it by noun");
    (lines > LINES_MAX).then(|| Finding::new(path, LINES_MAX + 1, what()))
}

fn unfinished(path: &str, file: &RustFile, findings: &mut Vec<Finding>) {
    for (tokens, shown) in UNFINISHED {
        for line in file.lines_of(tokens) {
            findings.push(Finding::new(path, line, format!("{shown} is not finished work")));
        }
    }
}

/// Absolute paths that only the author's machine has.
fn machine_paths(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| names_folder(line, folder)) {
            let what = format!("a path in `/{folder}` exists on one machine only");
            findings.push(Finding::new(path, at + 1, what));
        }
    }
}

/// Whether the line holds an absolute path that begins with the folder; a relative one and an address are none.
fn names_folder(line: &str, folder: &str) -> bool {
    let start = format!("/{folder}/");
    line.match_indices(&start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"._-}])*~".contains(letter))
    })
}

fn missing_files(tree: &Tree) -> impl Iterator<Item = Finding> {
    let missing = NEEDED.iter().filter(|path| tree.text(path).is_none());
    missing.map(|path| Finding::new(path, 1, "the file is missing"))
}

fn missing_gate(tree: &Tree) -> Option<Finding> {
    let script = tree.text(CI).unwrap_or_default();
    let calls = script.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(GATE));
    (!calls).then(|| Finding::new(CI, 1, format!("must call `{GATE}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::lines;

    /// A tidy repository with these files in it, or in place of its own.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![
            ("ARCHITECTURE.md", "- **I1** a thing holds"),
            ("CHANGELOG.md", ""),
            ("LICENSE-APACHE", ""),
            ("LICENSE-MIT", ""),
            ("README.md", ""),
            (".ci/run", "exec cargo xtask test-all\n"),
            ("tests/invariants.rs", "//! I1 is held here.\n"),
        ];
        all.extend(files);
        lines(check(&Tree::fixture(&all)))
    }

    #[test]
    fn a_tidy_repository_has_no_findings() {
        assert_eq!(found(&[("src/lib.rs", "//! About.\n")]), [""; 0]);
    }

    #[test]
    fn a_file_without_module_doc_is_named_wherever_it_is() {
        for path in ["src/lib.rs", "examples/basic.rs", "tests/whole.rs"] {
            assert_eq!(
                found(&[(path, "/// About.\nfn f() {}\n")]),
                [format!("{path}:1: a file starts with a `//!` that says what it is")]
            );
        }
        assert_eq!(found(&[("tests/ui/fail/no_doc.rs", "fn main() {}\n")]), [""; 0]);
    }

    #[test]
    fn a_long_file_is_named_and_its_tests_do_not_count() {
        let code = "fn f() {}\n".repeat(599);
        let fits = format!("//! About.\n{code}#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(found(&[("src/long.rs", &fits)]), [""; 0]);

        let long = format!("//! About.\n{code}fn g() {{}}\n");
        assert_eq!(
            found(&[("src/long.rs", &long)]),
            ["src/long.rs:601: 601 lines without tests, at most 600 are allowed: split it by noun"]
        );
    }

    #[test]
    fn unfinished_code_is_named_and_talk_of_it_is_not() {
        let talk = "//! todo!() and #[ignore]\nconst A: &str = \"dbg!(x)\";\n";
        assert_eq!(found(&[("src/lib.rs", talk)]), [""; 0]);

        let text = "//! About.\nfn f() { todo!() }\nfn g() { unimplemented!() }\nfn h() { dbg!(1) }\n#[test]\n#[ignore = \"slow\"]\nfn i() {}\n";
        assert_eq!(
            found(&[("src/lib.rs", text)]),
            [
                "src/lib.rs:2: `todo!` is not finished work",
                "src/lib.rs:3: `unimplemented!` is not finished work",
                "src/lib.rs:4: `dbg!` is not finished work",
                "src/lib.rs:6: an ignored test is not finished work",
            ]
        );
    }

    #[test]
    fn a_path_of_one_machine_is_named_in_any_text() {
        let path = ["", "home", "someone", "x"].join("/");
        assert_eq!(
            found(&[("docs/guide.md", &format!("first\nsee `{path}`\n"))]),
            ["docs/guide.md:2: a path in `/home` exists on one machine only"]
        );

        let fine = ["https://example.org", "home", "x and ../src", "work", "x"].join("/");
        assert_eq!(found(&[("docs/guide.md", &fine)]), [""; 0]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let tree = Tree::fixture(&[(".ci/run", "cargo xtask test-all")]);

        let missing: Vec<String> = missing_files(&tree).map(|finding| finding.to_string()).collect();
        assert_eq!(missing.len(), NEEDED.len());
        assert_eq!(missing[1], "CHANGELOG.md:1: the file is missing");
    }

    #[test]
    fn a_build_server_must_run_the_gate() {
        let expected = [".ci/run:1: must call `cargo xtask test-all`"];

        assert_eq!(found(&[(".ci/run", "# cargo xtask test-all\ncargo test\n")]), expected);
    }

    #[test]
    fn a_file_that_is_no_rust_is_named() {
        let findings = found(&[("src/lib.rs", "//! About.\nfn f( {\n")]);

        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].contains("cannot be read as Rust"), "{findings:?}");
    }
}
