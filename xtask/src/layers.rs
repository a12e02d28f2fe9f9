//! The layers: which crate may use which, and which words may stand where.
//!
//! What is allowed stands in `table`; `edges` and `words` hold it against manifests and sources.

mod edges;
mod table;
mod words;

use crate::finding::Finding;
use crate::tree::Tree;
use crate::workspace::Workspace;

/// Everything that breaks a rule of the table.
pub(crate) fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = edges::check(tree, workspace);
    findings.extend(words::check(tree));
    findings
}
