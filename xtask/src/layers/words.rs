//! Words in sources: SQL, crates that only one module may name, and the standard library in core.

use super::table::{NAMES, NO_STD, Name, SQL_ROOMS, USERS_SQL, WITHOUT_SQL};
use crate::finding::Finding;
use crate::source::RustFile;
use crate::tree::Tree;

/// Two words that open an SQL statement when they stand side by side, in any case.
const SQL_PHRASES: &[(&str, &[&str])] = &[
    ("ALTER", &["TABLE"]),
    ("ATTACH", &["DATABASE"]),
    ("BEGIN", &["CONCURRENT", "DEFERRED", "EXCLUSIVE", "IMMEDIATE", "TRANSACTION"]),
    ("CREATE", &["INDEX", "TABLE", "TEMP", "TRIGGER", "UNIQUE", "VIEW", "VIRTUAL"]),
    ("DELETE", &["FROM"]),
    ("DROP", &["INDEX", "TABLE", "TRIGGER", "VIEW"]),
    ("EXPLAIN", &["QUERY"]),
    ("INSERT", &["INTO", "OR"]),
    ("REPLACE", &["INTO"]),
    ("UPDATE", &["OR"]),
];

/// A first word and one that follows somewhere, which open an SQL statement in any case.
const SQL_FRAMES: &[(&str, &str)] = &[("SELECT", "FROM"), ("UPDATE", "SET"), ("WITH", "SELECT")];

/// First words that open an SQL statement when they stand in capitals with more behind them.
const SQL_VERBS: &[&str] =
    &["PRAGMA", "RELEASE", "SAVEPOINT", "SELECT", "UPDATE", "VACUUM", "VALUES", "WITH"];

/// How our tables' names begin; the crate's own name, which begins like that too, is none.
const OUR_TABLES: &str = "azoth_";
const OUR_CRATES: &str = "azoth_scheduler";

/// Every word that stands where it may not.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = no_std_attribute(tree);
    for (path, file) in tree.rust() {
        names(path, file, &mut findings);
        sql(path, file, &mut findings);
        tables_in_examples(path, file, &mut findings);
        standard_library(path, file, &mut findings);
    }
    for (path, _) in tree.texts().filter(|(path, _)| path.ends_with(".sql")) {
        if stands_in(path, WITHOUT_SQL) && !stands_in(path, SQL_ROOMS) {
            findings.push(Finding::new(path, 1, "SQL may stand only in the store's `sqlite`"));
        }
    }
    findings
}

fn stands_in(path: &str, places: &[&str]) -> bool {
    let is_place = |place: &&str| path == *place || (place.ends_with('/') && path.starts_with(*place));
    places.iter().any(is_place)
}

/// Crates that only one module may name.
fn names(path: &str, file: &RustFile, findings: &mut Vec<Finding>) {
    for Name { name, places } in NAMES.iter().filter(|rule| !stands_in(path, rule.places)) {
        for line in file.lines_of(&[name]) {
            let what = format!("`{name}` may be named only in {}", places.join(", "));
            findings.push(Finding::new(path, line, what));
        }
    }
}

/// SQL statements outside the store.
fn sql(path: &str, file: &RustFile, findings: &mut Vec<Finding>) {
    if !stands_in(path, WITHOUT_SQL) || stands_in(path, SQL_ROOMS) {
        return;
    }
    for (line, _) in file.strings().filter(|(_, text)| is_sql(text)) {
        findings.push(Finding::new(path, line, "SQL may stand only in the store's `sqlite`"));
    }
}

/// Our own tables named by an example, which may know only the user's.
fn tables_in_examples(path: &str, file: &RustFile, findings: &mut Vec<Finding>) {
    if !stands_in(path, USERS_SQL) {
        return;
    }
    for (line, text) in file.strings() {
        let mut words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        if let Some(table) = words.find(|word| word.starts_with(OUR_TABLES) && !word.starts_with(OUR_CRATES))
        {
            let what = format!("an example may name only the user's own tables, not `{table}`");
            findings.push(Finding::new(path, line, what));
        }
    }
}

