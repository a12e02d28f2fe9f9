//! What a check found wrong, and where.

use std::fmt;

use anyhow::{Result, bail};

/// One violation of a rule. Its text is one line that an editor can jump to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    /// A finding in `path`, relative to the workspace, at `line`, from 1.
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Prints the findings in order of place; fails if there are any.
pub(crate) fn report(mut findings: Vec<Finding>) -> Result<()> {
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 finding"),
        many => bail!("{many} findings"),
    }
}

/// The findings as lines, for tests that compare whole values.
#[cfg(test)]
pub(crate) fn lines(mut findings: Vec<Finding>) -> Vec<String> {
    findings.sort();
    findings.iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_findings_is_a_failure_that_counts_them() {
        let one = Finding::new("src/lib.rs", 3, "is wrong");

        assert_eq!(one.to_string(), "src/lib.rs:3: is wrong");
        assert_eq!(report(vec![one.clone(), one]).unwrap_err().to_string(), "2 findings");
        assert!(report(Vec::new()).is_ok());
    }
}
