//! What compiles, and what is said about what does not.

/// Each case is a program. Those that fail have the expected messages beside them; `TRYBUILD=overwrite` writes them
/// anew, and the difference is then to be read.
#[test]
fn attribute_compiles_or_says_what_to_write() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