/// `std` in what core compiles outside its tests.
fn standard_library(path: &str, file: &RustFile, findings: &mut Vec<Finding>) {
    if !path.starts_with(NO_STD) {
        return;
    }
    for line in file.lines_of(&["std"]).filter(|line| !file.is_test_line(*line)) {
        findings.push(Finding::new(path, line, "core is `no_std`: `std` may stand only in its tests"));
    }
}

/// Core's own promise to the compiler.
fn no_std_attribute(tree: &Tree) -> Vec<Finding> {
    let path = format!("{NO_STD}lib.rs");
    let promises = |file: &RustFile| file.lines_of(&["#", "!", "[", "no_std", "]"]).next().is_some();
    if tree.rust_file(&path).is_some_and(promises) {
        return Vec::new();
    }
    vec![Finding::new(&path, 1, "core must say `#![no_std]`")]
}

/// Whether the contents of a string literal open an SQL statement.
fn is_sql(contents: &str) -> bool {
    let plain = contents.replace("\\n", " ").replace("\\t", " ").replace("\\\n", " ");
    let plain = plain.trim_start();
    if !plain.starts_with(char::is_alphabetic) {
        return false;
    }
    let mut words =
        plain.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|w| !w.is_empty());
    let Some(first) = words.next() else {
        return false;
    };
    let verb = first.to_uppercase();
    let rest: Vec<String> = words.map(str::to_uppercase).collect();
    let Some(second) = rest.first() else {
        return false;
    };
    let opens = |(word, next): &(&str, &[&str])| verb == *word && next.contains(&second.as_str());
    let frames = |(word, later): &(&str, &str)| verb == *word && rest.iter().any(|word| word == later);
    SQL_PHRASES.iter().any(opens) || SQL_FRAMES.iter().any(frames) || SQL_VERBS.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::lines;

    const LIB: (&str, &str) = ("azoth-scheduler-core/src/lib.rs", "#![no_std]\n");

    fn found(path: &str, text: &str) -> Vec<String> {
        lines(check(&Tree::fixture(&[LIB, (path, text)])))
    }

    #[test]
    fn sql_outside_the_store_is_refused_even_in_tests_beside_the_code() {
        let text = "const A: &str = \"\n    SELECT 1 FROM t\";\n#[cfg(test)]\nmod tests {\n    const B: &[u8] = br#\"pragma x; delete from t\"#;\n    const C: &str = \"DELETE FROM t\";\n}\n";

        let what = "SQL may stand only in the store's `sqlite`";
        let path = "azoth-scheduler-runtime/src/poller.rs";
        assert_eq!(found(path, text), [format!("{path}:1: {what}"), format!("{path}:6: {what}")]);
        for allowed in [
            "azoth-scheduler-store/src/sqlite/log.rs",
            "azoth-scheduler-store/tests/whole.rs",
            "azoth-scheduler-runtime/tests/whole.rs",
            "xtask/src/bench.rs",
        ] {
            assert_eq!(found(allowed, text), [""; 0], "{allowed}");
        }
    }

    #[test]
    fn sql_in_the_store_beside_its_sqlite_is_refused() {
        let path = "azoth-scheduler-store/src/memory.rs";

        assert_eq!(
            found(path, "fn f() { run(\"INSERT INTO t VALUES (1)\") }"),
            [format!("{path}:1: SQL may stand only in the store's `sqlite`")]
        );
        assert_eq!(
            found("azoth-scheduler-store/src/schema.sql", "anything"),
            ["azoth-scheduler-store/src/schema.sql:1: SQL may stand only in the store's `sqlite`"]
        );
    }

    #[test]
    fn sql_is_known_by_its_first_words() {
        for sql in [
            "SELECT 1",
            "\\n  select a from b",
            "\\\n   UPDATE t SET a = 1",
            "update t set a = 1",
            "INSERT INTO t VALUES (1)",
            "insert or ignore into t values (1)",
            "DELETE FROM t",
            "CREATE UNIQUE INDEX i ON t (a)",
            "create table t (a)",
            "PRAGMA data_version",
            "BEGIN IMMEDIATE",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "SAVEPOINT a",
        ] {
            assert!(is_sql(sql), "{sql:?}");
        }
    }

    #[test]
    fn prose_is_no_sql() {
        for prose in [
            "",
            "SELECT",
            "'; DROP TABLE students; --",
            "select a shorter name",
            "update the handler, or leave the task",
            "create a schedule first",
            "delete the file, or choose another",
            "begin with a letter",
            "with the limit of {max}",
            "values above {max} are refused",
            "failed to insert into the queue",
        ] {
            assert!(!is_sql(prose), "{prose:?}");
        }
    }

    #[test]
    fn an_example_may_name_its_own_tables_and_not_ours() {
        let path = "examples/own_table.rs";

        assert_eq!(
            found(path, "use azoth_scheduler::prelude::*;\nconst A: &str = \"SELECT * FROM orders\";"),
            [""; 0]
        );
        assert_eq!(found(path, "const A: &str = \"azoth_scheduler=debug\";"), [""; 0]);
        assert_eq!(
            found(path, "const A: &str =\n    \"SELECT * FROM azoth_events\";"),
            [format!("{path}:2: an example may name only the user's own tables, not `azoth_events`")]
        );
    }

    #[test]
    fn the_encoder_may_be_named_only_by_the_codec() {
        let text = "//! bincode\nuse bincode::Options; // bincode\nconst A: &str = \"bincode\";\n";

        assert_eq!(found("azoth-scheduler-store/src/codec/v1.rs", text), [""; 0]);
        assert_eq!(
            found("azoth-scheduler-store/tests/golden.rs", text),
            ["azoth-scheduler-store/tests/golden.rs:2: `bincode` may be named only in \
              azoth-scheduler-store/src/codec.rs, azoth-scheduler-store/src/codec/"]
        );
    }

    #[test]
    fn the_cron_engine_may_be_named_only_by_its_module() {
        let text = "fn f() {\n    saffron::parse();\n}\n";

        assert_eq!(found("azoth-scheduler-core/src/schedule/engine.rs", text), [""; 0]);
        assert_eq!(
            found("azoth-scheduler-core/src/schedule/cron.rs", text),
            ["azoth-scheduler-core/src/schedule/cron.rs:2: `saffron` may be named only in \
              azoth-scheduler-core/src/schedule/engine.rs, azoth-scheduler-core/src/schedule/engine/"]
        );
    }

    #[test]
    fn the_driver_is_unknown_to_the_runtime() {
        let findings = found("azoth-scheduler-runtime/src/lib.rs", "use azoth_scheduler_store::rusqlite;\n");

        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].starts_with("azoth-scheduler-runtime/src/lib.rs:1: `rusqlite` may be named only in ")
        );
    }

    #[test]
    fn core_names_the_standard_library_only_in_tests() {
        let text = "//! no std::fs\nuse std::fs;\n#[cfg(test)]\nextern crate std;\n#[cfg(test)]\nmod tests { use std::vec; }\n";

        assert_eq!(
            found("azoth-scheduler-core/src/task.rs", text),
            ["azoth-scheduler-core/src/task.rs:2: core is `no_std`: `std` may stand only in its tests"]
        );
        assert_eq!(found("azoth-scheduler-runtime/src/task.rs", text), [""; 0]);
    }

    #[test]
    fn core_must_promise_to_do_without_the_standard_library() {
        let tree = Tree::fixture(&[(LIB.0, "//! #![no_std]\n#![cfg_attr(not(test), no_std)]\n")]);

        assert_eq!(lines(check(&tree)), ["azoth-scheduler-core/src/lib.rs:1: core must say `#![no_std]`"]);
    }
}
