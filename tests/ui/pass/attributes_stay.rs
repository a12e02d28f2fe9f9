#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
#![deny(clippy::allow_attributes_without_reason, clippy::unwrap_used)]
//! The attribute adds no warnings, and takes none of the function's own attributes away.

use azoth_scheduler::task_handler;

/// Sends.
///
/// In two paragraphs.
#[task_handler]
#[must_use = "or it was for nothing"]
#[inline]
fn important() -> u8 {
    7
}

#[task_handler]
#[deprecated(note = "for a test")]
fn old() {}

#[cfg(any())]
#[task_handler]
fn never_there() {}

#[task_handler]
#[cfg(any())]
fn never_there() {}

#[task_handler(name = Sometimes)]
#[cfg(all())]
#[allow(clippy::unused_async, reason = "for a test")]
async fn never_there() {}

fn main() {
    assert_eq!(important(), 7);
    let handlers = azoth_scheduler::task_handlers![Important, Old, Sometimes];
    assert_eq!(handlers.len(), 3);
}
