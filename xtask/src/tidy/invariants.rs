//! Invariants: each that ARCHITECTURE.md lists is held by a test or an assertion, and none is named that it lacks.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::source::RustFile;
use crate::tree::Tree;

/// Where the invariants are listed.
const LIST: &str = "ARCHITECTURE.md";

/// Sources that are tests though cargo does not know it: suites that others run.
const SUITES: &[&str] = &["azoth-scheduler-store/src/conformance", "azoth-scheduler-core/src/testing"];

/// The one package whose sources speak of invariants as such.
const NOT_READ: &str = "xtask/";

/// How many lines above an assertion a comment may start that speaks of it.
const COMMENT_LINES_MAX: usize = 4;

/// What is listed and not held, and what is named and not listed.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let listed = tree.text(LIST).map(listed).unwrap_or_default();
    let mut findings = Vec::new();
    if listed.is_empty() {
        findings.push(Finding::new(LIST, 1, "lists no invariants, as `- **I1** ...` or `| I1 | ...`"));
    }
    let mut unheld = listed.clone();
    for (path, file) in tree.rust().filter(|(path, _)| !path.starts_with(NOT_READ)) {
        let text = tree.text(path).unwrap_or_default();
        for mention in mentions(path, text, file) {
            if mention.holds {
                unheld.remove(&mention.number);
            }
            if !listed.contains_key(&mention.number) {
                let what = format!("I{} is not in {LIST}", mention.number);
                findings.push(Finding::new(path, mention.line, what));
            }
        }
    }
    findings.extend(unheld.into_iter().map(|(number, line)| {
        Finding::new(LIST, line, format!("I{number} is named in no test and beside no assertion"))
    }));
    findings
}

/// The invariants that the text lists, with the line of each.
fn listed(text: &str) -> BTreeMap<u32, usize> {
    let mut listed = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(number) = listed_in(line.trim()) {
            listed.entry(number).or_insert(at + 1);
        }
    }
    listed
}

/// The invariant that the line lists: `- **I3** ...`, or a table's row that starts with it.
fn listed_in(line: &str) -> Option<u32> {
    let bold =
        |rest: &str| number_in(rest.strip_prefix("**")?.split("**").next()?.trim_end_matches([':', '.']));
    if let Some(rest) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return bold(rest);
    }
    let cell = line.strip_prefix('|')?.split('|').next()?.trim();
    number_in(cell).or_else(|| bold(cell))
}

/// The number of `I3`, if the word is just that.
fn number_in(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('I')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// A place in a source that names an invariant.
struct Mention {
    number: u32,
    line: usize,
    /// Whether a test, or an assertion, stands there.
    holds: bool,
}

fn mentions(path: &str, text: &str, file: &RustFile) -> Vec<Mention> {
    let is_suite = SUITES.iter().any(|suite| path.starts_with(suite));
    let assertions = file.assertions();
    let mut mentions = Vec::new();
    for (at, content) in text.lines().enumerate() {
        let line = at + 1;
        let words = content.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        for word in words {
            // An identifier may look like one: a type parameter `I1` is no invariant.
            let Some(number) = number_in(word).filter(|_| !file.has_identifier(line, word)) else {
                continue;
            };
            let is_asserted = assertions
                .iter()
                .any(|call| line <= *call.end() && line + COMMENT_LINES_MAX >= *call.start());
            mentions.push(Mention {
                number,
                line,
                holds: is_suite || is_asserted || file.is_test_line(line),
            });
        }
    }
    mentions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::lines;

    fn found(list: &str, path: &str, source: &str) -> Vec<String> {
        lines(check(&Tree::fixture(&[(LIST, list), (path, source)])))
    }

    #[test]
    fn invariants_are_listed_by_bullets_and_table_rows() {
        let text = "# Map\n- **I1** a\n* **I2**: b\n| I3 | c |\n| **I4** | d |\n- I5 is not one\nI6 neither\n| I7x |\n- **I8 and I9** no\n";

        assert_eq!(listed(text).into_iter().collect::<Vec<_>>(), [(1, 2), (2, 3), (3, 4), (4, 5)]);
    }

    #[test]
    fn an_invariant_that_nothing_holds_is_named() {
        let unheld = ["ARCHITECTURE.md:2: I1 is named in no test and beside no assertion"];

        assert_eq!(found("\n- **I1** a\n", "src/lib.rs", "//! I1 is a promise.\nfn f() {}\n"), unheld);
        assert_eq!(found("\n- **I1** a\n", "src/lib.rs", "//! I11, XI1, I1a.\n").len(), 2);
    }

    #[test]
    fn a_test_an_assertion_and_a_suite_hold_an_invariant() {
        let list = "- **I1** a\n";

        let beside = "fn f() {}\n#[cfg(test)]\nmod tests {\n    // I1\n}\n";
        assert_eq!(found(list, "src/lib.rs", beside), [""; 0]);
        assert_eq!(found(list, "tests/whole.rs", "//! I1\n"), [""; 0]);
        assert_eq!(found(list, "azoth-scheduler-store/src/conformance/log.rs", "//! I1\n"), [""; 0]);
        assert_eq!(found(list, "src/lib.rs", "fn f() {\n    // I1: dense\n    assert!(true);\n}\n"), [""; 0]);
        let message = "fn f() {\n    debug_assert_eq!(\n        1,\n        1,\n        \"I1\"\n    );\n}\n";
        assert_eq!(found(list, "src/lib.rs", message), [""; 0]);
    }

    #[test]
    fn an_invariant_that_is_not_listed_is_named() {
        assert_eq!(
            found("- **I1** a\n", "tests/whole.rs", "//! I1\n// I2: gone\nfn f<I3>() {}\n"),
            ["tests/whole.rs:2: I2 is not in ARCHITECTURE.md"]
        );
    }

    #[test]
    fn a_missing_list_is_a_finding() {
        assert_eq!(
            lines(check(&Tree::fixture(&[]))),
            ["ARCHITECTURE.md:1: lists no invariants, as `- **I1** ...` or `| I1 | ...`"]
        );
    }
}
