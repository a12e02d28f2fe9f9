//! Telling an execution that it is not wanted any more.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells a handler that what it does does not count any more. Dropping the last of them tells it too.
#[derive(Clone, Debug)]
pub(crate) struct Cancel(Arc<CancelOnDrop>);

#[derive(Debug)]
struct CancelOnDrop(watch::Sender<bool>);

impl Cancel {
    pub(crate) fn new() -> Self {
        Self(Arc::new(CancelOnDrop(watch::Sender::new(false))))
    }

    pub(crate) fn cancel(&self) {
        self.0.0.send_replace(true);
    }

    pub(crate) fn listen(&self) -> watch::Receiver<bool> {
        self.0.0.subscribe()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.0.0.borrow()
    }

    /// Returns once it was said.
    pub(crate) async fn cancelled(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.listen().wait_for(|cancelled| *cancelled).await;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}
