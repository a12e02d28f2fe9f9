//! What the writer is asked to do.

use tokio::sync::oneshot;

use super::group::Group;
use crate::error::StoreError;

/// Something to be done in a write transaction. It may be done several times before it is answered, once.
pub(super) trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Does it.
    fn run(&mut self, group: &mut Group<'_>) -> Result<(), StoreError>;
    /// Tells the caller: the transaction is committed, or it failed.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A closure as a job.
pub(super) struct Request<T, F> {
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Request<T, F> {
    pub(super) fn new(work: F, reply: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { work, done: None, reply }
    }
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnMut(&mut Group<'_>) -> Result<T, StoreError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        self.done = Some((self.work)(group)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        let nothing = || StoreError::Defect { detail: "a job was answered before it was done".into() };
        // Whoever gave up waiting needs no answer.
        let _ = reply.send(outcome.and_then(|()| done.ok_or_else(nothing)));
    }
}
